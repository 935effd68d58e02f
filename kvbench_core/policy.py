"""Cache methods: a policy makes one layer cache per layer; most are compositions of parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from enum import Enum
from typing import ClassVar, Self

from attrs import field, frozen
from torch import Tensor

from kvbench_core.cache.codec import BF16, ErrorBound, KVCodec
from kvbench_core.cache.context import CacheContext
from kvbench_core.cache.dense import DenseCache
from kvbench_core.cache.layer import LayerCache
from kvbench_core.cache.queue import QueueCache
from kvbench_core.errors import ExpressionError
from kvbench_core.geometry import Step


@frozen(kw_only=True)
class Promise:
    """What a policy promises about its caches; the conformance suite checks what is promised.

    ``error_bound`` holds for every token that is kept one by one; ``None`` where content is
    dropped or summarised. ``exact_chunks`` newest chunks are kept unchanged. ``keeps_all`` means
    that every token of the rollout stays visible to every head. ``codings`` is how often the value
    of a kept token may change once its chunk is final: once for a codec, once more for each tier
    that it moves on to; ``None`` where stored content is rewritten. ``chunk_invariant`` means that
    a coded token's value does not depend on how the rollout is cut into chunks, ``fixed_bytes``
    that stored bytes follow from shapes alone, ``layers_alike`` that they are the same in every
    layer, ``independent_layers`` that no layer's cache learns anything of another's.
    """

    error_bound: ErrorBound | None = None
    exact_chunks: int = 0
    keeps_all: bool = True
    codings: int | None = 1
    chunk_invariant: bool = True
    fixed_bytes: bool = True
    layers_alike: bool = True
    independent_layers: bool = True

    @classmethod
    def of(cls, codec: KVCodec, *, exact_chunks: int = 0) -> Self:
        """What holds where ``codec`` alone codes, all but the newest ``exact_chunks``."""
        return cls(
            error_bound=codec.error_bound(),
            exact_chunks=exact_chunks,
            chunk_invariant=codec.chunk_invariant,
            fixed_bytes=codec.fixed_bytes,
        )


class Cadence(Enum):
    """On which passes over a chunk the ``reconstruct`` integration encodes.

    In ``streaming`` a chunk attends to its own exact K and V, so what a noisy pass would write is
    never read: both cadences encode once, on the clean pass, and give the same video.
    """

    PER_STEP = "per_step"
    REFRESH_ONLY = "refresh_only"

    def encodes(self, step: Step) -> bool:
        return step.is_context or self is Cadence.PER_STEP


class Reuse(ABC):
    """Decides, before a denoising pass, whether the generator may skip the transformer."""

    name: ClassVar[str] = "reuse"

    @abstractmethod
    def new_state(self) -> ReuseState:
        """Fresh state for one rollout."""


class ReuseState(ABC):
    """The memory of a :class:`Reuse` during one rollout."""

    @abstractmethod
    def should_skip(self, step: Step, feature: Tensor) -> bool:
        """``feature`` is the pass's patch-embedded input, ``[batch, token, width]``.

        Asked once before each noisy pass, never for the clean one. At a chunk's first pass there
        is nothing to reuse: the feature is shown, the answer does not count. Nobody changes a
        feature later, so it may be kept as it is.
        """


class Retention(ABC):
    """What of the history a cache keeps, whichever method it belongs to."""

    name: ClassVar[str] = "retention"

    @abstractmethod
    def layer_cache(self, cache: LayerCache) -> LayerCache:
        """``cache`` as it forgets by this rule.

        Raises:
            CacheError: it is of a class that cannot forget.
        """

    @abstractmethod
    def promise(self, promise: Promise) -> Promise:
        """What remains of what the method promises without it."""


class Policy(ABC):
    """A KV-cache method with its parameters."""

    cadence: Cadence = Cadence.PER_STEP
    retention: Retention | None = None

    @abstractmethod
    def layer_cache(self, layer: int, context: CacheContext) -> LayerCache:
        """A fresh cache for ``layer``; called for every layer at the start of each rollout."""

    @abstractmethod
    def promise(self) -> Promise:
        """What the conformance suite may hold the policy to."""

    def reuse(self) -> Reuse | None:
        """The rule by which whole forward passes are skipped, if there is one."""
        return None


class Tiering(ABC):
    """Which codec each token gets, and which tokens are kept: turns a codec into a cache."""

    name: ClassVar[str] = "tiering"

    @abstractmethod
    def layer_cache(self, codec: KVCodec, layer: int, context: CacheContext) -> LayerCache:
        """A fresh cache whose tokens are kept by ``codec`` where the tiering says nothing else."""

    @abstractmethod
    def promise(self, codec: KVCodec) -> Promise:
        """What the caches promise."""


@frozen(kw_only=True)
class Composition(Policy):
    """A policy put together from parts: codec, tiering, retention, cadence, reuse."""

    codec: KVCodec = BF16
    tiering: Tiering | None = None
    retention: Retention | None = None
    cadence: Cadence = Cadence.PER_STEP
    feature_reuse: Reuse | None = field(default=None)

    def layer_cache(self, layer: int, context: CacheContext) -> LayerCache:
        cache = self._whole(layer, context)
        return cache if self.retention is None else self.retention.layer_cache(cache)

    def _whole(self, layer: int, context: CacheContext) -> LayerCache:
        self.codec.check(context.geometry)
        if self.tiering is not None:
            return self.tiering.layer_cache(self.codec, layer, context)
        if self.codec == BF16:
            return DenseCache(layer, context)
        return QueueCache(layer, context, tiers=(), last=self.codec)

    def promise(self) -> Promise:
        codec, tiering = self.codec, self.tiering
        whole = Promise.of(codec) if tiering is None else tiering.promise(codec)
        return whole if self.retention is None else self.retention.promise(whole)

    def reuse(self) -> Reuse | None:
        return self.feature_reuse


def compose(parts: Iterable[object]) -> Policy:
    """One policy from its parts, at most one of each kind.

    Raises:
        ExpressionError: two parts of one kind, or something that is no part.
    """
    kinds = {
        KVCodec: "codec",
        Tiering: "tiering",
        Retention: "retention",
        Cadence: "cadence",
        Reuse: "feature_reuse",
    }
    chosen: dict[str, object] = {}
    for part in parts:
        slot = next((slot for kind, slot in kinds.items() if isinstance(part, kind)), None)
        if slot is None:
            raise ExpressionError(f"{part!r} cannot be added to a method")
        if slot in chosen:
            raise ExpressionError(f"a method takes one {slot}; got {chosen[slot]!r} and {part!r}")
        chosen[slot] = part
    return Composition(**chosen)  # type: ignore[arg-type]
