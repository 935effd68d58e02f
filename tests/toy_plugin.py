"""A plugin with a toy generator, methods, metrics and prompts; imports nothing heavy."""

from __future__ import annotations

from kvbench_core.hookspecs import hookimpl
from kvbench_core.specs import BackendSpec, MetricSpec, PartSpec, PolicySpec, SuiteSpec


@hookimpl
def kvbench_parts() -> list[PartSpec]:
    return [
        PartSpec(name="coarse", kind="codec", summary="Round", target="toy_methods:Coarse"),
        PartSpec(name="failing", kind="codec", summary="Raise", target="toy_methods:Failing"),
    ]


@hookimpl
def kvbench_policies() -> list[PolicySpec]:
    return [
        PolicySpec(
            name="COARSE", family="TOY", summary="Rounded to 1/4", expression="coarse(step=0.25)"
        ),
        PolicySpec(
            name="COARSE_RECENT",
            family="TOY",
            summary="Older chunks rounded",
            expression="coarse(step=0.25)+recent(blocks=2)",
        ),
    ]


@hookimpl
def kvbench_backends() -> list[BackendSpec]:
    return [
        BackendSpec(name="toy", family="toy", summary="Fast", target="toy_backend:Toy"),
        BackendSpec(
            name="toy-slow", family="toy", summary="A nap per chunk", target="toy_backend:slow"
        ),
        BackendSpec(name="toy-f32", family="toy", summary="float32", target="toy_backend:wide"),
    ]


@hookimpl
def kvbench_metrics() -> list[MetricSpec]:
    return [
        MetricSpec(name="error", family="toy", summary="MSE", target="toy_methods:Error"),
        MetricSpec(name="light", family="toy", summary="Brightness", target="toy_methods:Light"),
    ]


@hookimpl
def kvbench_suites() -> list[SuiteSpec]:
    return [
        SuiteSpec(name="toy-suite", family="toy", summary="Three", target="toy_backend:suite"),
    ]
