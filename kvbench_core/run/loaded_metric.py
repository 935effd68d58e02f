"""Metrics as an evaluation uses them: checked when loaded, and their results with them."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import asdict, frozen

from kvbench_core.drift import Curve, prefix_lengths
from kvbench_core.errors import KvbenchError, MetricUnavailableError, UnknownNameError
from kvbench_core.metric import Metric, Prefix, Scores, Video
from kvbench_core.registry import Registry
from kvbench_core.run.records import ColumnRecord
from kvbench_core.run.serial import LARGEST_NUMBER
from kvbench_core.specs import MetricSpec

Setting = str | int | float | bool


@frozen
class LoadedMetric:
    """A metric under the name it is registered by, and what it says about itself."""

    name: str
    metric: Metric
    version: str
    settings: dict[str, Setting]
    columns: list[ColumnRecord]

    @property
    def needs_reference(self) -> bool:
        """Whether the metric compares with the reference's video."""
        return self.metric.needs_reference

    @property
    def has_drift(self) -> bool:
        """Whether each score comes with its curves over growing prefixes."""
        return self.metric.drift is not None

    def curves(
        self, scores: Scores, video: Video, reference: Video | None, prompt: str
    ) -> dict[str, Curve]:
        """Each column's curve over growing prefixes, as the metric's ``drift`` says.

        ``scores`` are those of the whole video.

        Raises:
            KvbenchError: a column has no per-frame figures although its curve is made of them.
        """
        if self.metric.drift is None:
            return {}
        names = [column.name for column in self.columns]
        if self.metric.drift == "frames":
            for name in names:
                if len(scores.per_frame.get(name, ())) != len(video):
                    raise KvbenchError(
                        f"{self.name} declares drift by frames, so per_frame must have one figure "
                        f"of {name} for each of {len(video)} frames"
                    )
            return {name: Curve.of_means(scores.per_frame[name]) for name in names}
        *lengths, whole = prefix_lengths(len(video))
        found = [
            self.checked(
                self.metric.score(Prefix(video, n), reference and Prefix(reference, n), prompt)
            )
            for n in lengths
        ]
        return {
            name: Curve([*lengths, whole], [prefix.values[name] for prefix in (*found, scores)])
            for name in names
        }

    def checked(self, scores: Scores) -> Scores:
        """What the metric returned, as plain finite numbers for exactly the declared columns.

        Raises:
            KvbenchError: a column is missing or unknown, or a value is too large, infinite or NaN.
        """
        declared = {column.name for column in self.columns}
        if set(scores.values) != declared:
            raise KvbenchError(
                f"{self.name} returned columns {sorted(scores.values)}; "
                f"it declares {sorted(declared)}"
            )
        return Scores(
            values={name: self._finite(name, value) for name, value in scores.values.items()},
            per_frame={
                name: [self._finite(name, value) for value in series]
                for name, series in scores.per_frame.items()
            },
            notes={
                name: note if isinstance(note, str) else int(note)
                for name, note in scores.notes.items()
            },
        )

    def _finite(self, column: str, value: float | None) -> float | None:
        if value is None:
            return None
        number = float(value)
        if not abs(number) < LARGEST_NUMBER:
            raise KvbenchError(f"{self.name} returned {number} for {column}, which is no score")
        return number


def load_metrics(
    registry: Registry, texts: Iterable[str] | None
) -> tuple[list[LoadedMetric], list[str]]:
    """The metrics that names and families stand for, or all; what cannot be used, and why.

    Raises:
        KvbenchError: one that was named itself is unknown or cannot be used here, or none can.
    """
    metrics, unavailable, problems = [], [], []
    for name, itself in _wanted(registry, texts).items():
        try:
            metrics.append(_load(registry, name))
        except KvbenchError as error:
            if itself:
                raise
            if isinstance(error, MetricUnavailableError):
                unavailable.append(name)
            else:  # one broken metric must not cost the others
                problems.append(f"metric {name} is left out: {error}")
    if unavailable:
        problems.append(
            f"metrics left out, since weights or packages are missing: {', '.join(unavailable)}; "
            "`kvbench doctor` says which, and how to get them"
        )
    if texts is not None and not metrics:
        raise KvbenchError("; ".join(problems) or "name at least one metric")
    return metrics, problems


def _wanted(registry: Registry, texts: Iterable[str] | None) -> dict[str, bool]:
    """Metrics by name, with whether each was named itself, not only a group of it."""
    known = registry.all(MetricSpec)
    if texts is None:
        return dict.fromkeys(known, False)
    wanted: dict[str, bool] = {}
    for text in texts:
        members = registry.group(MetricSpec, text)
        if known and not members and text not in known:
            raise UnknownNameError("metric", text, registry.names(MetricSpec))
        for name in members or [text]:
            wanted[name] = wanted.get(name, False) or not members
    return wanted


def _load(registry: Registry, name: str) -> LoadedMetric:
    try:
        metric = registry.metric(name)
        metric.check_available()
        return LoadedMetric(
            name=name,
            metric=metric,
            version=str(metric.version),
            settings={key: _plain(value) for key, value in metric.settings().items()},
            columns=[ColumnRecord(**asdict(column)) for column in metric.columns],
        )
    except KvbenchError:
        raise
    except Exception as error:  # a plugin may raise anything
        raise KvbenchError(f"{name} cannot be used: {type(error).__name__}: {error}") from error


def _plain(value: Setting) -> Setting:
    for kind in (bool, str, int, float):
        if isinstance(value, kind):
            return kind(value)
    raise TypeError(f"a setting is a text, a number or a truth value; got {value!r}")
