"""The base of codecs that work on groups of consecutive tokens."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from attrs import Attribute
from torch import Tensor

from kvbench_core.cache import Planes, TensorCodec
from kvbench_core.errors import ParameterError


class GroupedCodec(TensorCodec):
    """A codec that sees ``[batch, group, token, head, dim]``: every group full.

    The base cuts the tokens into groups of ``group_tokens``, fills the last one by repeating its
    last token, which widens no range, and decodes straight into the caller's buffer.
    """

    @abstractmethod
    def encode_groups(self, groups: Tensor) -> Planes:
        """Code full groups; ``groups`` may be a view of the caller's tensor."""

    @abstractmethod
    def decode_groups(self, planes: Planes, out: Tensor) -> None:
        """Write all groups of ``planes`` into ``out``, ``[batch, group, token, head, dim]``."""

    def encode(self, x: Tensor) -> Planes:
        missing = -x.shape[1] % self.group_tokens
        filled = torch.cat([x, x[:, -1:].expand(-1, missing, -1, -1)], dim=1) if missing else x
        return self.encode_groups(_by_group(filled, self.group_tokens))

    def decode(self, planes: Planes, out: Tensor) -> None:
        full, rest = divmod(out.shape[1], self.group_tokens)
        if full:
            whole = out[:, : full * self.group_tokens]
            self.decode_groups(planes.groups(0, full), _by_group(whole, self.group_tokens))
        if rest:
            last = out.new_empty(out.shape[0], 1, self.group_tokens, *out.shape[2:])
            self.decode_groups(planes.groups(full, full + 1), last)
            out[:, full * self.group_tokens :].copy_(last[:, 0, :rest])


def _by_group(x: Tensor, group_tokens: int) -> Tensor:
    """A view of full groups, ``[batch, group, token, head, dim]``, of a tensor of any strides."""
    batch, tokens, heads, dim = x.shape
    return x.view(batch, tokens // group_tokens, group_tokens, heads, dim)


def group_size(instance: object, attribute: Attribute[Any], value: Any) -> None:
    """attrs validator of ``group_tokens``: codes of any width then fill whole bytes.

    Raises:
        ParameterError: not a positive multiple of 8.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 8 or value % 8:
        owner = str(getattr(instance, "name", type(instance).__name__))
        raise ParameterError(owner, attribute.name, "a positive multiple of 8", value)
