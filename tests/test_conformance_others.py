"""The clauses for generators, metrics and suites, on correct ones and on ones that break each."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from _pytest.outcomes import Failed

sys.path.insert(0, str(Path(__file__).parent))

from toy_backend import GEOMETRY, Toy, ToyGenerator

from kvbench_core.conformance.backend import BackendConformance
from kvbench_core.conformance.metric import MetricConformance
from kvbench_core.conformance.spies import generate
from kvbench_core.conformance.suite import SuiteConformance
from kvbench_core.metric import Column, Metric, Scores
from kvbench_core.suite import Prompt, Suite

FRAMES = 2 * GEOMETRY.chunk_frames


class Skipping(ToyGenerator):
    """The toy generator, asking before every noisy pass whether to reuse the last one."""

    def _denoise(self, x, bias, session, step):
        if not step.is_context:
            if session.skip(step, self.feature(x)):
                return self._last
            self._last = super()._denoise(x, bias, session, step)
            return self._last
        return super()._denoise(x, bias, session, step)

    def feature(self, x):
        return (x @ self.embed)[None]


class Correct(Toy):
    generator = Skipping

    def resident_bytes(self, frames):
        return {"weights": 4096, "latents": 128 * frames}

    def load(self, device):
        return self.generator(device, 0.0, torch.bfloat16)


def clauses(suite: type) -> list[str]:
    return [name for name in dir(suite) if name.startswith("test_")]


def check_backend(backend: Toy, clause: str) -> None:
    """Run the tests of one clause."""
    suite = BackendConformance()
    generator = backend.load(torch.device("cpu"))
    for name in clauses(BackendConformance):
        if name.startswith(f"test_{clause.lower()}_"):
            test = getattr(suite, name)
            wanted = test.__code__.co_varnames[1 : test.__code__.co_argcount]
            given = {"backend": backend, "generator": generator, "frames": FRAMES}
            if "generated" in wanted:
                given["generated"] = generate(generator, GEOMETRY, FRAMES)
            test(**{name: given[name] for name in wanted})


class TakesAnything(Correct):
    def configured(self, **choices):
        return self


class OddDefault(Correct):
    default_frames = 7


class AnyLength(Correct):
    def check_frames(self, frames):
        pass


class SameNoise(Skipping):
    def generate(self, prompt, seed, *rest):
        return super().generate("always the same", 0, *rest)


class NoiseGoesOn(Skipping):
    calls = 0

    def generate(self, prompt, seed, *rest):
        self.calls += 1
        return super().generate(prompt, seed + self.calls, *rest)


class NoiseFromTheCache(Skipping):
    def generate(self, prompt, seed, frames, session, on_chunk):
        seed += type(session.layers[0]).__name__ == "DenseCache"
        return super().generate(prompt, seed, frames, session, on_chunk)


class NoHistory(Skipping):
    def _denoise(self, x, bias, session, step):
        super()._denoise(x, bias, session, step)
        return torch.tanh((x @ self.embed + bias) @ self.head)


class AnnouncesLess(Skipping):
    def generate(self, prompt, seed, frames, session, on_chunk):
        return super().generate(prompt, seed, frames, session, lambda x: on_chunk(x[:1]))


class AttendsTwice(Skipping):
    def _denoise(self, x, bias, session, step):
        out = super()._denoise(x, bias, session, step)
        if not step.is_context:
            session.attend(0, *torch.zeros(3, 1, len(x), 2, 16, dtype=torch.bfloat16))
        return out


class AsksOnce(Skipping):
    def _denoise(self, x, bias, session, step):
        if step.denoise_index == 1:
            return ToyGenerator._denoise(self, x, bias, session, step)
        return super()._denoise(x, bias, session, step)


class OneBuffer(Skipping):
    buffer = torch.empty(0)

    def feature(self, x):
        self.buffer.resize_(1, len(x), self.embed.shape[1])
        return self.buffer.copy_(super().feature(x))


class FloatFrames(Skipping):
    def decode(self, latents):
        pieces = super().decode(latents)
        return (piece.float() for piece in pieces)


class OneFrameLess(Skipping):
    def decode(self, latents):
        return super().decode(latents[1:])


class GlobalNoise(Skipping):
    def generate(self, prompt, seed, *rest):
        torch.manual_seed(seed)
        return super().generate(prompt, seed, *rest)


def with_generator(kind: type) -> Toy:
    backend = Correct()
    backend.generator = kind
    return backend


BACKENDS = {
    "B1": [OddDefault()],
    "B2": [AnyLength()],
    "B3": [with_generator(SameNoise), with_generator(NoiseGoesOn)],
    "B4": [with_generator(NoiseFromTheCache), with_generator(NoHistory)],
    "B5": [with_generator(AnnouncesLess)],
    "B6": [with_generator(AttendsTwice)],
    "B7": [with_generator(kind) for kind in (ToyGenerator, AsksOnce, OneBuffer)],
    "B8": [with_generator(FloatFrames), with_generator(OneFrameLess)],
    "B9": [with_generator(GlobalNoise)],
    "B10": [TakesAnything()],
}


@pytest.mark.parametrize("clause", BACKENDS)
def test_a_correct_generator_passes(clause):
    check_backend(Correct(), clause)


@pytest.mark.parametrize(
    ("clause", "backend"),
    [(clause, broken) for clause, all_ in BACKENDS.items() for broken in all_],
)
def test_a_broken_generator_is_caught(clause, backend):
    with pytest.raises((AssertionError, Failed), match=f"^{clause}: "):
        check_backend(backend, clause)


class Brightness(Metric):
    name, version = "brightness", "1"
    columns = (Column(name="brightness", unit="levels", better="higher", summary="Mean level"),)

    def settings(self):
        return {"scale": 255}

    def score(self, video, reference, prompt):
        levels = [float(frame.mean()) for frame in video]
        return Scores(
            values={"brightness": sum(levels) / len(levels)}, per_frame={"brightness": levels}
        )


class Difference(Brightness):
    name, needs_reference, drift = "error", True, "frames"
    columns = (Column(name="error", unit="levels", better="lower", summary="Mean error"),)

    def score(self, video, reference, prompt):
        errors = [
            float(np.abs(a.astype(float) - b).mean()) for a, b in zip(video, reference, strict=True)
        ]
        return Scores(values={"error": sum(errors) / len(errors)}, per_frame={"error": errors})


class TwoOfAName(Brightness):
    columns = Brightness.columns * 2


class AnotherColumn(Brightness):
    def score(self, *arguments):
        return Scores(values={"darkness": 1.0})


class NotANumber(Brightness):
    def score(self, *arguments):
        return Scores(values={"brightness": float("nan")})


class Unexplained(Brightness):
    def score(self, *arguments):
        return Scores(values={"brightness": None})


class WrongDirection(Difference):
    columns = (Column(name="error", unit="levels", better="higher", summary="Mean error"),)


class Stretching(Brightness):
    def score(self, video, reference, prompt):
        for frame in video:
            frame -= frame.min()
            frame[0, 0] = 255
        return super().score(video, reference, prompt)


class ArraySettings(Brightness):
    def settings(self):
        return {"scale": (255, 255)}


class Remembering(Brightness):
    total = 0

    def score(self, video, reference, prompt):
        self.total += 1
        return Scores(values={"brightness": float(self.total)})


class Drawing(Brightness):
    def score(self, video, reference, prompt):
        np.random.rand()
        return super().score(video, reference, prompt)


class SkipsFrames(Brightness):
    def score(self, video, reference, prompt):
        return super().score(list(video)[::2], reference, prompt)


class SmallestNotMean(Difference):
    def score(self, *arguments):
        figures = super().score(*arguments).per_frame["error"]
        return Scores(values={"error": min(figures)}, per_frame={"error": figures})


class NoFigures(Brightness):
    drift = "frames"

    def score(self, *arguments):
        return Scores(values=super().score(*arguments).values)


METRICS = {
    "M1": [TwoOfAName()],
    "M2": [AnotherColumn(), NotANumber(), Unexplained()],
    "M3": [WrongDirection()],
    "M4": [Stretching()],
    "M5": [ArraySettings()],
    "M6": [Remembering(), Drawing()],
    "M7": [SkipsFrames()],
    "M8": [SmallestNotMean(), NoFigures()],
}


def check_metric(metric: Metric, clause: str) -> None:
    for name in clauses(MetricConformance):
        if name.startswith(f"test_{clause.lower()}_"):
            getattr(MetricConformance(), name)(metric)


@pytest.mark.parametrize("clause", METRICS)
def test_a_correct_metric_passes(clause):
    check_metric(Difference(), clause)
    if clause not in ("M3", "M8"):
        check_metric(Brightness(), clause)


@pytest.mark.parametrize(
    ("clause", "metric"), [(clause, broken) for clause, all_ in METRICS.items() for broken in all_]
)
def test_a_broken_metric_is_caught(clause, metric):
    with pytest.raises(AssertionError, match=f"^{clause}: "):
        check_metric(metric, clause)


def prompts(*names: str, first: int = 0) -> Suite:
    return Suite(
        name="three",
        prompts=tuple(
            Prompt(id=name, index=first + place, text="a ball") for place, name in enumerate(names)
        ),
    )


def test_suites():
    suite = SuiteConformance()
    suite.test_s1_ids_are_distinct_and_texts_are_not_empty(prompts("a", "b"))
    suite.test_s2_indices_count_from_zero(prompts("a", "b"))
    twins = prompts("a", "b")
    object.__setattr__(twins.prompts[1], "id", "A")  # a suite does not let itself be made so
    with pytest.raises(AssertionError, match=r"^S1: "):
        suite.test_s1_ids_are_distinct_and_texts_are_not_empty(twins)
    with pytest.raises(AssertionError, match=r"^S2: "):
        suite.test_s2_indices_count_from_zero(prompts("a", "b", first=1))
