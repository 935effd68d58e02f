"""Refusing NaN and infinity before they become history."""

from __future__ import annotations

import torch
from torch import Tensor

from kvbench_core.errors import CacheError
from kvbench_core.geometry import Step


class FiniteGuard:
    """Looks at the K and V that are stored. On CUDA it answers at :meth:`settle`, once for all

    layers of a chunk, because asking the device in every layer would keep it waiting.
    """

    def __init__(self) -> None:
        self._pending: list[tuple[Tensor, int, int]] = []

    def check(self, k: Tensor, v: Tensor, layer: int, step: Step) -> None:
        """Note ``k`` and ``v``, and on a CPU refuse them at once.

        Raises:
            CacheError: as :meth:`settle`.
        """
        if k.is_meta:
            return
        extremes = torch.stack([*torch.aminmax(k), *torch.aminmax(v)])  # NaN wins both
        self._pending.append((extremes, layer, step.chunk))
        if not k.is_cuda:
            self.settle()

    def settle(self) -> None:
        """Answer for everything that was noted.

        Raises:
            CacheError: ``k`` or ``v`` held a value that is not finite.
        """
        if not self._pending:
            return
        finite = torch.stack([extremes for extremes, _, _ in self._pending]).isfinite().tolist()
        pending, self._pending = self._pending, []
        for (_, layer, chunk), (*k, _, _), (_, _, *v) in zip(pending, finite, finite, strict=True):
            for name, good in (("K", all(k)), ("V", all(v))):
                if not good:
                    raise CacheError(
                        f"{name} of layer {layer}, chunk {chunk} holds NaN or infinity; the "
                        "generator diverged, so the rollout ends here"
                    )
