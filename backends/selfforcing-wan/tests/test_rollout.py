"""Schedule, noise and the loop over chunks and passes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from sessions import DenseSession
from torch import Tensor

from kvbench_core.geometry import Step
from kvbench_selfforcing_wan.noise import NoiseStreams, normal
from kvbench_selfforcing_wan.rollout import Rollout
from kvbench_selfforcing_wan.schedule import Schedule, renoise, to_x0, warped_sigmas
from kvbench_selfforcing_wan.transformer import CausalWanTransformer, TextContext


class Recorder(DenseSession):
    """Writes down every pass; ``skips`` decides which noisy passes to leave out."""

    def __init__(self, model: CausalWanTransformer, skips: Callable[[Step], bool]) -> None:
        super().__init__(model.config)
        self.passes: list[tuple[int, int, bool, float]] = []
        self.asked: list[tuple[int, int]] = []
        self.features: list[Tensor] = []
        self._skips = skips

    def begin_pass(self, step: Step) -> None:
        super().begin_pass(step)
        self.passes.append((step.start_frame, step.denoise_index, step.is_context, step.timestep))

    def skip(self, step: Step, feature: Tensor) -> bool:
        self.asked.append((step.chunk, step.denoise_index))
        self.features.append(feature)
        return self._skips(step)


def roll(
    model: CausalWanTransformer, text: TextContext, frames: int, beginning: Tensor | None = None
) -> Rollout:
    noise = NoiseStreams(seed=0, shape=model.config.latent_shape)
    return Rollout(model=model, text=text, noise=noise, frames=frames, initial_latent=beginning)


def dense(model: CausalWanTransformer) -> DenseSession:
    return DenseSession(model.config)


@pytest.mark.parametrize(
    ("shift", "expected"),
    [(5.0, (1000.0, 937.5, 833.3333129882812, 625.0)), (8.0, (1000.0, 960.0, 888.8889, 727.2728))],
)
def test_schedule_numbers(shift: float, expected: tuple[float, ...]) -> None:
    schedule = Schedule(shift=shift)
    assert schedule.timesteps == pytest.approx(expected, rel=1e-6)
    assert schedule.sigmas == pytest.approx([t / 1000 for t in expected], rel=1e-6)
    assert [schedule.sigma(t) for t in schedule.timesteps] == list(schedule.sigmas)


def test_the_table_ends_above_zero() -> None:
    assert len(warped_sigmas(5.0)) == 1000
    assert float(warped_sigmas(5.0)[0]) == 1.0
    assert Schedule().sigma(0.0) == pytest.approx(0.00498008, rel=1e-5)


@pytest.mark.parametrize("sigma", Schedule().sigmas)
def test_an_oracle_reproduces_x0_at_every_level(sigma: float) -> None:
    x0, noise = torch.randn(2, 1, 3, 4, 4, 6, generator=torch.Generator().manual_seed(0))
    x = renoise(x0, noise, sigma)
    torch.testing.assert_close(to_x0(x, noise - x0, sigma), x0, atol=1e-6, rtol=1e-5)


def test_a_rollout_with_an_oracle_returns_the_truth(
    small: CausalWanTransformer, text: TextContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = torch.randn(1, 9, 4, 4, 6, generator=torch.Generator().manual_seed(1))
    rollout, session = roll(small, text, 9), Recorder(small, lambda step: False)
    inputs: list[Tensor] = []
    embed = small.embed

    def noting_embed(x: Tensor) -> Tensor:
        inputs.append(x)
        return embed(x)

    def oracle(hidden: Tensor, time: object) -> Tensor:
        start, _, _, timestep = session.passes[-1]
        x, x0 = inputs[-1], truth[:, start : start + 3]
        return (x - x0) / (timestep / 1000)

    monkeypatch.setattr(small, "embed", noting_embed)
    monkeypatch.setattr(small, "unembed", oracle)
    torch.testing.assert_close(rollout.run(session), truth, atol=1e-5, rtol=1e-4)


def test_five_passes_per_chunk_in_order(small: CausalWanTransformer, text: TextContext) -> None:
    session = Recorder(small, lambda step: False)
    roll(small, text, 6).run(session)
    times = [1000.0, 937.5, pytest.approx(833.3333), 625.0, 0.0]
    expected = [(f, i, i == 4, t) for f in (0, 3) for i, t in enumerate(times)]
    assert session.passes == expected
    assert session.asked == [(chunk, index) for chunk in (0, 1) for index in range(4)]
    assert session.features[0].shape == (1, 18, 64)


def test_a_skipped_pass_reuses_the_residual(small: CausalWanTransformer, text: TextContext) -> None:
    """The transformer is not called, the result differs, and the clean pass is never skipped."""
    always = Recorder(small, lambda step: step.denoise_index > 0)
    skipped = roll(small, text, 6).run(always)
    assert [p[1] for p in always.passes] == [0, 4, 0, 4]
    full = roll(small, text, 6).run(dense(small))
    assert torch.isfinite(skipped).all()
    assert not torch.allclose(skipped, full)


def test_chunks_arrive_as_they_are_finished(small: CausalWanTransformer, text: TextContext) -> None:
    seen: list[Tensor] = []
    latents = roll(small, text, 9).run(dense(small), seen.append)
    assert [x.shape[1] for x in seen] == [3, 3, 3]
    assert torch.equal(torch.cat(seen, dim=1), latents)


def test_a_longer_video_begins_with_the_shorter_one(
    small: CausalWanTransformer, text: TextContext
) -> None:
    short, long = (roll(small, text, frames).run(dense(small)) for frames in (6, 12))
    assert torch.equal(long[:, :6], short)


def test_a_supplied_beginning_is_kept_and_continued(
    small: CausalWanTransformer, text: TextContext
) -> None:
    """Given frames cost one clean pass per chunk; what follows depends on them."""
    beginning = torch.randn(1, 6, 4, 4, 6, generator=torch.Generator().manual_seed(2))
    session = Recorder(small, lambda step: False)
    out = roll(small, text, 9, beginning).run(session)
    assert torch.equal(out[:, :6], beginning)
    assert [p[:2] for p in session.passes[:3]] == [(0, 4), (3, 4), (6, 0)]
    other = roll(small, text, 9, -beginning).run(dense(small))
    assert not torch.allclose(other[:, 6:], out[:, 6:])


def test_frames_must_fill_chunks(small: CausalWanTransformer, text: TextContext) -> None:
    with pytest.raises(ValueError, match="multiple of 3; got 7"):
        roll(small, text, 7).run(dense(small))


def test_noise_follows_from_seed_and_name_only() -> None:
    state = torch.get_rng_state()
    streams = NoiseStreams(seed=3, shape=(4, 4, 6))
    first = streams.fresh(2, 1, 3)
    next(streams.initial(9))
    assert torch.equal(streams.fresh(2, 1, 3), first)
    assert not torch.equal(streams.fresh(2, 2, 3), first)
    assert not torch.equal(NoiseStreams(seed=4, shape=(4, 4, 6)).fresh(2, 1, 3), first)
    chunks = streams.initial(3)
    assert torch.equal(next(streams.initial(6)), torch.cat((next(chunks), next(chunks))))
    assert torch.equal(torch.get_rng_state(), state)


def test_noise_is_standard_normal_and_stable() -> None:
    draw = normal(0, "initial", (100_000,))
    assert draw.dtype == torch.float32
    assert float(draw.mean()) == pytest.approx(0, abs=0.01)
    assert float(draw.std()) == pytest.approx(1, abs=0.01)
    assert float((draw.abs() > 2).float().mean()) == pytest.approx(0.0455, abs=0.003)
    assert draw[:4].tolist() == pytest.approx(FIRST_DRAWS, abs=1e-6)


FIRST_DRAWS = [-0.8340520262718201, -2.207460641860962, -0.5499401688575745, -0.8246228098869324]
