"""Training's one long pass against the passes of a rollout."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch
from sessions import DenseSession

from kvbench_core.geometry import Step
from kvbench_selfforcing_wan.transformer import CausalWanTransformer, TextContext

FRAMES, PER_FRAME = 12, 6


@pytest.fixture(scope="module")
def parallel() -> ModuleType:
    path = Path(__file__).parents[1] / "training" / "parallel.py"
    spec = importlib.util.spec_from_file_location("tiny_training_parallel", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_training_pass_equals_the_rollout(
    parallel: ModuleType, small: CausalWanTransformer, text: TextContext
) -> None:
    """[clean, noisy, first] frames: flows of the noisy passes and of two lone first chunks."""
    layout = parallel.Layout(small.config, FRAMES, 2)
    generator = torch.Generator().manual_seed(0)
    frames = torch.randn(1, 2 * FRAMES + 6, 4, 4, 6, generator=generator)
    time = torch.tensor([[0.0] * FRAMES + [937.5] * FRAMES + [625.0] * 6])
    mask = layout.token_mask()

    def attend(layer, q, k, v):  # type: ignore[no-untyped-def]
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return out.transpose(1, 2)

    whole = small(frames, time, text, small.rotary(layout.position.tolist()), attend)
    session = DenseSession(small.config)
    for start in range(0, FRAMES, 3):
        rotary = small.rotary(range(start, start + 3))
        for first, timestep, context in ((FRAMES + start, 937.5, False), (start, 0.0, True)):
            session.begin_pass(_step(small, start, context))
            t = torch.full((1, 1), timestep)
            flow = small(frames[:, first : first + 3], t, text, rotary, session.attend)
            expected = whole[:, first : first + 3]
            torch.testing.assert_close(flow, expected, atol=5e-6, rtol=1e-4)
    for first in (2 * FRAMES, 2 * FRAMES + 3):
        lone = DenseSession(small.config)
        lone.begin_pass(_step(small, 0, False))
        t, rotary = torch.full((1, 1), 625.0), small.rotary(range(3))
        flow = small(frames[:, first : first + 3], t, text, rotary, lone.attend)
        torch.testing.assert_close(flow, whole[:, first : first + 3], atol=5e-6, rtol=1e-4)


def _step(model: CausalWanTransformer, start: int, context: bool) -> Step:
    return Step(
        geometry=model.config.geometry(),
        chunk=start // 3,
        denoise_index=4 if context else 0,
        is_context=context,
        start_frame=start,
        frames=3,
    )
