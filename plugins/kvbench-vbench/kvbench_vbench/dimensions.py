"""Each dimension: its weights, and the package's function that scores a video.

``load`` does what the package's ``compute_DIMENSION`` does before that function is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from kvbench_core.metric import Column, Scores
from kvbench_vbench.metric import Dimension, Scorer, column
from kvbench_vbench.package import dimension_module
from kvbench_vbench.weights import (
    AESTHETIC,
    AMT,
    CLIP_B,
    CLIP_L,
    DINO,
    DINO_CODE,
    MUSIQ,
    RAFT,
    VICLIP,
    VOCABULARY,
    Weights,
)

CLIP_MODULES = ("clip", "pkg_resources", "ftfy", "regex")


class ImagingQuality(Dimension):
    """MUSIQ trained on SPAQ, mean over frames, in 0 to 1; per-frame figures make the drift curve.

    Frames wider than 512 pixels are scaled down to 512, as the package does.
    """

    name: ClassVar[str] = "imaging_quality"
    columns: ClassVar[tuple[Column, ...]] = (
        column("imaging_quality", "imaging quality, mean over frames"),
    )
    drift: ClassVar[Literal["frames", "prefixes"] | None] = "frames"
    modules: ClassVar[tuple[str, ...]] = ("pyiqa",)
    weights: ClassVar[tuple[Weights, ...]] = (MUSIQ,)

    def load(self, device: str, files: Sequence[Path]) -> Scorer:
        module = dimension_module(self.name)
        model = module.MUSIQ(pretrained_model_path=str(files[0])).to(device)
        model.training = False

        def score(path: str, _prompt: str) -> Scores:
            per_frame: list[float | None] = []

            def listening(frame: Any) -> Any:
                figure = model(frame)
                per_frame.append(float(figure) / 100)
                return figure

            average, _ = module.technical_quality(listening, [path], device)
            return Scores(values={self.name: average}, per_frame={self.name: per_frame})

        return score


class AestheticQuality(Dimension):
    """LAION's linear predictor on CLIP ViT-L/14 features, mean over frames, in 0 to 1."""

    name: ClassVar[str] = "aesthetic_quality"
    columns: ClassVar[tuple[Column, ...]] = (
        column("aesthetic_quality", "aesthetic quality, mean over frames"),
    )
    modules: ClassVar[tuple[str, ...]] = CLIP_MODULES
    weights: ClassVar[tuple[Weights, ...]] = (CLIP_L, AESTHETIC)

    def load(self, device: str, files: Sequence[Path]) -> Scorer:
        module = dimension_module(self.name)
        clip, predictor_file = files
        predictor = module.get_aesthetic_model(str(predictor_file.parent)).to(device)
        model, _ = module.clip.load(str(clip), device=device)
        return self._scored(lambda path: module.laion_aesthetic(predictor, model, [path], device))


class SubjectConsistency(Dimension):
    """Similarity of DINO ViT-B/16 features with the first and the previous frame, in 0 to 1."""

    name: ClassVar[str] = "subject_consistency"
    columns: ClassVar[tuple[Column, ...]] = (
        column("subject_consistency", "subject consistency over time"),
    )
    weights: ClassVar[tuple[Weights, ...]] = (DINO_CODE, DINO)
    min_frames: ClassVar[int] = 2

    def load(self, device: str, files: Sequence[Path]) -> Scorer:
        import torch

        module = dimension_module(self.name)
        hubconf, state = files
        # pretrained: with it the checkout's code asks for a download.
        model = torch.hub.load(str(hubconf.parent), "dino_vitb16", source="local", pretrained=False)
        model.load_state_dict(torch.load(state, map_location="cpu", weights_only=True))
        model.to(device)
        return self._scored(lambda path: module.subject_consistency(model, [path], device, False))


class BackgroundConsistency(Dimension):
    """Similarity of CLIP ViT-B/32 features with the first and the previous frame, in 0 to 1."""

    name: ClassVar[str] = "background_consistency"
    columns: ClassVar[tuple[Column, ...]] = (
        column("background_consistency", "background consistency over time"),
    )
    modules: ClassVar[tuple[str, ...]] = CLIP_MODULES
    weights: ClassVar[tuple[Weights, ...]] = (CLIP_B,)
    min_frames: ClassVar[int] = 2

    def load(self, device: str, files: Sequence[Path]) -> Scorer:
        module = dimension_module(self.name)
        model, preprocess = module.clip.load(str(files[0]), device=device)
        return self._scored(
            lambda path: module.background_consistency(model, preprocess, [path], device, False)
        )


class TemporalFlickering(Dimension):
    """1 - mean absolute difference of successive frames / 255. VBench means it for still scenes."""

    name: ClassVar[str] = "temporal_flickering"
    columns: ClassVar[tuple[Column, ...]] = (
        column("temporal_flickering", "absence of flicker between frames"),
    )
    min_frames: ClassVar[int] = 2

    def load(self, device: str, files: Sequence[Path]) -> Scorer:
        module = dimension_module(self.name)
        return self._scored(lambda path: module.temporal_flickering([path]))


class MotionSmoothness(Dimension):
    """1 - error of interpolating every second frame with AMT-S / 255."""

    name: ClassVar[str] = "motion_smoothness"
    columns: ClassVar[tuple[Column, ...]] = (column("motion_smoothness", "smoothness of motion"),)
    modules: ClassVar[tuple[str, ...]] = ("omegaconf", "imageio")
    weights: ClassVar[tuple[Weights, ...]] = (AMT,)
    min_frames: ClassVar[int] = 3
    min_side: ClassVar[int] = 64

    def load(self, device: str, files: Sequence[Path]) -> Scorer:
        module = dimension_module(self.name)
        settings = Path(module.__file__).parent / "third_party" / "amt" / "cfgs" / "AMT-S.yaml"
        motion = module.MotionSmoothness(str(settings), str(files[0]), device)
        return self._scored(lambda path: module.motion_smoothness(motion, [path]))


class DynamicDegree(Dimension):
    """1 if RAFT's optical flow is large in enough frames, else 0; a mean over videos is a share."""

    name: ClassVar[str] = "dynamic_degree"
    columns: ClassVar[tuple[Column, ...]] = (column("dynamic_degree", "whether anything moves"),)
    modules: ClassVar[tuple[str, ...]] = ("easydict",)
    weights: ClassVar[tuple[Weights, ...]] = (RAFT,)
    min_frames: ClassVar[int] = 2
    min_side: ClassVar[int] = 64

    def load(self, device: str, files: Sequence[Path]) -> Scorer:
        module = dimension_module(self.name)
        options = {"small": False, "mixed_precision": False, "alternate_corr": False}
        dynamic = module.DynamicDegree(module.edict(model=str(files[0]), **options), device)
        return self._scored(lambda path: module.dynamic_degree(dynamic, [path]))


class OverallConsistency(Dimension):
    """Similarity of ViCLIP's features of 8 frames and of the prompt."""

    name: ClassVar[str] = "overall_consistency"
    columns: ClassVar[tuple[Column, ...]] = (
        column("overall_consistency", "consistency of video and prompt"),
    )
    modules: ClassVar[tuple[str, ...]] = (*CLIP_MODULES, "einops", "timm")
    weights: ClassVar[tuple[Weights, ...]] = (VICLIP, VOCABULARY)

    def load(self, device: str, files: Sequence[Path]) -> Scorer:
        module = dimension_module(self.name)
        state, vocabulary = files
        tokenizer = module.SimpleTokenizer(str(vocabulary))
        model = module.ViCLIP(tokenizer=tokenizer, pretrain=str(state)).to(device)

        def score(path: str, prompt: str) -> Scores:
            videos = [{"prompt": prompt, "video_list": [path]}]
            average, _ = module.overall_consistency(model, videos, tokenizer, device)
            return Scores(values={self.name: average})

        return score
