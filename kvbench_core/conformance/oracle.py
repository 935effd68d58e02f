"""Independent answers: attention, readable tokens, memory. Shares no code with the caches."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterable, Mapping
from types import CodeType, FrameType, FunctionType, ModuleType

import numpy as np
import torch
from torch import Tensor

from kvbench_core.geometry import Step

SMALL_BYTES = 256
"""Python byte strings up to here are names and flags, not stored tokens."""


def dense_attention(q: Tensor, k: Tensor, v: Tensor, seen: Tensor) -> Tensor:
    """Softmax attention in float32 over the keys that ``seen`` ``[key, head]`` shows.

    All others are ``[batch, token, head, dim]``.
    """
    logits = torch.einsum("bqhd,bkhd->bhqk", q.float(), k.float()) / math.sqrt(q.shape[-1])
    logits = logits.masked_fill(~seen.T[None, :, None, :], -math.inf)
    return torch.einsum("bhqk,bkhd->bqhd", logits.softmax(dim=-1), v.float())


def readable_tokens(step: Step) -> Tensor:
    """Which of the tokens before the chunk attention may read, ``[token]``, by enumeration."""
    geometry = step.geometry
    token = torch.arange(step.start)
    if geometry.window_frames is None:
        return torch.ones_like(token, dtype=torch.bool)
    frame, end = token // geometry.tokens_per_frame, step.start_frame + step.frames
    newest = end - (geometry.window_frames - geometry.sink_frames)
    return (frame < geometry.sink_frames) | (frame >= newest)


def reachable_tensors(roots: Iterable[object], skip: Iterable[object] = ()) -> list[object]:
    """Tensors, numpy arrays and byte strings that the collector reaches from ``roots``.

    Does not pass through types, modules or the global variables of functions, nor through
    ``skip``.
    """
    seen = {id(thing) for thing in skip}
    pending = list(roots)
    alive: list[object] = []
    found: list[object] = []
    while pending:
        thing = pending.pop()
        if id(thing) in seen or isinstance(thing, type | ModuleType | CodeType | FrameType):
            continue
        seen.add(id(thing))
        alive.append(thing)  # an id is unique only while its object lives
        if isinstance(thing, Tensor | np.ndarray | bytes | bytearray):
            found.append(thing)
        elif isinstance(thing, dict) and "__builtins__" in thing:
            continue
        if isinstance(thing, FunctionType):
            pending += [thing.__closure__, thing.__defaults__, thing.__kwdefaults__, thing.__dict__]
        elif isinstance(thing, np.ndarray):
            pending.append(thing.base)
        else:
            pending += gc.get_referents(thing)
    return found


def memory(found: Iterable[object]) -> dict[object, int]:
    """Bytes of each piece of memory that the objects keep alive, every piece once."""
    pieces: dict[object, int] = {}
    for thing in found:
        if isinstance(thing, Tensor):
            storage = thing.untyped_storage()
            pieces["tensor", storage._cdata] = storage.nbytes()
        elif isinstance(thing, np.ndarray):
            if thing.base is None:
                pieces["array", id(thing)] = thing.nbytes
        elif isinstance(thing, bytes | bytearray) and len(thing) > SMALL_BYTES:
            pieces["bytes", id(thing)] = len(thing)
    return pieces


def living_tensors() -> list[Tensor]:
    """Every tensor of this process that Python knows of."""
    gc.collect()
    # type(), because isinstance() asks lazy proxies of other libraries for their class.
    return [thing for thing in gc.get_objects() if issubclass(type(thing), Tensor)]


def idle_bytes(found: Iterable[object]) -> dict[object, float]:
    """How many bytes of each tensor's memory carry nothing.

    Taken over all elements of one memory, the bits of an element that never change, or that
    follow from its other bits by exclusive or, carry nothing: 4-bit codes kept in bytes repeat
    their sign four times or leave four bits at zero.
    """
    idle: dict[object, float] = {}
    for thing in found:
        if not isinstance(thing, Tensor) or thing.is_meta:
            continue
        whole = torch.empty(0, dtype=thing.dtype).set_(thing.untyped_storage())
        if whole.numel():
            key = "tensor", thing.untyped_storage()._cdata
            idle[key] = thing.untyped_storage().nbytes() * (1 - busy_bits(whole))
    return idle


def busy_bits(values: Tensor) -> float:
    """The share of an element's bits that are independent over ``values``."""
    width = min(values.element_size(), 8)
    words = values.view(torch.uint8).reshape(-1, width).numpy().copy()
    patterns = np.unique(words.view(f"<u{width}")).tolist()
    basis: list[int] = []
    for pattern in patterns:
        rest = pattern ^ patterns[0]
        for vector in basis:
            rest = min(rest, rest ^ vector)
        if rest:
            basis.append(rest)
            if len(basis) == 8 * width:
                break
    return len(basis) / (8 * width)


def worst(figures: Mapping[str, float]) -> str:
    """The name with the largest figure."""
    return max(figures, key=lambda name: figures[name])
