"""How a policy is attached to the generator: ``streaming`` or ``reconstruct``."""

from __future__ import annotations

import torch
from attrs import evolve, frozen
from torch import Tensor

from kvbench_core.cache.context import CacheContext
from kvbench_core.cache.dense import DenseCache, readable
from kvbench_core.cache.layer import LayerCache, Materialised, SegmentedCache, check_finite
from kvbench_core.errors import CacheError
from kvbench_core.geometry import Step
from kvbench_core.policy import Policy, Promise, Reuse

INTEGRATIONS = ("streaming", "reconstruct")


def integrate(policy: Policy, integration: str) -> Policy:
    """``policy`` as it is for ``streaming``, wrapped for ``reconstruct``."""
    return Reconstruct(policy) if integration == "reconstruct" else policy


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
        self._dense: tuple[Tensor, Tensor] | None = None

    def attend(self, q: Tensor, k: Tensor, v: Tensor, step: Step) -> Tensor:
        if step.is_context:
            check_finite(k, v, self.layer, step)
        with self.context.clock("decode"):
            dense = self._dense or self._rebuilt(k, step)
        self._dense = None
        for buffer, fresh in zip(dense, (k, v), strict=True):
            buffer[:, step.start : step.stop].copy_(fresh)
        keys, values = (readable(buffer, step).to(q.dtype) for buffer in dense)
        out = self.context.kernel.partial(q, keys, values).out
        if self._policy.cadence.encodes(step):
            with self.context.clock("encode"):
                self._state = self._encoded(*dense, step)
        else:
            self._dense = dense
        return out

    def _rebuilt(self, like: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        context = self.context
        planned = (context.planned_frames or 0) * context.geometry.tokens_per_frame
        tokens = max(planned, step.stop)
        if self._state is None:
            shape = (like.shape[0], tokens, *like.shape[2:])
            return (
                torch.zeros(shape, dtype=context.dtype, device=like.device),
                torch.zeros(shape, dtype=context.dtype, device=like.device),
            )
        content = self._state.materialise(tokens)
        return content.k, content.v

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
            k, v = (buffer[:, :tokens] for buffer in self._dense)
            present = torch.ones(tokens, k.shape[2], dtype=torch.bool, device=k.device)
            return Materialised(k, v, present)
        assert self._state is not None
        return self._state.materialise(tokens)
