"""Exact merge of attention computed over disjoint sets of keys."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from attrs import evolve, frozen
from torch import Tensor


@frozen(eq=False)
class Partial:
    """Attention over some of the keys.

    ``out`` is ``[batch, token, head, dim]``; ``lse`` is the float32 natural logarithm of the
    softmax denominator, ``[batch, head, token]``.
    """

    out: Tensor
    lse: Tensor

    def repeated(self, multiplicity: int) -> Partial:
        """The same keys, each standing for ``multiplicity`` equal tokens: add ``log n``."""
        return self if multiplicity == 1 else evolve(self, lse=self.lse + math.log(multiplicity))

    def on_heads(self, heads: Sequence[int], total: int) -> Partial:
        """Spread a result for some heads over all ``total``; the others see no key."""
        batch, tokens, _, dim = self.out.shape
        out = self.out.new_zeros(batch, tokens, total, dim)
        lse = self.lse.new_full((batch, total, tokens), -math.inf)
        index = torch.as_tensor(heads, device=out.device)
        return Partial(out.index_copy_(2, index, self.out), lse.index_copy_(1, index, self.lse))


def merge(partials: Sequence[Partial]) -> Tensor:
    """Softmax over the union of the partials' keys, ``[batch, token, head, dim]``.

    With ``o_i`` and log-denominators ``l_i`` the joint result is
    ``sum_i exp(l_i - m) o_i / sum_i exp(l_i - m)``, ``m = max_i l_i``, in float32
    (online softmax; Milakov and Gimelshein, arXiv 1805.02867).
    """
    if len(partials) == 1:
        return partials[0].out
    lse = torch.stack([partial.lse for partial in partials])
    weights = torch.softmax(lse, dim=0).transpose(2, 3).unsqueeze(-1)
    merged = weights[0] * partials[0].out
    for weight, partial in zip(weights[1:-1], partials[1:-1], strict=True):
        merged.addcmul_(weight, partial.out)
    out = torch.empty_like(partials[-1].out)
    return torch.addcmul(merged, weights[-1], partials[-1].out, out=out)
