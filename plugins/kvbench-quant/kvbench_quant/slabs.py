"""Decoding in pieces, where something wider than the result stands in between."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from kvbench_core.cache import Planes

SLAB_ELEMENTS = 1 << 22


def slabs(planes: Planes, out: Tensor, group_tokens: int) -> Iterator[tuple[Planes, Tensor]]:
    """Pieces of ``planes`` and of ``out`` ``[batch, token, head, dim]``, in whole groups.

    About 4 million elements each: a float32 intermediate of a whole history would be twice as
    large as the bf16 buffer that it is decoded into.
    """
    group_elements = group_tokens * out[:, 0].numel()
    groups = max(1, SLAB_ELEMENTS // group_elements)
    for index, piece in enumerate(torch.split(out, groups * group_tokens, dim=1)):
        first = index * groups
        yield planes.groups(first, first + -(-piece.shape[1] // group_tokens)), piece
