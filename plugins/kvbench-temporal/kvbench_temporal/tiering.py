"""The part ``age``."""

from __future__ import annotations

from typing import ClassVar

from attrs import field, frozen

from kvbench_core.cache import CacheContext, ErrorBound, KVCodec, LayerCache, QueueCache, Tier
from kvbench_core.params import part_of, share
from kvbench_core.policy import Promise, Tiering


@frozen
class Age(Tiering):
    """The newest tokens by ``newest``, the older ones by the method's codec.

    Of ``n`` tokens the newest ``max(1, round(share * n))`` are meant; ``n`` counts what has been
    generated, the chunk in progress included (which is itself exact until it is final).

    A token that becomes old is decoded and coded again, once: its error is that of both codecs.
    Tokens move on in whole groups of ``newest``, so up to ``newest.group_tokens - 1`` stay longer.
    """

    name: ClassVar[str] = "age"

    newest: KVCodec = field(validator=part_of(KVCodec, "a codec such as rtn(bits=4)"))
    share: float = field(default=0.3, validator=share())

    def layer_cache(self, codec: KVCodec, layer: int, context: CacheContext) -> LayerCache:
        return QueueCache(layer, context, [Tier(self.newest, self.tokens)], last=codec)

    def promise(self, codec: KVCodec) -> Promise:
        bound = self.newest.error_bound()
        unchanged = bound == ErrorBound(relative=0.0)
        return Promise(
            error_bound=bound.then(codec.error_bound()),
            codings=1 if unchanged else 2,
            chunk_invariant=unchanged and codec.chunk_invariant,
            fixed_bytes=self.newest.fixed_bytes and codec.fixed_bytes,
        )

    def tokens(self, generated: int) -> int:
        """How many of the tokens are newest."""
        return max(1, round(self.share * generated))
