"""All methods of the study on the built-in generator, beside the published order."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks.pages import Row, code, docs_option, provenance, table, update, write_csv
from benchmarks.study import METRICS, Order, Result, results, timed
from kvbench_core.published import method_figures
from kvbench_core.report.table import build_table
from kvbench_core.run.records import Manifest
from kvbench_core.run.store import RunStore

FEW_PROMPTS = 10
ZERO_POINTS = ("KIVI", "QAQ")
"""Families whose published rows a defect of their codec changes (D2)."""


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--seed", default=0, show_default=True, help="Of the bootstrap.")
@click.option(
    "--times",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Take times from another run, made by one process alone [default: RUN].",
)
@docs_option
@click.pass_context
def main(ctx: click.Context, run: Path, seed: int, times: Path | None, docs: Path) -> None:
    """Write docs/tiny-study.md and docs/tiny-study.csv from a finished RUN."""
    store, clock = RunStore.open(run), RunStore.open(times or run)
    found = timed(results(store, seed), clock)
    every, whole = Order.of(found), Order.of(found, prompts=FEW_PROMPTS)
    rest = Order.of(found, without=ZERO_POINTS)
    update(
        docs / "tiny-study.md",
        {
            "provenance": provenance(ctx, "tiny_study", _made(store.manifest()), _timed(clock)),
            "study": table([_row(result) for result in found]),
            "correlation": (
                f"Spearman rank correlation of SSIM with the published MovieGen column: "
                f"{every.correlation(seed).text(3)} over {len(every.methods)} methods, "
                f"{whole.correlation(seed).text(3)} over the {len(whole.methods)} with "
                f"{FEW_PROMPTS} published prompts, {rest.correlation(seed).text(3)} over the "
                f"{len(rest.methods)} that are not {' or '.join(ZERO_POINTS)} (a choice made "
                f"after seeing the figures); in brackets the 95 % bootstrap interval over our "
                f"prompts."
            ),
            "displaced": table(every.displaced()),
        },
    )
    write_csv(docs / "tiny-study.csv", [_flat(result) for result in found])


def _made(manifest: Manifest) -> str:
    """How the run itself was made."""
    request, session = manifest.request, manifest.sessions[-1]
    given = " ".join(
        f"--{name.replace('_', '-')}" + ("" if text == "True" else f" {text}")
        for name, text in session.given.items()
    )
    here = session.environment
    revision = f", revision {here.git.commit[:10]}" if here.git else ""
    return (
        f"The run: `kvbench run {given}`; backend {request.backend}, suite {request.suite}, "
        f"{len(manifest.prompts)} prompts, {request.frames} latent frames, base seed "
        f"{request.seed}, {here.device}, kernel {request.kernel}, threads used: {here.threads}"
        f"{revision}."
    )


def _timed(clock: RunStore) -> str:
    """Where the times are from."""
    prompts = len(clock.manifest().prompts)
    reference = next((line for line in build_table(clock).rows if line.is_reference), None)
    spent = reference.runtime_s.median if reference and reference.runtime_s else float("nan")
    return f"Times: {prompts} prompt{'s'[: prompts > 1]}; BF16 takes {spent:.1f} s each."


def _row(result: Result) -> Row:
    line = result.line
    runtime = line.runtime_ratio
    return {
        "method": code(result.method),
        "ratio": "-" if line.compression_ratio is None else f"{line.compression_ratio:.3f}",
        "time x BF16": "-" if runtime is None else f"{runtime.median:.2f}",
        **{
            {"ssim": "SSIM [95 %]", "psnr": "PSNR dB [95 %]"}[name]: (
                result.scores[name].text(digits) if name in result.scores else "-"
            )
            for name, digits in METRICS.items()
        },
        "published SSIM": _published(result.method),
    }


def _published(method: str) -> str:
    figures = method_figures("moviegen").get(method)
    if figures is None:
        return "-"
    few = "" if figures.prompts >= FEW_PROMPTS else f" ({figures.prompts} prompts)"
    return f"{figures.ssim:.4f}{few}"


def _flat(result: Result) -> Row:
    line = result.line
    row: dict[str, object] = {
        "method": result.method,
        "prompts": line.cells,
        "compression_ratio": line.compression_ratio,
        "runtime_x_bf16": line.runtime_ratio.median if line.runtime_ratio else None,
    }
    for name in METRICS:
        interval = result.scores.get(name)
        for part in ("mean", "low", "high"):
            row[f"{name}_{part}"] = getattr(interval, part, None)
    return row


if __name__ == "__main__":
    main()
