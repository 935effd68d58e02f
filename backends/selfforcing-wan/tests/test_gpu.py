"""The full-size generator on a GPU: with random weights, and with the real ones where they are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from kvbench_core.registry import build_registry
from kvbench_core.session import CacheSession
from kvbench_selfforcing_wan.full.backend import FullBackend, wan_1_3b

pytestmark = pytest.mark.gpu
PROMPT = "A red ball rolls over a wooden table"


def video(backend: FullBackend, frames: int) -> tuple[Tensor, Tensor]:
    """Latents, and frames decoded chunk by chunk."""
    device = torch.device("cuda")
    generator = backend.load(device)
    generator.prepare([PROMPT])
    session = CacheSession(build_registry().policy("BF16"), backend.geometry(), device=device)
    decoder, pieces = generator.decoder(), []
    latents = generator.generate(
        PROMPT, 0, frames, session, lambda chunk: pieces.append(decoder(chunk))
    )
    streamed = torch.cat(pieces)
    assert torch.equal(streamed, torch.cat(list(generator.decode(latents))))
    assert streamed.shape == (backend.video_frames(frames), 480, 832, 3)
    assert torch.isfinite(latents).all()
    return latents, streamed


def test_synthetic_weights_at_full_size() -> None:
    pytest.importorskip("diffusers", reason="needs the extra wan")
    latents, _ = video(wan_1_3b().configured(weights="synthetic"), 6)
    assert 0.5 < float(latents.float().square().mean().sqrt()) < 2


def test_real_weights_make_a_steady_picture() -> None:
    """Neighbouring frames of a real video are alike; those of noise are not."""
    backend = wan_1_3b()
    if any(file.path is None for file in backend.weight_files()):
        pytest.skip("needs the weights of wan-1.3b")
    _, frames = video(backend, 6)
    steps = (frames[1:].float() - frames[:-1].float()).abs().mean()
    assert float(frames.float().std()) > 10
    assert float(steps) < 0.5 * float(frames.float().std())
