"""One rollout's caches, as a generator sees them."""

from __future__ import annotations

import torch
from torch import Tensor

from kvbench_core.attention import choose_kernel
from kvbench_core.cache.context import CacheContext, Rotation
from kvbench_core.cache.ledger import held_bytes
from kvbench_core.errors import CacheError
from kvbench_core.geometry import CacheGeometry, Step
from kvbench_core.policy import Policy


class CacheSession:
    """Fresh layer caches of one policy for one rollout.

    A generator announces each pass with :meth:`begin_pass`, hands every layer's rotated queries
    and keys and its values to :meth:`attend`, and asks :meth:`skip` before a noisy pass whether
    it may leave the transformer out.
    """

    def __init__(
        self,
        policy: Policy,
        geometry: CacheGeometry,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.bfloat16,
        kernel: str = "auto",
        planned_frames: int | None = None,
        rotation: Rotation | None = None,
    ) -> None:
        device = torch.device(device)
        self.context = CacheContext(
            geometry=geometry,
            device=device,
            dtype=dtype,
            planned_frames=planned_frames,
            rotation=rotation,
            kernel=choose_kernel(kernel, device, dtype),
        )
        self.layers = [policy.layer_cache(layer, self.context) for layer in range(geometry.layers)]
        reuse = policy.reuse()
        self._reuse = None if reuse is None else reuse.new_state()
        self._step: Step | None = None
        self.skipped_passes = 0

    def begin_pass(self, step: Step) -> None:
        """The following :meth:`attend` calls belong to ``step``.

        Raises:
            CacheError: passes or chunks come out of order, or the chunk before was not finite.
        """
        last = self._step
        if last is None and (step.chunk, step.start) != (0, 0):
            raise CacheError(
                f"a rollout begins with chunk 0 at token 0; got chunk {step.chunk} at {step.start}"
            )
        if last is not None and not _follows(step, last):
            raise CacheError(
                f"chunk {step.chunk} at token {step.start} cannot follow chunk {last.chunk} "
                f"ending at token {last.stop}: passes run in order, one clean pass ends a chunk"
            )
        if last is not None and last.is_context:
            self.context.finite.settle()
        self._step = step

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attention of layer ``layer``, ``[batch, token, head, dim]`` like ``q``.

        Keys and values are rounded to the cache's dtype (bf16) first, so a generator that computes
        in float32 sees the same chunk whatever the policy keeps of it.
        """
        assert self._step is not None, "begin_pass comes first"
        geometry, tokens = self.context.geometry, self._step.stop - self._step.start
        expected = (geometry.batch, tokens, geometry.heads, geometry.head_dim)
        if not q.shape == k.shape == v.shape == expected:
            raise CacheError(
                f"layer {layer} sent q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}; "
                f"this chunk is [batch, token, head, dim] {expected}"
            )
        dtype = self.context.dtype
        return self.layers[layer].attend(q, k.to(dtype), v.to(dtype), self._step)

    def skip(self, step: Step, feature: Tensor) -> bool:
        """Whether the policy reuses the previous pass instead of running the transformer.

        ``feature`` is the pass's patch-embedded input, ``[batch, token, width]``. Ask before every
        noisy pass, as rules compare the features of all of them; a chunk's first is never skipped.
        A feature is not changed afterwards: rules keep it without a copy.
        """
        if self._reuse is None or step.is_context:
            return False
        skipped = self._reuse.should_skip(step, feature) and step.denoise_index > 0
        self.skipped_passes += skipped
        return skipped

    def stored_bytes(self) -> int:
        """Bytes that all layers hold for the history; what they share counts once."""
        return held_bytes((self.layers, self.context.shared), skip=(self.context,))


def _follows(step: Step, last: Step) -> bool:
    if last.is_context:
        return step.chunk == last.chunk + 1 and step.start == last.stop
    return step.chunk == last.chunk and step.start == last.start and step.stop == last.stop
