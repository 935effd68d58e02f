"""The page on memory and time at full size, from the lines that ``benchmarks.full_size`` wrote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

import click
from attrs import frozen

from benchmarks.full_size import DECODING, DECODING_BESIDE, read
from benchmarks.pages import Row, code, docs_option, table, update
from kvbench_core.published import GIB, method_figures

FRAMES = 42
ALLOWANCE_GIB = 0.6
CHUNKS_SHOWN = (1, 4, 7, 8, 14, 21, 28, 35, 42)


@frozen(kw_only=True)
class Line:
    """A method's rollouts of one length: medians of times, the highest peak."""

    method: str
    frames: int
    runs: int
    wall_s: float
    spread_s: tuple[float, float]
    encode_s: float
    decode_s: float
    peak_gib: float
    stored_gib: float
    dense_gib: float
    latents: str
    chunk_s: Sequence[float]
    chunk_stored_gib: Sequence[float]


@click.command()
@click.argument("lines", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@docs_option
def main(lines: Path, docs: Path) -> None:
    """Write docs/full-size.md from the CSV file LINES."""
    rows = [row for row in read(lines) if not row["error"]]
    failed = [row for row in read(lines) if row["error"]]
    found = {
        (name, frames): _line(name, int(frames), mine)
        for name, frames in dict.fromkeys((row["method"], row["frames"]) for row in rows)
        if not name.startswith("(")
        and (mine := [r for r in rows if (r["method"], r["frames"]) == (name, frames)])
    }
    short = [line for line in found.values() if line.frames == FRAMES]
    long = [line for line in found.values() if line.frames > FRAMES]
    reference = found["BF16", str(FRAMES)]
    update(
        docs / "full-size.md",
        {
            "provenance": _provenance(rows),
            "streaming": table([_row(x, reference) for x in short if "@" not in x.method]),
            "verdict": _verdict([x for x in short if "@" not in x.method], reference, failed),
            "window": _equal_videos(short),
            "reconstruct": table([_row(x, reference) for x in short if "@" in x.method]),
            "decoding": table(_decoding(rows)),
            "long": table(list(_chunks(long))),
        },
    )


def _line(name: str, frames: int, rows: Sequence[dict[str, str]]) -> Line:
    def middle(field: str) -> float:
        return median(float(row[field]) for row in rows)

    walls, last = [float(row["wall_s"]) for row in rows], rows[-1]
    return Line(
        method=name,
        frames=frames,
        runs=len(rows),
        wall_s=median(walls),
        spread_s=(min(walls), max(walls)),
        encode_s=middle("encode_s"),
        decode_s=middle("decode_s"),
        peak_gib=max(int(row["peak_bytes"]) for row in rows) / GIB,
        stored_gib=int(last["kv_stored_bytes"]) / GIB,
        dense_gib=int(last["kv_dense_bytes"]) / GIB,
        latents=last["latents"],
        chunk_s=[float(x) for x in last["chunk_s"].split()],
        chunk_stored_gib=[int(x) / GIB for x in last["chunk_stored_bytes"].split()],
    )


def _provenance(rows: Sequence[dict[str, str]]) -> str:
    def every(field: str) -> str:
        return ", ".join(dict.fromkeys(row[field] for row in rows))

    return (
        f"Measured on one {every('gpu')}, torch {every('torch')}, attention kernel "
        f"{every('kernel')}, bf16, batch 1, 480 x 832, synthetic weights."
    )


def _row(line: Line, reference: Line) -> Row:
    published = method_figures("moviegen")
    theirs = published.get(line.method.partition("@")[0])
    return {
        "method": code(line.method),
        "ratio": f"{line.dense_gib / line.stored_gib:.3f}",
        "stored GiB": f"{line.stored_gib:.3f}",
        "peak GiB": f"{line.peak_gib:.2f}",
        "bound GiB": f"{_bound(line, reference):.2f}",
        "time s": f"{line.wall_s:.2f}",
        "fastest-slowest": "{:.2f}-{:.2f}".format(*line.spread_s) if line.runs > 1 else "one run",
        "x BF16": f"{line.wall_s / reference.wall_s:.2f}",
        "encode s": f"{line.encode_s:.2f}",
        "decode s": f"{line.decode_s:.2f}",
        "published x BF16": (
            "-" if theirs is None else f"{theirs.runtime_s / published['BF16'].runtime_s:.2f}"
        ),
    }


def _bound(line: Line, reference: Line) -> float:
    """What the peak may be if a byte saved in the cache is a byte saved at the peak."""
    return reference.peak_gib - (line.dense_gib - line.stored_gib) + ALLOWANCE_GIB


def _verdict(lines: Sequence[Line], reference: Line, failed: Sequence[dict[str, str]]) -> str:
    others = [line for line in lines if line is not reference]
    within = [line for line in others if line.peak_gib <= _bound(line, reference)]
    above = [line.method for line in others if line.peak_gib > reference.peak_gib]
    slow = max(others, key=lambda line: line.wall_s)
    parts = [
        f"{len(within)} of {len(others)} methods peak below the bound",
        f"{len(above) or 'none'} above BF16" + (f" ({', '.join(above)})" if above else ""),
        f"the slowest is {slow.method} with {slow.wall_s / reference.wall_s:.2f} x BF16",
        f"{len(failed) or 'no'} rollouts failed",
    ]
    return "; ".join(parts) + "."


def _equal_videos(lines: Sequence[Line]) -> str:
    """Whether latents with and without ``window()`` are the same."""
    digests = {line.method: line.latents for line in lines}
    pairs = {
        name: "BF16" if name == "BF16_WINDOW" else name.removesuffix("+window()")
        for name in digests
        if name == "BF16_WINDOW" or name.endswith("+window()")
    }
    equal = [name for name, whole in pairs.items() if digests[name] == digests.get(whole)]
    return (
        f"Latents bit for bit those of the method without it: {len(equal)} of {len(pairs)} "
        f"({', '.join(code(name) for name in equal)})."
    )


def _decoding(rows: Sequence[dict[str, str]]) -> list[Row]:
    return [
        {
            "what": what.strip("()"),
            "time s": min(row["wall_s"] for row in mine),
            "peak GiB": f"{max(int(row['peak_bytes']) for row in mine) / GIB:.2f}",
        }
        for what in (DECODING, DECODING_BESIDE)
        if (mine := [row for row in rows if row["method"] == what and row["frames"] == str(FRAMES)])
    ]


def _chunks(lines: Sequence[Line]) -> Iterator[Row]:
    for line in lines:
        shown = [chunk for chunk in CHUNKS_SHOWN if chunk <= len(line.chunk_s)]
        yield {
            "method": code(line.method),
            "frames": line.frames,
            "peak GiB": f"{line.peak_gib:.2f}",
            "time s": f"{line.wall_s:.1f}",
            **{
                f"chunk {chunk}": (
                    f"{line.chunk_s[chunk - 1]:.2f} s, {line.chunk_stored_gib[chunk - 1]:.2f} GiB"
                )
                for chunk in shown
            },
        }


if __name__ == "__main__":
    main()
