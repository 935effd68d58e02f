"""Few single values of a run of tokens."""

from __future__ import annotations

from typing import Self

import torch
from attrs import frozen
from torch import Tensor
from torch.nn.functional import pad

from kvbench_core.cache import Planes

LARGEST_VALUE = 65504.0  # fp16's


@frozen(eq=False)
class SparsePlanes(Planes):
    """Single values, ordered by video, group and place.

    ``counts`` ``[batch, group]`` says how many a group has. ``place`` ``[value]`` is an element's
    number within its group ``[token, head, dim]``, ``value`` ``[value]`` is fp16. ``counts`` and
    ``place`` are int16, or int32 where groups are too large for it.
    """

    counts: Tensor
    place: Tensor
    value: Tensor

    def tensors(self) -> tuple[Tensor, ...]:
        return (self.counts,)

    def groups(self, first: int, last: int) -> Self:
        return self._cells(self._numbers()[:, first:last])

    def rows(self, which: slice | Tensor) -> Self:
        return self._cells(self._numbers()[which])

    def copy(self) -> Self:
        return type(self)(self.counts.clone(), self.place.clone(), self.value.clone())

    def join(self, later: Self, dim: int = 1) -> Self:
        both = type(self)(
            torch.cat([self.counts.flatten(), later.counts.flatten()]),
            torch.cat([self.place, later.place]),
            torch.cat([self.value, later.value]),
        )
        behind = later._numbers() + self.counts.numel()
        return both._cells(torch.cat([self._numbers(), behind], dim))

    def _numbers(self) -> Tensor:
        """The groups of all videos numbered in order, ``[batch, group]``."""
        cells = torch.arange(self.counts.numel(), device=self.counts.device)
        return cells.view(self.counts.shape)

    def _cells(self, cells: Tensor) -> Self:
        """The groups with these numbers, ``[batch, group]``, in this order."""
        if cells.is_meta:  # planned without data: nothing is stored
            counts = self.counts.new_empty(cells.shape)
            return type(self)(counts, self.place, self.value)
        every = self.counts.flatten()
        counts = every[cells]
        repeats = counts.flatten().long()
        starts = every.cumsum(0) - every
        skipped = starts[cells.flatten()] - (repeats.cumsum(0) - repeats)
        which = torch.repeat_interleave(skipped, repeats)
        which += torch.arange(len(which), device=which.device)
        return type(self)(counts, self.place[which], self.value[which])


def gather(x: Tensor, chosen: Tensor, group_tokens: int) -> SparsePlanes:
    """The ``chosen`` elements (bool, like ``x``) of ``x`` ``[batch, token, head, dim]``."""
    missing = -x.shape[1] % group_tokens
    groups = (x.shape[1] + missing) // group_tokens
    elements = group_tokens * x[0, 0].numel()
    integers = torch.int16 if elements < 1 << 15 else torch.int32
    if x.is_meta:
        counts = x.new_empty((x.shape[0], groups), dtype=integers)
        return SparsePlanes(counts, counts.new_empty(0), x.new_empty(0, dtype=torch.float16))
    cells = pad(chosen, (0, 0, 0, 0, 0, missing)) if missing else chosen
    batch, group, place = cells.view(x.shape[0], groups, elements).nonzero(as_tuple=True)
    counts = torch.bincount(batch * groups + group, minlength=x.shape[0] * groups)
    # In float32, because the largest fp16 number is no bf16 number.
    values = x[chosen].float().clamp_(-LARGEST_VALUE, LARGEST_VALUE).half()
    return SparsePlanes(counts.view(x.shape[0], groups).to(integers), place.to(integers), values)


def scatter_(out: Tensor, planes: SparsePlanes, group_tokens: int) -> None:
    """Write the values into ``out`` ``[batch, token, head, dim]``; its last group may be short."""
    if out.is_meta:
        return
    batch, tokens, heads, dim = out.shape
    groups, width = planes.counts.shape[1], heads * dim
    counts, place = planes.counts.flatten().long(), planes.place.long()
    cells = torch.arange(len(counts), device=out.device)
    cell = torch.repeat_interleave(cells, counts, output_size=len(place))
    token = cell % groups * group_tokens + place // width
    at, values = (cell // groups, token, place % width), planes.value.to(out.dtype)
    if tokens < groups * group_tokens:
        fits = token < tokens
        at, values = (at[0][fits], at[1][fits], at[2][fits]), values[fits]
    out.view(batch, tokens, width).index_put_(at, values)
