"""The part ``feature_reuse``: skip a denoising pass whose input is close to the previous one's."""

from __future__ import annotations

from typing import ClassVar

import torch
from attrs import field, frozen
from torch import Tensor

from kvbench_core.geometry import Step
from kvbench_core.params import at_least, whole
from kvbench_core.policy import Reuse, ReuseState

SMALLEST = 1e-12


@frozen
class FeatureReuse(Reuse):
    """Skips passes while their input has drifted by less than ``threshold`` in all.

    Before each noisy pass the relative L1 change of the patch-embedded input is added up::

        drift += sum |x_now - x_previous| / sum |x_previous|

    and the pass is skipped if ``drift < threshold``; a computed pass sets it back to 0. A chunk's
    first and last denoising pass, its first ``warmup`` passes and the clean pass are always
    computed. The state holds on to one feature (14 MB for a Wan 1.3B chunk in bf16), which the
    generator needs through its pass anyway.
    """

    name: ClassVar[str] = "feature_reuse"

    threshold: float = field(default=1.5, validator=at_least(0))
    warmup: int = field(default=0, validator=whole(0))

    def new_state(self) -> ReuseState:
        return _Drift(self)


class _Drift(ReuseState):
    def __init__(self, rule: FeatureReuse) -> None:
        self._rule = rule
        self._chunk = -1
        self._feature: Tensor | None = None
        self._drift = 0.0

    def should_skip(self, step: Step, feature: Tensor) -> bool:
        if step.chunk != self._chunk:
            self._chunk, self._feature, self._drift = step.chunk, None, 0.0
        previous, self._feature = self._feature, None if _last(step) else feature
        if previous is None or feature.is_meta or self._computed_anyway(step):
            self._drift = 0.0
            return False
        self._drift += _change(feature, previous)
        if self._drift < self._rule.threshold:
            return True
        self._drift = 0.0
        return False

    def _computed_anyway(self, step: Step) -> bool:
        return _last(step) or step.denoise_index < max(1, self._rule.warmup)


def _last(step: Step) -> bool:
    """Whether no other noisy pass over the chunk will ask."""
    return step.denoise_steps is not None and step.denoise_index == step.denoise_steps - 1


def _change(now: Tensor, before: Tensor) -> float:
    """The relative L1 change; huge from nothing to something."""
    change = (now - before).abs().sum(dtype=torch.float32)
    size = before.abs().sum(dtype=torch.float32)
    return float(change / size.clamp(min=SMALLEST))
