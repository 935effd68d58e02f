"""What the core itself registers, through the same door as everyone else."""

from __future__ import annotations

from kvbench_core.hookspecs import hookimpl
from kvbench_core.specs import CommandSpec, PartSpec, PolicySpec, SuiteSpec


@hookimpl
def kvbench_parts() -> list[PartSpec]:
    """Parts without mathematics of their own."""
    return [
        PartSpec(
            name="bf16",
            kind="codec",
            summary="Keep K and V as they are",
            target="kvbench_core.parts:bf16",
        ),
        PartSpec(
            name="recent",
            kind="tiering",
            summary="Newest chunks in bf16, older ones coded",
            target="kvbench_core.parts:Recent",
        ),
        PartSpec(
            name="window",
            kind="retention",
            summary="Free what attention cannot read any more",
            target="kvbench_core.parts:Window",
        ),
        PartSpec(
            name="refresh",
            kind="cadence",
            summary="Encode on the clean pass only",
            target="kvbench_core.parts:refresh",
        ),
    ]


@hookimpl
def kvbench_policies() -> list[PolicySpec]:
    """The reference, and the same without what is never read again."""
    return [
        PolicySpec(
            name="BF16",
            family="BF16",
            summary="Uncompressed reference",
            expression="bf16()",
            tags=("study",),
        ),
        PolicySpec(
            name="BF16_WINDOW",
            family="BF16",
            summary="BF16 without what attention cannot read any more",
            expression="bf16()+window()",
        ),
    ]


@hookimpl
def kvbench_suites() -> list[SuiteSpec]:
    """Suites of the field; their files are fetched, or named, by the user."""
    return [
        SuiteSpec(
            name="moviegen",
            family="published",
            summary="MovieGenVideoBench, 1003 extended prompts (`kvbench suites fetch`)",
            target="kvbench_core.prompt_files:moviegen",
        ),
        SuiteSpec(
            name="storyeval",
            family="published",
            summary="StoryEval, 423 prompts of several events (`kvbench suites fetch`)",
            target="kvbench_core.prompt_files:storyeval",
        ),
    ]


@hookimpl
def kvbench_commands() -> list[CommandSpec]:
    """The commands, in the order of the help."""
    return [
        _command("run", "Generate videos with each method and compare them."),
        _command("evaluate", "Score the videos of a run and print the table."),
        _command("table", "Print the comparison table of a run."),
        _command("list", "Show what is installed: methods, backends, metrics, suites."),
        _command("suites", "List, show and fetch prompt suites."),
        _command("budget", "Memory that methods need, without generating anything."),
        _command("weights", "List and download the weights of video generators."),
        _command("doctor", "Say what this machine can do: devices, attention kernels, plugins."),
        _command("conformance", "Check that what is installed keeps the contract."),
    ]


def _command(name: str, summary: str) -> CommandSpec:
    attribute = f"{name}_" if name == "list" else name  # a builtin of Python
    target = f"kvbench_core.cli.{attribute}:{attribute}"
    return CommandSpec(name=name, summary=summary, target=target)
