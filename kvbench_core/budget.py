"""How much memory a method needs at a geometry, found by running it on tensors without memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from attrs import evolve, frozen

from kvbench_core.backend import Backend
from kvbench_core.geometry import CacheGeometry, Step
from kvbench_core.policy import Policy
from kvbench_core.session import CacheSession

CONTEXT_BYTES = 3 * 2**28
"""0.75 GiB for CUDA's context and libraries, which no allocator counts; measured: 0.68."""
WORKSPACE_BYTES = 2**29
"""0.5 GiB by which generation may exceed its floor; measured: 0.1 to 0.48 (``full-size.csv``)."""


@frozen(kw_only=True)
class Footprint:
    """Memory of one rollout, in bytes.

    ``stored_bytes`` is the cache after the last chunk and ``dense_bytes`` the same in bf16;
    ``scratch_bytes`` is the largest decoded piece. ``peak_floor_bytes`` adds both to what the
    backend must hold besides: no implementation of this method on this backend can need less.
    ``decoding_bytes`` is the peak of video decoding, which comes when the cache is gone.
    """

    frames: int
    dense_bytes: int
    stored_bytes: int
    scratch_bytes: int
    resident_bytes: Mapping[str, int]
    decoding_bytes: int

    @property
    def compression_ratio(self) -> float:
        """Dense bf16 bytes over stored bytes."""
        return self.dense_bytes / self.stored_bytes

    @property
    def peak_floor_bytes(self) -> int:
        """Lower bound of the peak during generation."""
        return self.stored_bytes + self.scratch_bytes + sum(self.resident_bytes.values())

    def fits(self, memory_bytes: int) -> bool:
        """Whether a device of that size has room for both phases and for what is not counted."""
        peak = max(self.peak_floor_bytes + WORKSPACE_BYTES, self.decoding_bytes)
        return peak + CONTEXT_BYTES <= memory_bytes


def footprint(policy: Policy, backend: Backend, frames: int) -> Footprint:
    """The footprint of a rollout of ``frames`` latent frames.

    Raises:
        BackendError: the backend cannot generate that many.
    """
    backend.check_frames(frames)
    *_, last = _rollout(policy, backend, frames)
    return last


def longest_rollout(policy: Policy, backend: Backend, memory_bytes: int) -> Footprint | None:
    """The longest rollout that fits into ``memory_bytes``, or ``None``.

    Reaches at most ``backend.max_frames``.
    """
    fits = None
    for reached in _rollout(policy, backend, backend.max_frames):
        if not reached.fits(memory_bytes):
            break
        fits = reached
    return fits


def _rollout(policy: Policy, backend: Backend, frames: int) -> Iterator[Footprint]:
    """The footprint after each chunk of a rollout on the meta device.

    One layer stands for all where the policy promises that they are alike.
    """
    geometry = backend.geometry()
    simulated = evolve(geometry, layers=1) if policy.promise().layers_alike else geometry
    alike = geometry.layers // simulated.layers
    session = CacheSession(policy, simulated, device="meta", planned_frames=frames)
    shape = (geometry.batch, geometry.tokens_per_chunk, geometry.heads, geometry.head_dim)
    qkv = torch.empty((3, *shape), dtype=session.context.dtype, device="meta")
    for chunk in range(frames // geometry.chunk_frames):
        step = _clean_pass(simulated, chunk)
        session.begin_pass(step)
        for layer in range(simulated.layers):
            session.attend(layer, *qkv)
        reached = step.start_frame + step.frames
        yield Footprint(
            frames=reached,
            dense_bytes=geometry.dense_bytes(reached),
            stored_bytes=alike * session.stored_bytes(),
            scratch_bytes=session.context.scratch.peak_bytes,
            resident_bytes=backend.resident_bytes(reached),
            decoding_bytes=backend.decoding_bytes(),
        )


def _clean_pass(geometry: CacheGeometry, chunk: int) -> Step:
    return Step(
        geometry=geometry,
        chunk=chunk,
        denoise_index=0,
        is_context=True,
        start_frame=chunk * geometry.chunk_frames,
        frames=geometry.chunk_frames,
    )
