"""The VAE against diffusers called directly, on a random one of base width 8."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from kvbench_selfforcing_wan.full.synthetic import fill
from kvbench_selfforcing_wan.full.vae import WanVAE, to_uint8

diffusers = pytest.importorskip("diffusers", reason="needs the extra wan")


@pytest.fixture(scope="module")
def model() -> Any:
    with torch.device("meta"):
        model = diffusers.AutoencoderKLWan(base_dim=8)
    return fill(model, torch.device("cpu"), torch.float32)


def latents(frames: int) -> Tensor:
    return torch.randn(frames, 16, 4, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("pieces", [[1] * 6, [3, 3], [6], [2, 1, 3]])
def test_decoding_in_pieces_equals_diffusers_at_once(model: Any, pieces: list[int]) -> None:
    x = latents(6)
    mean, std = (
        torch.tensor(values)[:, None, None, None]
        for values in (model.config.latents_mean, model.config.latents_std)
    )
    with torch.no_grad():
        whole = model.decode(x.transpose(0, 1)[None] * std[None] + mean[None]).sample[0]
    decoder = WanVAE(model).decoder()
    streamed = torch.cat([decoder(piece) for piece in x.split(pieces)])
    assert streamed.shape == (21, 32, 48, 3)
    assert streamed.dtype == torch.uint8
    expected = to_uint8(whole)
    assert expected.float().std() > 10
    # The two denormalise with differently rounded numbers: a level may fall to the other side.
    assert (streamed.int() - expected.int()).abs().max() <= 1
    assert (streamed != expected).float().mean() < 1e-3
    assert torch.equal(streamed, torch.cat([WanVAE(model).decoder()(x)]))


def test_decoders_side_by_side_do_not_meet(model: Any) -> None:
    x, vae = latents(4), WanVAE(model)
    one, other = vae.decoder(), vae.decoder()
    first = one(x[:2])
    other(-x)
    assert torch.equal(torch.cat((first, one(x[2:]))), vae.decoder()(x))


def test_levels_are_truncated_and_clamped() -> None:
    values = torch.tensor([-2.0, -1.0, 0.0, 0.9999, 1.0, 2.0]).expand(3, 1, 1, 6)
    assert to_uint8(values)[0, 0, :, 0].tolist() == [0, 0, 127, 254, 255, 255]
