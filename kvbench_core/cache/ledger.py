"""Bytes really held: unique tensor storages reachable from an object."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial

from torch import Tensor


def storages(root: object, *, skip: Iterable[object] = ()) -> dict[int, int]:
    """Bytes of every tensor storage that can be reached from ``root``, by storage.

    Follows attributes, slots, attrs fields, mappings and sequences. A view counts with all the
    memory that it keeps alive. Nothing inside an object listed in ``skip`` counts.
    """
    seen = {id(thing) for thing in skip}
    found: dict[int, int] = {}
    pending: list[object] = [root]
    while pending:
        thing = pending.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, Tensor):
            storage = thing.untyped_storage()
            # The object, not the address: on the meta device every address is 0.
            found[storage._cdata] = storage.nbytes()
        else:
            pending.extend(_children(thing))
    return found


def held_bytes(root: object, *, skip: Iterable[object] = ()) -> int:
    """Sum of :func:`storages`."""
    return sum(storages(root, skip=skip).values())


def _children(thing: object) -> Iterable[object]:
    if isinstance(thing, str | bytes | int | float | type):
        return ()
    if isinstance(thing, Mapping):
        return (*thing.keys(), *thing.values())
    if isinstance(thing, list | tuple | set | frozenset | deque):
        return thing
    if isinstance(thing, partial):
        return (thing.func, thing.args, thing.keywords)
    children = list(getattr(thing, "__dict__", {}).values())
    for kind in type(thing).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        names = (slots,) if isinstance(slots, str) else slots
        children += [getattr(thing, name, None) for name in names]
    children += [getattr(thing, name, None) for name in ("__self__", "__defaults__")]
    for cell in getattr(thing, "__closure__", None) or ():
        with suppress(ValueError):  # a cell that is not filled yet
            children.append(cell.cell_contents)
    return children
