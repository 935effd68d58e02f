"""The published peaks as what a run needs besides its cache, plus the bytes really held.

    peak = (BF16 peak - BF16 cache) + held bytes of the method

The published study did not pack its codes: its first code revision kept each in a 16-bit integer,
later ones in 8 bits (`docs/defects.md`, D1). Held and packed bytes come from the methods' own
layouts, run on tensors without memory at the study's geometry; no size is written down here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from inspect import signature

from attrs import evolve, frozen

from kvbench_core.backend import Backend
from kvbench_core.budget import footprint
from kvbench_core.errors import KvbenchError, PluginError, UnknownNameError
from kvbench_core.naming import Term, Value
from kvbench_core.published import Benchmark, MethodFigures, method_figures
from kvbench_core.registry import Registry
from kvbench_core.run.listener import Listener
from kvbench_core.specs import BackendSpec, PartSpec

BACKEND, BACKEND_PACKAGE, FRAMES = "wan-1.3b", "kvbench-selfforcing-wan", 42
LISTING = "kvbench published table"
FIRST_REVISION = frozenset(
    ("RTN_INT2", "RTN_INT4", "KIVI_INT2", "KIVI_INT4", "QUAROT_KV_INT2", "QUAROT_KV_INT4")
)
"""The rows made with 16-bit containers."""
EXPLAINED = 0.01
"""The model explains a peak that it meets within this share."""


@frozen(kw_only=True)
class Peak:
    """A published peak and what it is made of, in bytes.

    ``other_bytes`` is everything but the cache, the same for all methods; ``held_bytes`` the cache
    with codes in ``container_bits``, ``packed_bytes`` the cache with packed codes.
    """

    method: str
    container_bits: int
    published_bytes: int
    other_bytes: int
    held_bytes: int
    packed_bytes: int

    @property
    def model_bytes(self) -> int:
        """What the model says."""
        return self.other_bytes + self.held_bytes

    @property
    def difference_bytes(self) -> int:
        """Published minus model."""
        return self.published_bytes - self.model_bytes

    @property
    def packed_peak_bytes(self) -> int:
        """The peak that the model gives for packed codes."""
        return self.other_bytes + self.packed_bytes

    @property
    def is_explained(self) -> bool:
        """Whether the model meets the published peak."""
        return abs(self.difference_bytes) <= EXPLAINED * self.published_bytes


def explain(
    registry: Registry, benchmark: Benchmark, methods: Iterable[str], listener: Listener
) -> tuple[list[Peak], dict[str, str]]:
    """The published peaks of ``methods``, and why a method is left out that is not installed.

    Raises:
        KvbenchError: the generator whose geometry is needed is not installed, or a method is not
            in the table.
    """
    if BACKEND not in registry.all(BackendSpec):
        raise PluginError(f"the geometry of {BACKEND} is needed: pip install {BACKEND_PACKAGE}")
    backend = registry.backend(BACKEND)
    rows = method_figures(benchmark)
    chosen = list(methods)
    for name in chosen:
        if name not in rows:
            raise UnknownNameError(f"method of {benchmark}", name, rows, LISTING)
    other = rows["BF16"].peak_vram_bytes - backend.geometry().dense_bytes(FRAMES)
    found: list[Peak] = []
    missing: dict[str, str] = {}
    listener.plan(len(chosen), 0, 1)
    for name in chosen:
        listener.start(name)
        try:
            found.append(_peak(registry, backend, benchmark, rows[name], other))
        except KvbenchError as error:
            missing[name] = str(error)
        listener.finish(name, "left out" if name in missing else "done")
    return found, missing


def _peak(
    registry: Registry, backend: Backend, benchmark: Benchmark, row: MethodFigures, other: int
) -> Peak:
    width = 16 if row.method in FIRST_REVISION else 8
    packed: dict[str, Value] = {"layer_budgets": benchmark}
    return Peak(
        method=row.method,
        container_bits=width,
        published_bytes=row.peak_vram_bytes,
        other_bytes=other,
        held_bytes=_stored(registry, backend, row.method, packed | {"container_bits": width}),
        packed_bytes=_stored(registry, backend, row.method, packed),
    )


def _stored(registry: Registry, backend: Backend, name: str, changes: Mapping[str, Value]) -> int:
    """Bytes of a method's cache at the study's geometry, some parameters changed."""
    terms = [_changed(registry, term, changes) for term in registry.expand(name)]
    policy = registry.policy("+".join(map(str, terms)))
    return footprint(policy, backend, FRAMES).stored_bytes


def _changed(registry: Registry, term: Term, changes: Mapping[str, Value]) -> Term:
    """``term`` with the changes in every part that has such a parameter."""
    takes = signature(registry.find(PartSpec, term.name).load()).parameters
    arguments = {
        key: _changed(registry, value, changes) if isinstance(value, Term) else value
        for key, value in term.arguments.items()
    }
    mine = {key: value for key, value in changes.items() if key in takes}
    return evolve(term, arguments=arguments | mine)
