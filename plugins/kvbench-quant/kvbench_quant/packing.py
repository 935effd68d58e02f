"""Codes of 1 to 8 bits in memory of exactly that size.

A group of ``n`` codes is cut into fields whose widths are powers of two (3 bits: a 2-bit and a
1-bit field). Of one field, each byte holds ``8 / width`` codes that lie ``n * width / 8`` tokens
apart: token 0 shares its byte with token 8 at 4 bits and ``n = 16``. So every step of packing and
unpacking works on whole runs of tokens that are contiguous in memory.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


def pack(codes: Tensor, bits: int) -> Tensor:
    """``[batch, group, token, head, dim]`` codes to bytes, ``token * bits / 8`` of them per channel.

    ``codes`` is uint8, or int8 in two's complement; only its lowest ``bits`` bits count. The number
    of tokens in a group is a multiple of 8.
    """
    raw = codes.view(torch.uint8)
    packed = [_packed_field(raw >> offset, width) for width, offset in _fields(bits)]
    return packed[0] if len(packed) == 1 else torch.cat(packed, dim=2)


def unpack(packed: Tensor, bits: int) -> Tensor:
    """The codes of :func:`pack`, *raised*: ``code << (8 - bits)`` as uint8.

    Raised codes need no sign extension: viewed as int8 they are ``2 ** (8 - bits)`` times the
    signed code, a factor that the caller folds into the scale. May share memory with ``packed``.
    """
    if bits == 8:
        return packed
    batch, groups, stored, heads, dim = packed.shape
    tokens = stored * 8 // bits
    widths = list(_fields(bits))
    pieces = packed.split([tokens * width // 8 for width, _ in widths], dim=2)
    raised = packed.new_empty(batch, groups, tokens, heads, dim)
    _raise_field(pieces[0], widths[0][0], raised)
    for piece, (width, offset) in zip(pieces[1:], widths[1:], strict=True):
        field = torch.empty_like(raised)
        _raise_field(piece, width, field)
        raised |= field >> (bits - width - offset)
    return raised


def _fields(bits: int) -> Iterator[tuple[int, int]]:
    """Width and lowest bit of each field, from the most significant on."""
    for width in (8, 4, 2, 1):
        if bits & width:
            yield width, bits & (width - 1)


def _packed_field(raw: Tensor, width: int) -> Tensor:
    """One byte from every ``8 / width`` codes; above its lowest ``width`` bits ``raw`` is noise."""
    slots = raw.unflatten(2, (8 // width, -1)).unbind(2)
    packed = slots[0] & ((1 << width) - 1)
    for slot, codes in enumerate(slots[1:], start=1):
        packed |= (codes & ((1 << width) - 1)) << (width * slot)
    return packed


def _raise_field(packed: Tensor, width: int, out: Tensor) -> None:
    """Each code of a field in the top ``width`` bits of a byte of ``out``, the others zero."""
    top = 256 - (1 << (8 - width))
    for slot, target in enumerate(out.unflatten(2, (8 // width, -1)).unbind(2)):
        up = 8 - width * (slot + 1)
        if up == 0:
            torch.bitwise_and(packed, top, out=target)
            continue
        torch.bitwise_left_shift(packed, up, out=target)
        if slot:  # the lowest slot has nothing below it to clear
            target &= top
