"""What a user sees with every metric plugin installed: run, then every column."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet
import pytest
from click.testing import CliRunner

from kvbench_core.cli import main
from kvbench_core.plugins import BLOCK_VARIABLE

DRIFTING = {"psnr", "ssim", "stlpips", "vmaf", "piqe"}
WHOLE = {"cvvdp", "temporal_flickering"}
NEEDING_WEIGHTS = ["lpips", "imaging_quality", "subject_consistency"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A run of 6 latent frames without any weights on the machine: its output and directory."""
    root = tmp_path_factory.mktemp("all")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(BLOCK_VARIABLE)  # which keeps heavy metrics out of the other tests
        for variable in ("TORCH_HOME", "VBENCH_CACHE_DIR", "KVBENCH_LPIPS_WEIGHTS"):
            patch.setenv(variable, str(root / "no-weights"))
        words = ["run", "-m", "BF16,RTN_INT2", "--suite", "tiny-story", "--frames", "6"]
        result = CliRunner().invoke(main, [*words, "--out", str(root / "run")])
    assert result.exit_code == 0, result.output
    return result.output, root / "run"


def test_every_metric_that_needs_no_weights_has_a_column(finished):
    table = pyarrow.parquet.read_table(finished[1] / "cells.parquet").to_pylist()
    reference, compressed = sorted(table, key=lambda row: row["method"] != "BF16")
    for name in DRIFTING | WHOLE:
        assert isinstance(compressed[name], float), name
        assert (f"{name}_drift_last" in compressed) == (name in DRIFTING)
    for name in DRIFTING:
        assert compressed[f"{name}_drift_last"] == pytest.approx(compressed[name])
        assert compressed[f"{name}_drift_frames"][-1] == 6
    assert reference["piqe"] is not None
    assert reference["stlpips"] is None


def test_metrics_that_need_weights_are_named(finished):
    output, root = finished
    table = pyarrow.parquet.read_table(root / "cells.parquet")
    (line,) = [text for text in output.splitlines() if "weights or packages are missing" in text]
    for name in NEEDING_WEIGHTS:
        assert name in line
        assert name not in table.column_names
