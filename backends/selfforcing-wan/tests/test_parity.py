"""The transformer against diffusers' ``WanTransformer3DModel`` with the same weights."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor

from kvbench_selfforcing_wan.config import WAN_1_3B
from kvbench_selfforcing_wan.full.checkpoint import on_meta
from kvbench_selfforcing_wan.transformer import CausalWanTransformer, dense_attention

diffusers = pytest.importorskip("diffusers", reason="needs the extra wan")

RENAMED = (
    (r"text_embedding\.0\.", "condition_embedder.text_embedder.linear_1."),
    (r"text_embedding\.2\.", "condition_embedder.text_embedder.linear_2."),
    (r"time_embedding\.0\.", "condition_embedder.time_embedder.linear_1."),
    (r"time_embedding\.2\.", "condition_embedder.time_embedder.linear_2."),
    (r"time_projection\.1\.", "condition_embedder.time_proj."),
    (r"(blocks\.\d+\.)modulation", r"\1scale_shift_table"),
    (r"head\.modulation", "scale_shift_table"),
    (r"head\.head\.", "proj_out."),
    (r"\.self_attn\.", ".attn1."),
    (r"\.cross_attn\.", ".attn2."),
    (r"(attn\d\.)([qkv])\.", r"\1to_\2."),
    (r"(attn\d\.)o\.", r"\1to_out.0."),
    (r"\.norm3\.", ".norm2."),
    (r"\.ffn\.0\.", ".ffn.net.0.proj."),
    (r"\.ffn\.2\.", ".ffn.net.2."),
)


def theirs(name: str) -> str:
    for pattern, replacement in RENAMED:
        name = re.sub(pattern, replacement, name)
    return name


def library_model(model: CausalWanTransformer) -> Any:
    c = model.config
    return diffusers.WanTransformer3DModel(
        patch_size=c.patch,
        num_attention_heads=c.heads,
        attention_head_dim=c.head_dim,
        in_channels=c.latent_channels,
        out_channels=c.latent_channels,
        text_dim=c.text_width,
        freq_dim=c.freq_dim,
        ffn_dim=c.ffn_width,
        num_layers=c.layers,
        cross_attn_norm=True,
        eps=c.eps,
    )


@pytest.fixture(scope="module")
def library(small: CausalWanTransformer) -> Any:
    model = library_model(small)
    model.load_state_dict({theirs(name): value for name, value in small.state_dict().items()})
    return model.eval()


@pytest.mark.parametrize("timestep", [1000.0, 937.5, 833.3333, 625.0, 0.0])
def test_a_bidirectional_pass_equals_the_librarys(
    small: CausalWanTransformer, library: Any, timestep: float
) -> None:
    x, features = _inputs(small)

    def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return dense_attention(q, k, v)

    with torch.no_grad():
        text = small.text_context(features)
        mine = small(x, torch.full((1, 1), timestep), text, small.rotary(range(6)), attend)
        (expected,) = library(
            hidden_states=x.transpose(1, 2),
            timestep=torch.tensor([timestep]),
            encoder_hidden_states=features,
            return_dict=False,
        )
    assert mine.square().mean().sqrt() > 0.3
    assert (mine - expected.transpose(1, 2)).abs().max() <= 2e-5


def test_a_timestep_for_each_frame_equals_the_librarys(
    small: CausalWanTransformer, library: Any
) -> None:
    x, features = _inputs(small)
    times = torch.tensor([[1000.0, 937.5, 833.3333, 625.0, 0.0, 0.0]])

    def attend(layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return dense_attention(q, k, v)

    with torch.no_grad():
        mine = small(x, times, small.text_context(features), small.rotary(range(6)), attend)
        (expected,) = library(
            hidden_states=x.transpose(1, 2),
            timestep=times.repeat_interleave(small.config.tokens_per_frame, 1),
            encoder_hidden_states=features,
            return_dict=False,
        )
    assert (mine - expected.transpose(1, 2)).abs().max() <= 2e-5


def test_all_825_names_and_shapes_have_a_counterpart() -> None:
    mine = on_meta(lambda: CausalWanTransformer(WAN_1_3B))
    library = on_meta(lambda: library_model(mine))
    names = {theirs(name): tuple(value.shape) for name, value in mine.state_dict().items()}
    assert len(names) == 825
    assert names == {name: tuple(v.shape) for name, v in library.state_dict().items()}


def _inputs(model: CausalWanTransformer) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(1, 6, *model.config.latent_shape, generator=generator)
    return x, torch.randn(1, model.config.text_length, 24, generator=generator)
