"""All methods of the study on the built-in generator, beside the published order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import click
import numpy as np
from attrs import field, frozen

from benchmarks.pages import Row, code, docs_option, provenance, table, update, write_csv
from benchmarks.stats import Interval, bootstrap, ranks, spearman
from kvbench_core.published import method_figures
from kvbench_core.report.table import Row as Line
from kvbench_core.report.table import build_table
from kvbench_core.run.records import Manifest
from kvbench_core.run.store import RunStore

METRICS = {"ssim": 4, "psnr": 2}
FEW_PROMPTS = 10
MOST_DISPLACED = 8
RESAMPLES = 2000
ZERO_POINTS = ("KIVI", "QAQ")
"""Families whose published rows a defect of their codec changes (D2)."""


@frozen(kw_only=True)
class Result:
    """A method's figures; ``scores`` by metric, over the prompts where it has one."""

    line: Line
    scores: Mapping[str, Interval] = field()
    ssim: Sequence[float] = ()
    """By prompt."""

    @property
    def method(self) -> str:
        """As it was asked for."""
        integration = self.line.integration
        return self.line.method + ("" if integration == "streaming" else f"@{integration}")


def results(store: RunStore, seed: int) -> list[Result]:
    """What a run directory holds, method by method."""
    values: dict[tuple[str, str], dict[str, list[float]]] = {}
    records, _ = store.cells(store.manifest())
    for record in sorted(records, key=lambda record: record.cell.prompt):
        mine = values.setdefault(record.cell.method.key, {})
        for score in store.scores(record.cell.id)[0]:
            for name in METRICS:
                value = score.values.get(name)
                if value is not None:
                    mine.setdefault(name, []).append(value)
    lines = {(line.method, line.integration): line for line in build_table(store).rows}
    return [
        Result(
            line=lines[method.label, method.integration],
            scores={
                name: bootstrap(found, seed=seed)
                for name, found in values.get(method.key, {}).items()
            },
            ssim=values.get(method.key, {}).get("ssim", ()),
        )
        for method in store.manifest().methods
        if (method.label, method.integration) in lines
    ]


@frozen(kw_only=True)
class Order:
    """Methods with an SSIM here and a published one, the reference left out."""

    methods: Sequence[str]
    prompts: Sequence[Sequence[float]]
    """SSIM by method and prompt."""
    published: Sequence[float]

    @classmethod
    def of(
        cls, found: Sequence[Result], *, prompts: int = 0, without: tuple[str, ...] = ()
    ) -> Order:
        """Those whose published row has at least ``prompts`` prompts; ``without`` are prefixes."""
        figures = method_figures("moviegen")
        both = [
            (result.method, result.ssim, figures[result.method].ssim)
            for result in found
            if not result.line.is_reference
            and result.ssim
            and result.method in figures
            and figures[result.method].prompts >= prompts
            and not result.method.startswith(without)
        ]
        return cls(
            methods=[name for name, _, _ in both],
            prompts=[values for _, values, _ in both],
            published=[there for _, _, there in both],
        )

    @property
    def here(self) -> list[float]:
        """Mean SSIM by method."""
        return [fmean(values) for values in self.prompts]

    def correlation(self, seed: int) -> Interval:
        """Spearman's, with its interval over resampled prompts."""
        if len({len(values) for values in self.prompts}) != 1:
            raise click.ClickException("methods have different numbers of prompts; resume the run")
        known = np.asarray(self.prompts)
        drawn = np.random.default_rng(seed).integers(
            known.shape[1], size=(RESAMPLES, known.shape[1])
        )
        found = [spearman(list(known[:, draw].mean(axis=1)), self.published) for draw in drawn]
        low, high = np.percentile(found, [2.5, 97.5])
        return Interval(spearman(self.here, self.published), float(low), float(high))

    def displaced(self) -> list[Row]:
        """The methods whose ranks differ most; rank 1 is the most faithful."""
        mine, theirs = (ranks([-x for x in column]) for column in (self.here, self.published))
        rows: list[Row] = [
            {
                "method": code(name),
                "SSIM here": f"{here:.4f}",
                "rank here": f"{rank:g}",
                "published SSIM": f"{there:.4f}",
                "published rank": f"{other:g}",
                "places gained": f"{other - rank:+g}",
            }
            for name, here, there, rank, other in zip(
                self.methods, self.here, self.published, mine, theirs, strict=True
            )
        ]
        return sorted(rows, key=lambda row: -abs(float(str(row["places gained"]))))[:MOST_DISPLACED]


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--seed", default=0, show_default=True, help="Of the bootstrap.")
@docs_option
@click.pass_context
def main(ctx: click.Context, run: Path, seed: int, docs: Path) -> None:
    """Write docs/tiny-study.md and docs/tiny-study.csv from a finished RUN."""
    store = RunStore.open(run)
    found = results(store, seed)
    every, whole = Order.of(found), Order.of(found, prompts=FEW_PROMPTS)
    rest = Order.of(found, without=ZERO_POINTS)
    update(
        docs / "tiny-study.md",
        {
            "provenance": provenance(ctx, "tiny_study", _made(store.manifest())),
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
