"""How a policy is attached to the generator: ``streaming`` or ``reconstruct``."""

from __future__ import annotations

import torch
from attrs import evolve, frozen
from torch import Tensor

from kvbench_core.attention import merge
from kvbench_core.cache.context import CacheContext
from kvbench_core.cache.dense import DenseCache, joined
from kvbench_core.cache.layer import LayerCache, Materialised, SegmentedCache
from kvbench_core.errors import CacheError, ExpressionError, UnknownNameError
from kvbench_core.geometry import Step
from kvbench_core.policy import Policy, Promise, Reuse

INTEGRATIONS = ("streaming", "reconstruct")


def integrate(policy: Policy, integration: str) -> Policy:
    """``policy`` as it is for ``streaming``, wrapped for ``reconstruct``.

    Raises:
        UnknownNameError: there is no such integration.
        ExpressionError: the policy frees what ``reconstruct`` codes again.
    """
    if integration not in INTEGRATIONS:
        raise UnknownNameError("integration", integration, INTEGRATIONS)
    if integration == "streaming":
        return policy
    if policy.retention is not None:
        raise ExpressionError(
            f"{policy.retention.name}() frees what is never read again, and @reconstruct keeps a "
            f"dense cache of the whole rollout; leave one of the two out"
        )
    return Reconstruct(policy)


@frozen
class Reconstruct(Policy):
    """The published study's integration around any policy that has ``write`` and ``segments``.

    Every pass rebuilds a dense cache of the planned length, zero where nothing was written,
    attends to it, and, on the passes that the cadence names, codes all of it again.
    """

    inner: Policy

    def layer_cache(self, layer: int, context: CacheContext) -> LayerCache:
        cache = self.inner.layer_cache(layer, context)
        if isinstance(cache, DenseCache):
            return cache  # nothing to decode or encode: the study's bf16 cache is the same thing
        return ReconstructCache(layer, context, self.inner)

    def promise(self) -> Promise:
        # Repeated coding may add error, and padding takes part in tiers and statistics.
        return evolve(
            self.inner.promise(),
            error_bound=None,
            exact_chunks=0,
            codings=None,
            chunk_invariant=False,
        )

    def reuse(self) -> Reuse | None:
        return self.inner.reuse()


class ReconstructCache(LayerCache):
    """Holds the inner policy's state between encoding passes and a dense cache otherwise."""

    def __init__(self, layer: int, context: CacheContext, policy: Policy) -> None:
        super().__init__(layer, context)
        self._policy = policy
        self._state: SegmentedCache | None = None
        self._dense: Materialised | None = None

    def attend(self, q: Tensor, k: Tensor, v: Tensor, step: Step) -> Tensor:
        if step.is_context:
            self.context.finite.check(k, v, self.layer, step)
        with self.context.clock("decode"):
            dense = self._dense or self._rebuilt(k, step)
        self._dense = None
        dense.k[:, step.start : step.stop].copy_(k)
        dense.v[:, step.start : step.stop].copy_(v)
        dense.present[step.start : step.stop] = True
        out = self._attention(q, dense, step)
        if self._policy.cadence.encodes(step):
            with self.context.clock("encode"):
                self._state = self._encoded(dense.k, dense.v, step)
        else:
            self._dense = dense
        return out

    def _attention(self, q: Tensor, dense: Materialised, step: Step) -> Tensor:
        keys, values = (joined(x, step.readable()).to(q.dtype) for x in (dense.k, dense.v))
        if self._policy.promise().keeps_all or q.is_meta:
            return self.context.kernel.partial(q, keys, values).out
        # A dropped token is no key at all. Heads that see the same tokens are read together.
        seen = joined(dense.present.unsqueeze(0), step.readable())[0]
        patterns, which = seen.unique(dim=1, return_inverse=True)
        parts = []
        for pattern, tokens in enumerate(patterns.T):
            heads = (which == pattern).nonzero().flatten()
            mine = (x[:, :, heads] for x in (q, keys[:, tokens], values[:, tokens]))
            parts.append(self.context.kernel.partial(*mine).on_heads(heads.tolist(), q.shape[2]))
        return merge(parts)

    def _rebuilt(self, like: Tensor, step: Step) -> Materialised:
        context = self.context
        planned = (context.planned_frames or 0) * context.geometry.tokens_per_frame
        tokens = max(planned, step.stop)
        if self._state is not None:
            return self._state.materialise(tokens)
        shape = (like.shape[0], tokens, *like.shape[2:])
        k, v = torch.zeros((2, *shape), dtype=context.dtype, device=like.device)
        present = torch.zeros(tokens, shape[2], dtype=torch.bool, device=like.device)
        return Materialised(k, v, present)

    def _encoded(self, k: Tensor, v: Tensor, step: Step) -> SegmentedCache:
        cache = self._policy.layer_cache(self.layer, self.context)
        if not isinstance(cache, SegmentedCache):
            raise CacheError(
                f"{type(cache).__name__} computes attention itself; the reconstruct integration "
                "needs write() and segments(): run it with --integration streaming"
            )
        if self._state is not None:
            cache.succeed(self._state)
        self._state = None  # as in the study, the old codes are freed before the new ones are made
        frames = k.shape[1] // step.geometry.tokens_per_frame
        cache.write(k, v, evolve(step, is_context=True, start_frame=0, frames=frames))
        return cache

    def materialise(self, tokens: int) -> Materialised:
        if self._dense is not None:
            k, v = (x[:, :tokens] for x in (self._dense.k, self._dense.v))
            return Materialised(k, v, self._dense.present[:tokens])
        assert self._state is not None
        return self._state.materialise(tokens)
