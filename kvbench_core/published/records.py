"""One class for each published table; ``None`` is a cell that was not recorded."""

from __future__ import annotations

from attrs import field, frozen

GIB = 2**30


def _number(text: str) -> float | None:
    return float(text) if text else None


def _count(text: str) -> int | None:
    return int(text) if text else None


@frozen(kw_only=True)
class MethodFigures:
    """A row of the study's main tables: means over ``prompts`` prompts.

    ``compressed_kv_bytes`` is what the study accounted for after 42 latent frames, codes taken as
    packed, and ``compression_ratio`` the bf16 cache of the same frames over it. ``peak_vram_bytes``
    is the allocator's highest mark over all prompts. ``psnr_db`` may be infinite. Imaging quality
    and the other VBench figures run from 0 to 1.
    """

    method: str
    prompts: int = field(converter=int)
    compression_ratio: float | None = field(converter=_number)
    compressed_kv_bytes: int | None = field(converter=_count)
    peak_vram_bytes: int = field(converter=int)
    runtime_s: float = field(converter=float)
    ssim: float = field(converter=float)
    lpips: float = field(converter=float)
    psnr_db: float = field(converter=float)
    imaging_quality: float = field(converter=float)
    drift_last: float = field(converter=float)
    background_consistency: float = field(converter=float)
    subject_consistency: float = field(converter=float)
    aesthetic_quality: float = field(converter=float)


@frozen(kw_only=True)
class LayerBudget:
    """One layer's scores in the study's bf16 profiling pass, and the scale made of them."""

    layer: int = field(converter=int)
    score_old_chunks: float = field(converter=float)
    score_all_chunks: float = field(converter=float)
    scale: float = field(converter=float)


@frozen(kw_only=True)
class DriftPoint:
    """Imaging quality, 0 to 1, of the first frames of a method's videos.

    ``effective_frames`` is ``prefix_frames`` or the whole clip's 165, whichever is less.
    """

    method: str
    prefix_frames: int = field(converter=int)
    effective_frames: int = field(converter=int)
    effective_seconds: float = field(converter=float)
    imaging_quality: float = field(converter=float)


@frozen(kw_only=True)
class TracePeak:
    """The highest of the samples, 0.2 s apart, of a method's first prompt, in GiB."""

    method: str
    sampled_peak_allocated_gib: float = field(converter=float)
    sampled_peak_reserved_gib: float = field(converter=float)
    reported_compressed_kv_gib: float | None = field(converter=_number)
    bf16_kv_gib: float = field(converter=float)
