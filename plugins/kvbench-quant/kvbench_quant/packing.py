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

CONTAINERS = (8, 16)
"""Choices of a method's ``container_bits``, besides ``None``: really packed."""


def pack(codes: Tensor, bits: int) -> Tensor:
    """Codes to bytes, ``[batch, group, token * bits / 8, head, dim]``.

    ``codes`` ``[batch, group, token, head, dim]`` is uint8, or int8 in two's complement; only its
    lowest ``bits`` bits count. The number of tokens in a group is a multiple of 8.
    """
    raw = codes.view(torch.uint8)
    packed = [
        _packed_field(raw >> offset if offset else raw, width) for width, offset in _fields(bits)
    ]
    return packed[0] if len(packed) == 1 else torch.cat(packed, dim=2)


def store(codes: Tensor, bits: int, container_bits: int | None) -> Tensor:
    """Codes packed, or each in a container of 8 or 16 bits, ``[batch, group, token, head, dim]``.

    The published study kept its codes in containers and reported the packed size.
    """
    if container_bits is None:
        return pack(codes, bits)
    return codes.to(torch.int16) if container_bits == 16 else codes


def unpack(packed: Tensor, bits: int) -> Tensor:
    """The codes of :func:`pack`, *raised*: ``code << (8 - bits)`` as uint8.

    Raised codes need no sign extension: viewed as int8 they are ``2 ** (8 - bits)`` times the
    signed code, a factor that the caller folds into the scale. May share memory with ``packed``.
    """
    if bits == 8:
        return packed
    tokens = packed.shape[2] * 8 // bits
    first, raised = 0, None
    for width, offset in _fields(bits):
        last = first + tokens * width // 8
        field = _raised_field(packed[:, :, first:last], width)
        raised = field if raised is None else raised | field >> (bits - width - offset)
        first = last
    assert raised is not None
    return raised


def _fields(bits: int) -> Iterator[tuple[int, int]]:
    """Width and lowest bit of each field, from the most significant on."""
    for width in (8, 4, 2, 1):
        if bits & width:
            yield width, bits & (width - 1)


def _packed_field(raw: Tensor, width: int) -> Tensor:
    """One byte from every ``8 / width`` codes; above its lowest ``width`` bits ``raw`` is noise."""
    slots = _slots(raw, width)
    packed = slots[0] & ((1 << width) - 1)
    for slot, codes in enumerate(slots[1:], start=1):
        packed |= (codes & ((1 << width) - 1)) << (width * slot)
    return packed


def _raised_field(packed: Tensor, width: int) -> Tensor:
    """Each code of a field in the top ``width`` bits of a byte, the others zero."""
    batch, groups, count, heads, dim = packed.shape
    raised = packed.new_empty(batch, groups, count * 8 // width, heads, dim)
    top = 256 - (1 << (8 - width))
    for slot, codes in enumerate(_slots(raised, width)):
        up = 8 - width * (slot + 1)
        if up == 0:
            torch.bitwise_and(packed, top, out=codes)
            continue
        torch.bitwise_left_shift(packed, up, out=codes)
        if slot:  # the lowest slot has nothing below it to clear
            codes &= top
    return raised


def _slots(codes: Tensor, width: int) -> tuple[Tensor, ...]:
    """Views of the runs of tokens whose codes lie side by side in a byte, lowest bits first."""
    batch, groups, tokens, heads, dim = codes.shape
    return codes.view(batch, groups, 8 // width, tokens * width // 8, heads, dim).unbind(2)
