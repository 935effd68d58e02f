"""``kvbench run``: generate videos with each method, score them, compare."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from kvbench_core.cli.options import given_options, resolution_option, split_names
from kvbench_core.errors import KvbenchError
from kvbench_core.specs import BackendSpec, PolicySpec

if TYPE_CHECKING:
    from kvbench_core.registry import Registry

DEFAULT_BACKEND = "tiny"
DEFAULT_FAMILY = "RTN"
BACKEND_PACKAGE = "kvbench-selfforcing-wan"
METHOD_PACKAGE = "kvbench-rtn"


@click.command()
@click.option(
    "--methods",
    "-m",
    multiple=True,
    metavar="NAMES",
    help="KV-cache methods, separated by commas: names (RTN_INT4), expressions "
    "('rtn(bits=4)+recent(blocks=2)'), families (RTN), tags, or all. NAME@reconstruct attaches "
    "one in another way. BF16 always runs, as the reference. [default: family RTN]",
)
@click.option(
    "--backend",
    default=DEFAULT_BACKEND,
    show_default=True,
    metavar="NAME",
    help="Video generator; `kvbench list backends` shows them.",
)
@click.option(
    "--suite",
    metavar="NAME|FILE",
    help="Prompts: an installed suite, or a .txt, .csv or .jsonl file [default: the backend's].",
)
@click.option(
    "--prompts",
    default="1",
    show_default=True,
    metavar="N|IDS",
    help="The first N prompts of the suite, or prompt ids separated by commas.",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Base seed; prompt number i (from 0) of the suite uses SEED + i.",
)
@click.option("--frames", type=int, help="Latent frames of each video [default: the backend's].")
@click.option(
    "--integration",
    default="streaming",
    show_default=True,
    metavar="NAME",
    help="How methods are attached: streaming, or reconstruct (as the published study did).",
)
@click.option(
    "--weights",
    default="auto",
    show_default=True,
    metavar="auto|synthetic|DIR",
    help="The generator's weights: where it finds them by itself, a folder, or seeded random ones, "
    "which show memory and time but no quality. `kvbench weights` lists and downloads them.",
)
@click.option(
    "--resolution",
    type=resolution_option,
    metavar="WIDTHxHEIGHT",
    help="Size of the video in pixels [default: the backend's].",
)
@click.option(
    "--continue-from",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A video or image that every generated video begins with; its last frames are encoded.",
)
@click.option(
    "--decode",
    type=click.Choice(["end", "streaming"]),
    default="end",
    show_default=True,
    help="Decode a video when its cache has been released, or each chunk as soon as it is made.",
)
@click.option(
    "--kernel",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="Attention kernel; `kvbench doctor` shows which ones work here.",
)
@click.option(
    "--device", default="auto", show_default=True, metavar="NAME", help="auto, cpu, cuda or cuda:N."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Run directory; name an existing one to resume or extend it [default: runs/<time>].",
)
@click.option("--preview", is_flag=True, help="Also write small videos that every browser plays.")
@click.option(
    "--metrics",
    multiple=True,
    metavar="NAMES",
    help="Metrics to compute, separated by commas [default: all that are installed].",
)
@click.option("--no-evaluate", is_flag=True, help="Only generate; score later.")
@click.option("--quiet", is_flag=True, help="No progress.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
@click.pass_context
def run(
    ctx: click.Context,
    methods: tuple[str, ...],
    backend: str,
    suite: str | None,
    prompts: str,
    seed: int,
    frames: int | None,
    integration: str,
    weights: str,
    resolution: tuple[int, int] | None,
    continue_from: Path | None,
    decode: Literal["end", "streaming"],
    kernel: str,
    device: str,
    out: Path | None,
    preview: bool,
    metrics: tuple[str, ...],
    no_evaluate: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Generate videos with each method and compare them.

    \b
    Examples:
      kvbench run
      kvbench run -m RTN_INT4,'rtn(bits=3)+recent(blocks=2)' --prompts 4 --out runs/mine
      kvbench run -m all --suite my_prompts.txt --prompts 10

    Without options: the small built-in generator, BF16 and the RTN family, one prompt. The same
    command with the same --out resumes after an interruption; with more methods or prompts it
    extends the run. Exit code 1: something failed, and the table says what; 2: a mistake in the
    request; 130: interrupted.
    """
    from kvbench_core.cli.evaluate import score, show
    from kvbench_core.cli.progress import progress
    from kvbench_core.registry import build_registry
    from kvbench_core.run.export import export_table
    from kvbench_core.run.plan import make_plan
    from kvbench_core.run.runner import run_plan, write_previews
    from kvbench_core.run.store import RunStore
    from kvbench_core.suite import find_suite

    registry = build_registry()
    _check_installed(registry, backend)
    scored_by = _metrics(registry, metrics)
    plan = make_plan(
        registry,
        backend=backend,
        methods=split_names(methods) or _default_methods(registry),
        integration=integration,
        suite=find_suite(registry, suite) if suite else None,
        prompts=prompts,
        seed=seed,
        frames=frames,
        device=device,
        kernel=kernel,
        weights=weights,
        resolution=resolution,
        continue_from=continue_from,
        decode=decode,
    )
    store = RunStore(out or Path("runs") / f"{datetime.now().astimezone():%Y%m%d-%H%M%S}")
    with progress(quiet) as listener:
        outcome = run_plan(plan, store, registry, listener, given=given_options(ctx))
    if preview:
        write_previews(plan, store)
    export_table(store)
    failed = outcome.failed
    if not no_evaluate:
        failed += score(store, registry, scored_by, quiet).failed
    show(store, as_json)
    if not as_json:
        click.echo(_where(store.root, preview))
    ctx.exit(1 if failed else 0)


def _check_installed(registry: Registry, backend: str) -> None:
    if not registry.all(BackendSpec):
        raise KvbenchError(
            f"no video generator is installed; try: pip install {BACKEND_PACKAGE} {METHOD_PACKAGE}"
        )
    registry.find(BackendSpec, backend)


def _metrics(registry: Registry, texts: tuple[str, ...]) -> list[str] | None:
    """The metrics that were named, all usable here; ``None`` stands for every one."""
    from kvbench_core.run.loaded_metric import load_metrics

    names = split_names(texts)
    load_metrics(registry, names)  # an evaluation that cannot be done is no reason to generate
    return names or None


def _default_methods(registry: Registry) -> list[str]:
    families = {
        entry.spec.family
        for entry in registry.all(PolicySpec).values()
        if isinstance(entry.spec, PolicySpec)
    }
    if DEFAULT_FAMILY in families:
        return [DEFAULT_FAMILY]
    click.echo(f"Only BF16 is compared: install {METHOD_PACKAGE}, or name --methods.", err=True)
    return []


def _where(root: Path, preview: bool) -> str:
    lines = [
        f"\nvideos (lossless):  {root / 'videos'}",
        f"videos to look at:  {root / 'previews'}" if preview else "",
        f"all figures:        {root / 'cells.parquet'}",
        f"this table again:   kvbench table {root}",
    ]
    return "\n".join(line for line in lines if line)
