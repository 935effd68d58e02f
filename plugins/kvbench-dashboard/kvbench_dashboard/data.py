"""A run as data frames: a row for each cell, for each chunk, for each prefix of a video."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from attrs import frozen

from kvbench_core.families import Families
from kvbench_core.registry import build_registry
from kvbench_core.run.records import Manifest, Method
from kvbench_core.run.store import RunStore
from kvbench_dashboard.table import CURVE, NUMBERS, TEXTS, TRACES, TYPES, fingerprint, read_table
from kvbench_report.columns import OF_REFERENCE
from kvbench_report.families import OTHER
from kvbench_report.results import Column


@frozen(kw_only=True, eq=False)
class Run:
    """A run directory as it was when it was read; ``place`` is its place on the command line.

    ``cells`` has one row for each cell: ``run``, ``name`` and ``family`` of its method,
    ``is_reference``, texts, figures and scores. ``peak_bytes`` is that of the higher phase,
    ``stored_bytes`` and ``dense_bytes`` those after the last chunk. NaN was not measured.
    ``scores`` are the metrics' columns by name. ``stamp`` changes when the directory does.
    """

    name: str
    place: int
    root: Path
    manifest: Manifest
    cells: pd.DataFrame
    scores: Mapping[str, Column]
    why_derived: str | None
    table: pa.Table
    stamp: tuple[int, ...]

    def traces(self, cells: Iterable[str]) -> pd.DataFrame:
        """One row for each chunk of ``cells``: ``cell``, ``step`` from 1, and ``TRACES``."""
        return self._long(cells, {name: name for name in TRACES})

    def curves(self, cells: Iterable[str], score: str) -> pd.DataFrame:
        """One row for each prefix of the videos of ``cells``: ``cell``, ``frames``, ``score``."""
        names = (f"{score}{CURVE[0]}", f"{score}{CURVE[1]}")
        return self._long(cells, dict(zip(("frames", "score"), names, strict=True)))

    @property
    def curved(self) -> list[str]:
        """The scores that have drift curves."""
        known = self.table.column_names
        return [name for name in self.scores if all(f"{name}{end}" in known for end in CURVE)]

    def _long(self, cells: Iterable[str], columns: Mapping[str, str]) -> pd.DataFrame:
        wanted = self.table.select(["cell", *columns.values()])
        pieces = [pd.DataFrame(columns=["cell", *columns], dtype=float)]
        for row in wanted.filter(pc.field("cell").isin(list(cells))).to_pylist():
            lists = {new: pd.Series(row[old] or [], dtype=float) for new, old in columns.items()}
            pieces.append(pd.DataFrame(lists).assign(cell=row["cell"]))
        long = pd.concat([piece for piece in pieces if len(piece)] or pieces)
        return long.assign(step=long.index + 1).reset_index(drop=True)


def read_run(root: Path, name: str, place: int) -> Run:
    """Read a run directory; nothing in it is changed.

    Raises:
        KvbenchError: it is no run directory, or a later kvbench wrote it.
    """
    stamp = fingerprint(root)
    store = RunStore.open(root)
    manifest = store.manifest()
    found = read_table(store)
    scores = {
        field.name: _column(field)
        for field in found.table.schema
        if field.name not in TYPES and not field.name.endswith(CURVE)
    }
    return Run(
        name=name,
        place=place,
        root=root,
        manifest=manifest,
        cells=_cells(found.table, manifest, list(scores)).assign(run=name),
        scores=scores,
        why_derived=found.why_derived,
        table=found.table,
        stamp=stamp,
    )


def _column(field: pa.Field) -> Column:
    said = {key.decode(errors="replace"): value.decode(errors="replace")
            for key, value in (field.metadata or {}).items()}  # fmt: skip
    unit = said.get("unit", "")
    return Column(
        name=field.name,
        unit="" if unit == "1" else unit.removeprefix("1 "),
        better="lower" if said.get("better") == "lower" else "higher",
        summary=said.get("summary", ""),
        of_reference=_of_reference(field.name),
    )


def _of_reference(name: str) -> float | None:
    """What BF16 scores against itself, at the end of its drift curve, and as the curve's slope."""
    score = OF_REFERENCE.get(name.removesuffix("_drift_last").removesuffix("_drift_slope"))
    if score is not None and name.endswith("_drift_slope"):
        return 0.0 if math.isfinite(score) else None
    return score


def _cells(table: pa.Table, manifest: Manifest, scores: list[str]) -> pd.DataFrame:
    """What the manifest knows, in its order of methods and prompts."""
    frame = table.select([*TEXTS, *NUMBERS, *scores]).to_pandas()
    for trace, last in (("kv_stored_bytes", "stored_bytes"), ("kv_dense_bytes", "dense_bytes")):
        frame[last] = [values[-1] if values else np.nan for values in table[trace].to_pylist()]
    frame["peak_bytes"] = frame[["generation_peak_bytes", "decoding_peak_bytes"]].max(axis=1)
    methods = _methods(manifest)
    prompts = {prompt.id: place for place, prompt in enumerate(manifest.prompts)}
    frame = frame.drop(columns="method").merge(methods, on=["expression", "integration"])
    frame = frame[frame["prompt"].isin(prompts)].drop_duplicates(["name", "prompt"])
    frame = frame.assign(prompt_place=frame["prompt"].map(prompts))
    return frame.sort_values(["method_place", "prompt_place"], ignore_index=True)


def _methods(manifest: Manifest) -> pd.DataFrame:
    labels = Counter((method.label, method.integration) for method in manifest.methods)
    families = Families.of(build_registry())
    rows = [
        {
            "expression": method.expression,
            "integration": method.integration,
            "name": _name(method, ambiguous=labels[method.label, method.integration] > 1),
            "family": families.family(method.label, method.expression) or OTHER,
            "is_reference": method.is_reference,
            "method_place": place,
        }
        for place, method in enumerate(manifest.methods)
    ]
    return pd.DataFrame(rows)


def _name(method: Method, ambiguous: bool) -> str:
    """How a method is called: as it was asked for, unless that means two things."""
    name = method.expression if ambiguous else method.label
    return name if method.integration == "streaming" else f"{name}@{method.integration}"
