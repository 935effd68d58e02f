"""Muon for the matrices of the blocks, Adam for everything else, float32 masters of bf16 weights.

Muon (Jordan et al., 2024) replaces the momentum of a matrix by the nearest semi-orthogonal one,
found by five Newton-Schulz steps; matrices of one shape are treated as a batch. Its update is
scaled to the size of an Adam update, so both share one learning rate.
"""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor, nn

_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """Nearest semi-orthogonal matrices of ``[matrix, row, column]``, in bf16, roughly."""
    x = matrices.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = _SCHULZ
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class MasterOptimizer:
    """Steps float32 masters, keeps their average, and copies them to the bf16 model."""

    def __init__(self, model: nn.Module, ema_decay: float) -> None:
        self._names, self._live = zip(*model.named_parameters(), strict=True)
        self._masters = [p.detach().float().clone() for p in self._live]
        self.ema = [master.clone() for master in self._masters]
        self._ema_decay = ema_decay
        groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, (name, p) in enumerate(zip(self._names, self._live, strict=True)):
            if ".blocks." in name and p.ndim == 2:
                groups[tuple(p.shape)].append(index)
        self._groups = list(groups.values())
        self._momenta = [torch.zeros_like(self._stack(self._masters, g)) for g in self._groups]
        matrices = {index for group in self._groups for index in group}
        self._others = [i for i in range(len(self._live)) if i not in matrices]
        self._adam = torch.optim.Adam(
            [self._masters[i].requires_grad_() for i in self._others], betas=(0.9, 0.98), fused=True
        )

    @staticmethod
    def _stack(tensors: list[Tensor], group: list[int]) -> Tensor:
        return torch.stack([tensors[i] for i in group])

    @torch.no_grad()
    def step(self, rate: float, clip: float = 1.0) -> Tensor:
        """One update at learning rate ``rate``; returns the gradient's norm."""
        grads = [p.grad.float() for p in self._live]
        norm = torch.stack(torch._foreach_norm(grads)).norm()
        torch._foreach_mul_(grads, (clip / (norm + 1e-6)).clamp(max=1))
        for group, momentum in zip(self._groups, self._momenta, strict=True):
            gradient = self._stack(grads, group)
            momentum.lerp_(gradient, 0.05)
            update = orthogonalise(gradient.lerp(momentum, 0.95)).float()
            update = update * (0.2 * max(update.shape[-2:]) ** 0.5)
            for index, change in zip(group, update, strict=True):
                self._masters[index].mul_(1 - 0.02 * rate).sub_(change, alpha=rate)
        for i in self._others:
            self._masters[i].grad = grads[i]
        self._adam.param_groups[0]["lr"] = rate
        self._adam.step()
        torch._foreach_lerp_(self.ema, [m.detach() for m in self._masters], 1 - self._ema_decay)
        torch._foreach_copy_([p.data for p in self._live], [m.detach() for m in self._masters])
        for p in self._live:
            p.grad = None
        return norm

    def averaged(self) -> dict[str, Tensor]:
        """The averaged weights by name."""
        return dict(zip(self._names, self.ema, strict=True))

    def masters(self) -> dict[str, Tensor]:
        """The current weights by name, float32."""
        return {n: m.detach() for n, m in zip(self._names, self._masters, strict=True)}
