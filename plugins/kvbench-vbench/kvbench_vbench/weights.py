"""The files that VBench's dimensions need, in the folder where VBench itself looks for them."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path

from attrs import frozen

from kvbench_core.errors import MetricUnavailableError

FOLDER_VARIABLE = "VBENCH_CACHE_DIR"
OPENAI = "https://openaipublic.azureedge.net/clip/models"
HUGGING_FACE = "https://huggingface.co"


@frozen
class Weights:
    """A file below VBench's folder; ``sha256`` is how its digest begins, empty where unknown."""

    path: str
    size: str
    url: str
    sha256: str = ""

    def find(self) -> Path:
        """Where the file is, known to be the right one as far as its digest is known.

        Raises:
            MetricUnavailableError: it is missing, damaged or another file.
        """
        path = folder() / self.path
        if not path.is_file():
            raise MetricUnavailableError(
                f"VBench's file {path} ({self.size}) is missing; put it there from {self.url}, or "
                f"set {FOLDER_VARIABLE} to the folder that has {self.path}"
            )
        if not digest(path).startswith(self.sha256):
            raise MetricUnavailableError(
                f"{path} is damaged or not VBench's: its SHA-256 begins with {digest(path)[:8]}, "
                f"not with {self.sha256[:8]}; replace it from {self.url}"
            )
        return path


def folder() -> Path:
    """``$VBENCH_CACHE_DIR``, or ``~/.cache/vbench``."""
    given = os.environ.get(FOLDER_VARIABLE)
    return Path(given) if given else Path.home() / ".cache" / "vbench"


def digest(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits, computed once for a file that does not change."""
    about = path.stat()
    return _digest(path, about.st_size, about.st_mtime_ns)


@cache
def _digest(path: Path, _size_bytes: int, _changed_ns: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


MUSIQ = Weights(
    "pyiqa_model/musiq_spaq_ckpt-358bb6af.pth",
    "108.6 MB",
    "https://github.com/chaofengc/IQA-PyTorch/releases/download/v0.1-weights/"
    "musiq_spaq_ckpt-358bb6af.pth",
    "358bb6af",
)
CLIP_L = Weights(
    "clip_model/ViT-L-14.pt",
    "933 MB",
    f"{OPENAI}/b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836/ViT-L-14.pt",
    "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
)
AESTHETIC = Weights(
    "aesthetic_model/emb_reader/sa_0_4_vit_l_14_linear.pth",
    "4 kB",
    "https://github.com/LAION-AI/aesthetic-predictor/raw/main/sa_0_4_vit_l_14_linear.pth",
)
DINO = Weights(
    "dino_model/dino_vitbase16_pretrain.pth",
    "343 MB",
    "https://dl.fbaipublicfiles.com/dino/dino_vitbase16_pretrain/dino_vitbase16_pretrain.pth",
)
DINO_CODE = Weights(
    "dino_model/facebookresearch_dino_main/hubconf.py",
    "part of a checkout",
    "a checkout of https://github.com/facebookresearch/dino",
)
CLIP_B = Weights(
    "clip_model/ViT-B-32.pt",
    "354 MB",
    f"{OPENAI}/40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af/ViT-B-32.pt",
    "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
)
AMT = Weights(
    "amt_model/amt-s.pth", "12 MB", f"{HUGGING_FACE}/lalala125/AMT/resolve/main/amt-s.pth"
)
RAFT = Weights(
    "raft_model/models/raft-things.pth",
    "21 MB",
    "https://dl.dropboxusercontent.com/s/4j4z58wuv8o0mfz/models.zip",
)
VICLIP = Weights(
    "ViCLIP/ViClip-InternVid-10M-FLT.pth",
    "about 1.7 GB",
    f"{HUGGING_FACE}/OpenGVLab/VBench_Used_Models/resolve/main/ViClip-InternVid-10M-FLT.pth",
)
VOCABULARY = Weights(
    "ViCLIP/bpe_simple_vocab_16e6.txt.gz",
    "1.4 MB",
    "https://raw.githubusercontent.com/openai/CLIP/main/clip/bpe_simple_vocab_16e6.txt.gz",
)
