"""A factor on every layer's tier sizes: published tables, a ramp, or a table of one's own."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from kvbench_core.errors import ParameterError
from kvbench_core.published import BENCHMARKS, layer_budgets

RAMP = (0.75, 1.25)
LARGEST_SCALE = 10.0
LARGEST_FILE_BYTES = 100_000


@frozen
class LayerScales:
    """Scales of the layers of some model; others get them by relative depth."""

    scales: tuple[float, ...]

    @property
    def alike(self) -> bool:
        """Whether all layers have the same scale."""
        return len(set(self.scales)) == 1

    def at(self, layer: int, layers: int) -> float:
        """The scale of layer ``layer`` out of ``layers``, interpolated linearly in depth."""
        last = len(self.scales) - 1
        position = last / 2 if layers == 1 else layer * last / (layers - 1)
        below = min(int(position), last)
        above = min(below + 1, last)
        return self.scales[below] + (position - below) * (self.scales[above] - self.scales[below])


def load_scales(owner: str, budgets: object) -> LayerScales:
    """The scales that ``layer_budgets`` names.

    Raises:
        ParameterError: it names no table, or a file that holds none.
    """
    if budgets == "even":
        return LayerScales((1.0,))
    if budgets == "ramp":
        return LayerScales(RAMP)
    for benchmark in BENCHMARKS:
        if budgets == benchmark:
            return LayerScales(tuple(layer.scale for layer in layer_budgets(benchmark)))
    try:
        if not isinstance(budgets, str):
            raise ValueError("this is no text")
        return LayerScales(_parsed(_read(Path(budgets))))
    except (OSError, ValueError) as error:
        rule = "'even', 'ramp', 'moviegen', 'storyeval' or a CSV file with columns layer, scale"
        raise ParameterError(owner, "layer_budgets", f"{rule} ({error})", budgets) from None


def check_layers(owner: str, budgets: str, scales: LayerScales, layers: int) -> None:
    """Refuse a user's table that was made for another model.

    Raises:
        ParameterError: with both numbers of layers.
    """
    named = budgets in ("even", "ramp", *BENCHMARKS)
    if not named and len(scales.scales) != layers:
        rule = f"a table of {layers} layers, as the model has (this one has {len(scales.scales)})"
        raise ParameterError(owner, "layer_budgets", rule, budgets)


def _read(path: Path) -> str:
    if not path.is_file():
        raise ValueError("there is no such file")
    with path.open(encoding="utf-8-sig") as file:
        text = file.read(LARGEST_FILE_BYTES + 1)
    if len(text) > LARGEST_FILE_BYTES:
        raise ValueError(f"the file has more than {LARGEST_FILE_BYTES} characters")
    return text


def _parsed(text: str) -> tuple[float, ...]:
    """Scales by layer.

    Raises:
        ValueError: what is wrong, in a few words.
    """
    try:
        rows = list(csv.DictReader(text.splitlines(), strict=True))
    except csv.Error as error:
        raise ValueError(f"the file is no CSV: {error}") from None
    if not rows or not {"layer", "scale"} <= set(rows[0]):
        raise ValueError("the file has no columns layer and scale")
    if [row["layer"] for row in rows] != [str(layer) for layer in range(len(rows))]:
        raise ValueError(f"its layers are not 0 to {len(rows) - 1}, one row each, in order")
    return _checked([row["scale"] for row in rows])


def _checked(texts: Sequence[str | None]) -> tuple[float, ...]:
    scales = []
    for layer, text in enumerate(texts):
        try:
            scale = float(text or "")
        except ValueError:
            scale = math.nan
        if not 0 < scale <= LARGEST_SCALE:
            raise ValueError(
                f"the scale of layer {layer} is {text!r}, not a number above 0 and at most "
                f"{LARGEST_SCALE:g}"
            )
        scales.append(scale)
    return tuple(scales)
