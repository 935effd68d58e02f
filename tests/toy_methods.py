"""Codecs and metrics for the toy plugin."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from attrs import field, frozen
from torch import Tensor

from kvbench_core.cache import ErrorBound, KVCodec, Planes, TensorCodec
from kvbench_core.metric import Column, Metric, Scores, Video
from kvbench_core.params import part_of


@frozen(eq=False)
class Rounded(Planes):
    codes: Tensor


@frozen
class Rounding(TensorCodec):
    step: float

    def encode(self, x: Tensor) -> Rounded:
        return Rounded((x.float() / self.step).round().clamp(-127, 127).to(torch.int8))

    def decode(self, planes: Planes, out: Tensor) -> None:
        assert isinstance(planes, Rounded)
        out.copy_(planes.codes[:, : out.shape[1]] * self.step)

    def error_bound(self) -> ErrorBound:
        return ErrorBound(relative=0.01, absolute=self.step / 2, largest=127 * self.step)


@frozen
class Fragile(Rounding):
    """Works until something was coded, then raises, in the middle of a rollout."""

    after: int = 2
    calls: list[int] = field(factory=list, eq=False)

    def encode(self, x: Tensor) -> Rounded:
        self.calls.append(1)
        if len(self.calls) > 4 * self.after:
            raise ZeroDivisionError("codes\nran out")
        return super().encode(x)


def Coarse(step: float = 0.25) -> KVCodec:  # noqa: N802 - named like a class
    positive = part_of(float, "a number such as 0.25")
    positive(Rounding(step), Rounding.__attrs_attrs__.step, step)
    return KVCodec(key=Rounding(step), value=Rounding(step))


def Failing() -> KVCodec:  # noqa: N802 - named like a class
    codec = Fragile(0.25)
    return KVCodec(key=codec, value=codec)


class Error(Metric):
    name = "error"
    version = "1"
    columns = (Column(name="mse", unit="1", better="lower", summary="Mean squared error"),)
    needs_reference = True
    drift = "frames"

    def settings(self) -> Mapping[str, str | int | float | bool]:
        return {"squared": True}

    def score(self, video: Video, reference: Video | None, prompt: str) -> Scores:
        assert reference is not None
        errors = [
            float(np.mean((a.astype(float) - b) ** 2))
            for a, b in zip(video, reference, strict=True)
        ]
        return Scores(values={"mse": float(np.mean(errors))}, per_frame={"mse": errors})


class Light(Metric):
    name = "light"
    version = "1"
    columns = (Column(name="light", unit="1", better="higher", summary="Mean brightness"),)
    drift = "prefixes"

    def settings(self) -> Mapping[str, str | int | float | bool]:
        return {}

    def score(self, video: Video, reference: Video | None, prompt: str) -> Scores:
        return Scores(values={"light": float(np.mean([frame.mean() for frame in video]))})
