"""What ``kvbench run`` is asked to make: the options, and the plan that they stand for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kvbench_core.cli.options import resolution_option, split_names
from kvbench_core.specs import BackendSpec, PolicySpec

if TYPE_CHECKING:
    from kvbench_core.registry import Registry
    from kvbench_core.run.plan import Plan

DEFAULT_BACKEND = "tiny"
DEFAULT_FAMILY = "RTN"
METHOD_PACKAGE = "kvbench-rtn"

OPTIONS = (
    click.option(
        "--methods",
        "-m",
        multiple=True,
        metavar="NAMES",
        help="KV-cache methods, separated by commas: names (RTN_INT4), expressions "
        "('rtn(bits=4)+recent(blocks=2)'), families (RTN), tags, or all, also with a part more "
        "('RTN+window()'). NAME@reconstruct attaches "
        "one in another way. BF16 always runs, as the reference. [default: family RTN]",
    ),
    click.option(
        "--backend",
        default=DEFAULT_BACKEND,
        show_default=True,
        metavar="NAME",
        help="Video generator; `kvbench list backends` shows them.",
    ),
    click.option(
        "--suite",
        metavar="NAME|FILE",
        help="Prompts: an installed suite, or a .txt, .csv or .jsonl file "
        "[default: the backend's].",
    ),
    click.option(
        "--prompts",
        default="1",
        show_default=True,
        metavar="N|IDS",
        help="The first N prompts of the suite, or prompt ids separated by commas.",
    ),
    click.option(
        "--seed",
        type=int,
        default=0,
        show_default=True,
        help="Base seed; prompt number i (from 0) of the suite uses SEED + i.",
    ),
    click.option(
        "--frames", type=int, help="Latent frames of each video [default: the backend's]."
    ),
    click.option(
        "--integration",
        default="streaming",
        show_default=True,
        metavar="NAME",
        help="How methods are attached: streaming, or reconstruct (as the published study did).",
    ),
    click.option(
        "--weights",
        default="auto",
        show_default=True,
        metavar="auto|synthetic|DIR",
        help="The generator's weights: where it finds them by itself, a folder, or seeded random "
        "ones, which show memory and time but no quality. `kvbench weights` lists and downloads "
        "them.",
    ),
    click.option(
        "--resolution",
        type=resolution_option,
        metavar="WIDTHxHEIGHT",
        help="Size of the video in pixels [default: the backend's].",
    ),
    click.option(
        "--continue-from",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="A video or image that every generated video begins with; its last frames are "
        "encoded.",
    ),
    click.option(
        "--decode",
        type=click.Choice(["end", "streaming"]),
        default="end",
        show_default=True,
        help="Decode a video when its cache has been released, or each chunk as soon as it is "
        "made.",
    ),
    click.option(
        "--kernel",
        default="auto",
        show_default=True,
        metavar="NAME",
        help="Attention kernel; `kvbench doctor` shows which ones work here.",
    ),
    click.option(
        "--device",
        default="auto",
        show_default=True,
        metavar="NAME",
        help="auto, cpu, cuda or cuda:N.",
    ),
)


def request_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a request, in their order."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def requested_plan(
    registry: Registry, *, methods: tuple[str, ...], backend: str, suite: str | None, **choices: Any
) -> Plan:
    """The plan of a request, which has a value for each of the options.

    Raises:
        KvbenchError: something in it is not installed, or makes no sense.
    """
    from kvbench_core.run.plan import make_plan
    from kvbench_core.suite import find_suite

    registry.find(BackendSpec, backend)  # before anything that needs more time, or says more
    return make_plan(
        registry,
        methods=split_names(methods) or _default_methods(registry),
        backend=backend,
        suite=find_suite(registry, suite) if suite else None,
        **choices,
    )


def _default_methods(registry: Registry) -> list[str]:
    if registry.group(PolicySpec, DEFAULT_FAMILY):
        return [DEFAULT_FAMILY]
    click.echo(f"Only BF16 is compared: install {METHOD_PACKAGE}, or name --methods.", err=True)
    return []
