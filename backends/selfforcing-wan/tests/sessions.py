"""The reference cache in float32, so that comparisons are exact to rounding."""

from __future__ import annotations

import torch

from kvbench_core.parts import bf16
from kvbench_core.policy import compose
from kvbench_core.session import CacheSession
from kvbench_selfforcing_wan.config import WanConfig


class DenseSession(CacheSession):
    """Keeps every key and value as it is."""

    def __init__(self, config: WanConfig) -> None:
        super().__init__(compose([bf16()]), config.geometry(), dtype=torch.float32)
