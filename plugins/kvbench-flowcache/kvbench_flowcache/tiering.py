"""The parts ``hybrid``, ``adaptive``, ``prune``, ``soft_prune`` and ``drop``."""

from __future__ import annotations

from typing import ClassVar

from attrs import Factory, evolve, field, frozen

from kvbench_core.cache import CacheContext, ErrorBound, KVCodec
from kvbench_core.errors import ParameterError
from kvbench_core.params import at_least, one_of, optional, part_of, share
from kvbench_core.policy import Promise, Tiering
from kvbench_flowcache.budgets import LayerScales, check_layers, load_scales
from kvbench_flowcache.cache import FrameCache, Planner, Removal
from kvbench_flowcache.plan import Level, Shares
from kvbench_flowcache.score import PublishedChange, Recency, Score

A_CODEC = part_of(KVCodec, "a codec such as rtn(bits=4)")


@frozen
class Hybrid(Tiering):
    """The newest frames by ``newest``, all others by the method's own codec.

    ``newest_share`` is their share of all frames, times the layer's scale in ``layer_budgets``:
    ``'even'`` (1 everywhere), ``'ramp'`` (0.75 to 1.25 with depth), the published tables
    ``'moviegen'`` and ``'storyeval'``, or a CSV file with columns ``layer`` and ``scale``.
    ``newest`` defaults to the method's own codec.
    """

    name: ClassVar[str] = "hybrid"
    removal: ClassVar[Removal] = Removal.NOTHING
    every_write: ClassVar[bool] = False

    newest: KVCodec | None = field(default=None, validator=optional(A_CODEC))
    newest_share: float = field(default=0.25, validator=share())
    layer_budgets: str = field(default="even", kw_only=True)
    _scales: LayerScales = field(
        init=False,
        eq=False,
        repr=False,
        default=Factory(lambda self: load_scales(self.name, self.layer_budgets), takes_self=True),
    )

    def shares(self) -> Shares:
        """The share of each tier."""
        return Shares(newest=self.newest_share)

    def codecs(self, codec: KVCodec) -> dict[Level, KVCodec]:
        """The codec of each level that can hold a frame, in the order that frames go through."""
        return {Level.NEWEST: self.newest or codec, Level.RETAINED: codec}

    def make_score(self, context: CacheContext) -> Score:
        """The scores of one layer."""
        return Recency(context.geometry)

    def layer_cache(self, codec: KVCodec, layer: int, context: CacheContext) -> FrameCache:
        layers = context.geometry.layers
        check_layers(self.name, self.layer_budgets, self._scales, layers)
        codecs = self.codecs(codec)
        for used in codecs.values():
            used.check(context.geometry)
            self._check_groups(used, context.geometry.tokens_per_frame)
        planner = Planner(
            self.shares(),
            self._scales.at(layer, layers),
            self.make_score(context),
            every_write=self.every_write,
        )
        return FrameCache(layer, context, codecs, self.removal, planner)

    def _check_groups(self, codec: KVCodec, tokens_per_frame: int) -> None:
        if codec.group_tokens > tokens_per_frame:
            rule = f"at most the {tokens_per_frame} tokens of a latent frame"
            raise ParameterError(self.name, "every codec's group_tokens", rule, codec.group_tokens)

    def promise(self, codec: KVCodec) -> Promise:
        path = list(dict.fromkeys(self.codecs(codec).values()))
        bound: ErrorBound | None = path[0].error_bound()
        for later in path[1:]:
            bound = bound and bound.then(later.error_bound())
        return Promise(
            error_bound=bound,
            codings=len(path),
            chunk_invariant=len(path) == 1 and codec.chunk_invariant,
            fixed_bytes=all(used.fixed_bytes for used in path),
            layers_alike=self._scales.alike,
        )


@frozen
class Adaptive(Hybrid):
    """As ``hybrid``, with the most ``important`` of the older frames by a codec of their own.

    ``important_share`` is their share of the older frames, times the layer's scale. ``score``
    says what is important:

    * ``'recency'``: the newer the better. A final frame does not change, so this is what the
      published score comes to when it is computed as it was meant.
    * ``'published'``: ``alpha`` times the change of a summary plus ``beta`` times recency, with
      the study's misaligned comparison (:class:`~kvbench_flowcache.score.PublishedChange`).
    """

    name: ClassVar[str] = "adaptive"
    every_write: ClassVar[bool] = True

    important: KVCodec | None = field(default=None, validator=optional(A_CODEC))
    important_share: float = field(default=0.2, validator=share())
    score: str = field(default="recency", validator=one_of("recency", "published"), kw_only=True)
    alpha: float = field(default=0.7, validator=at_least(0), kw_only=True)
    beta: float = field(default=0.3, validator=at_least(0), kw_only=True)

    def shares(self) -> Shares:
        return Shares(newest=self.newest_share, important=self.important_share)

    def codecs(self, codec: KVCodec) -> dict[Level, KVCodec]:
        return {
            Level.NEWEST: self.newest or codec,
            Level.IMPORTANT: self.important or codec,
            Level.RETAINED: codec,
        }

    def make_score(self, context: CacheContext) -> Score:
        if self.score == "published":
            return PublishedChange(self.alpha, self.beta)
        return Recency(context.geometry)


@frozen
class Prune(Adaptive):
    """As ``adaptive``, with only ``retained_share`` of the other frames kept.

    The rest is pruned and reads as zeros that stay in the softmax: they take up weight and give
    nothing, as the study ran it (D10). They cost neither memory nor attention.
    """

    name: ClassVar[str] = "prune"
    removal: ClassVar[Removal] = Removal.ZEROS
    every_write: ClassVar[bool] = False

    important_share: float = field(default=0.1, validator=share())
    retained_share: float = field(default=0.45, validator=share())

    def shares(self) -> Shares:
        return Shares(
            newest=self.newest_share,
            important=self.important_share,
            retained=self.retained_share,
        )

    def promise(self, codec: KVCodec) -> Promise:
        kept = super().promise(codec)
        return evolve(
            kept,
            error_bound=None,
            codings=(kept.codings or 0) + 1,
            chunk_invariant=False,
            keeps_all=self.removal is not Removal.NOTHING,
        )


@frozen
class SoftPrune(Prune):
    """As ``prune``, with each pruned frame kept as one mean key and value per head.

    Attention reads them with the weight of all the frame's tokens.
    """

    name: ClassVar[str] = "soft_prune"
    removal: ClassVar[Removal] = Removal.MEAN


@frozen
class Drop(Prune):
    """As ``prune``, with pruned frames removed from attention altogether."""

    name: ClassVar[str] = "drop"
    removal: ClassVar[Removal] = Removal.NOTHING
