"""A run, or a published table, as arrays of methods by prompts: what every analysis starts from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Better = Literal["higher", "lower"]


@frozen(kw_only=True)
class Column:
    """One quantity, and how its values over prompts become a method's one number.

    ``unit`` is empty for a pure number. ``over_prompts`` is ``max`` for peaks of memory, the mean
    otherwise. ``metric`` names the metric, with its version, that a score comes from; it is empty
    for what the run itself measured. ``of_reference`` is the value of a video compared with itself.
    """

    name: str
    unit: str
    better: Better
    summary: str
    over_prompts: Literal["mean", "max"] = "mean"
    metric: str = ""
    of_reference: float | None = None


@frozen(kw_only=True)
class MethodInfo:
    """A row. ``name`` is unique; ``label`` is how the method was asked for.

    ``prompts`` is how many prompts gave figures, ``failed`` how many did not.
    """

    name: str
    label: str
    expression: str
    integration: str
    is_reference: bool
    prompts: int
    failed: int = 0


@frozen(kw_only=True, eq=False)
class Results:
    """Every figure by column, method and prompt.

    ``values[column]`` is a float array ``[method, prompt]`` with NaN for what is missing. A
    published table knows only means: its arrays have one column and ``prompts`` is empty.
    ``settings`` are facts that have to agree where two results are compared. ``failures`` and
    ``problems`` are for the reader, a line each.
    """

    title: str
    methods: tuple[MethodInfo, ...]
    prompts: tuple[str, ...]
    columns: Mapping[str, Column]
    values: Mapping[str, Floats]
    settings: Mapping[str, str]
    failures: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The methods' names, in order."""
        return tuple(method.name for method in self.methods)

    @property
    def reference(self) -> int | None:
        """The row of the uncompressed cache; ``None`` if there is none."""
        return next((i for i, method in enumerate(self.methods) if method.is_reference), None)

    def row(self, name: str) -> int:
        """The row of the method called ``name``."""
        return self.names.index(name)

    def level(self, column: str) -> Floats:
        """Each method's one number, ``[method]``: mean or maximum over the prompts that have it.

        NaN where there is none.
        """
        values = self.values[column]
        known = ~np.isnan(values)
        if self.columns[column].over_prompts == "max":
            highest = np.where(known, values, -np.inf).max(axis=1, initial=-np.inf)
            return np.where(known.any(axis=1), highest, np.nan)
        with np.errstate(invalid="ignore"):  # nothing over no prompt is NaN
            mean: Floats = np.where(known, values, 0.0).sum(axis=1) / known.sum(axis=1)
        return mean
