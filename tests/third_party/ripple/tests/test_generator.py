"""The cache is the past: one pass over the whole video, masked, agrees with chunk by chunk."""

import torch
from kvbench_ripple.generator import RippleGenerator
from kvbench_ripple.network import GEOMETRY, Network

from kvbench_core.policy import Composition
from kvbench_core.session import CacheSession


def masked(layer, q, k, v):
    """Attention of each chunk to itself and to the chunks in its window."""
    chunk = torch.arange(q.shape[1]) // GEOMETRY.tokens_per_chunk
    age = chunk[:, None] - chunk
    q, k, v = (x.float().transpose(1, 2) for x in (q, k, v))
    seen = (age >= 0) & (age < GEOMETRY.window_frames // GEOMETRY.chunk_frames)
    out = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=seen)
    return out.transpose(1, 2)


def test_the_last_noisy_pass_of_every_chunk(monkeypatch):
    passes = []

    def noted(self, embedded, text, attend):
        found = clean(self, embedded, text, attend)
        passes.append((embedded, text, found))
        return found

    clean = Network.clean
    monkeypatch.setattr(Network, "clean", noted)
    generator = RippleGenerator(torch.device("cpu"))
    session = CacheSession(Composition(), GEOMETRY)
    generator.generate("rain on a lake", 0, 15, session, lambda latents: None)
    inputs, text, outputs = zip(*passes[3::4], strict=True)  # the clean pass of each chunk
    whole = clean(generator._network, torch.cat(inputs), text[0], masked)
    assert torch.allclose(torch.cat(outputs), whole, atol=0.02)
