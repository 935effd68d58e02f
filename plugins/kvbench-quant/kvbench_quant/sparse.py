"""Few single values of a run of tokens."""

from __future__ import annotations

from typing import Self

import torch
from attrs import evolve, frozen
from torch import Tensor
from torch.nn.functional import pad

from kvbench_core.cache import Planes
from kvbench_quant.fused import in_lines

LARGEST_VALUE = 65504.0  # fp16's


@frozen(eq=False)
class SparsePlanes(Planes):
    """Single values, ordered by video, group and place.

    ``counts`` ``[batch, group]`` says how many a group has. ``place`` ``[value]`` is an element's
    number within its group ``[token, head, dim]``, ``value`` ``[value]`` is fp16. ``counts`` and
    ``place`` are int16, or int32 where groups are too large for it. A part that shares memory with
    the whole says where each group's values start, int64 ``[batch, group]``; by themselves they
    follow one another.
    """

    counts: Tensor
    place: Tensor
    value: Tensor
    starts: Tensor | None = None

    def tensors(self) -> tuple[Tensor, ...]:
        return (self.counts,)

    def first_values(self) -> Tensor:
        """Where each group's values start, int64 ``[batch, group]``."""
        if self.starts is not None:
            return self.starts
        flat = self.counts.flatten()
        return (flat.cumsum(0) - flat).view(self.counts.shape)

    def groups(self, first: int, last: int) -> Self:
        starts = self.first_values()[:, first:last]
        return evolve(self, counts=self.counts[:, first:last], starts=starts)

    def rows(self, which: slice | Tensor) -> Self:
        part = evolve(self, counts=self.counts[which], starts=self.first_values()[which])
        return part if isinstance(which, slice) else part.copy()

    def join(self, later: Self, dim: int = 1) -> Self:
        behind = later.first_values() + len(self.place)
        both = type(self)(
            torch.cat([self.counts, later.counts], dim),
            torch.cat([self.place, later.place]),
            torch.cat([self.value, later.value]),
            torch.cat([self.first_values(), behind], dim),
        )
        whole = self.starts is None and later.starts is None
        in_order = whole and (dim == 0 or len(self.counts) == 1)
        return evolve(both, starts=None) if in_order else both.copy()

    def copy(self) -> Self:
        if self.counts.is_meta:  # planned without data: nothing is stored
            return evolve(self, starts=None)
        repeats = self.counts.flatten().long()
        skipped = self.first_values().flatten() - (repeats.cumsum(0) - repeats)
        which = torch.repeat_interleave(skipped, repeats)
        which += torch.arange(len(which), device=which.device)
        return type(self)(self.counts.clone(), self.place[which], self.value[which])


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
    cells = cells.view(x.shape[0], groups, elements)
    batch, group, place = cells.nonzero(as_tuple=True)
    values = x.flatten(1)[batch, group * elements + place]
    # In float32, because the largest fp16 number is no bf16 number.
    values = values.float().clamp_(-LARGEST_VALUE, LARGEST_VALUE).half()
    return SparsePlanes(cells.sum(2).to(integers), place.to(integers), values)


def scatter_(out: Tensor, planes: SparsePlanes, group_tokens: int) -> None:
    """Write the values into ``out`` ``[batch, token, head, dim]``; its last group may be short."""
    if out.is_meta:
        return
    if in_lines(out):
        from kvbench_quant.kernels.scatter import scatter

        scatter(planes, group_tokens, out)
    else:
        scatter_plainly_(out, planes, group_tokens)


def scatter_plainly_(out: Tensor, planes: SparsePlanes, group_tokens: int) -> None:
    """:func:`scatter_` in torch, on any device."""
    batch, tokens, heads, dim = out.shape
    groups, width = planes.counts.shape[1], heads * dim
    alone = planes if planes.starts is None else planes.copy()
    counts, place = alone.counts.flatten().long(), alone.place.long()
    cells = torch.arange(len(counts), device=out.device)
    cell = torch.repeat_interleave(cells, counts, output_size=len(place))
    token = cell % groups * group_tokens + place // width
    at, values = (cell // groups, token, place % width), alone.value.to(out.dtype)
    if tokens < groups * group_tokens:
        fits = token < tokens
        at, values = (at[0][fits], at[1][fits], at[2][fits]), values[fits]
    out.view(batch, tokens, width).index_put_(at, values)
