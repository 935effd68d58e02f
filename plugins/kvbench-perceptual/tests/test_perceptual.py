"""ST-LPIPS, ColorVideoVDP and VMAF against their libraries called directly."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import weakref

import av
import numpy as np
import pycvvdp
import pytest
import torch
from imageio_ffmpeg import get_ffmpeg_exe

from kvbench_core.errors import KvbenchError, MetricUnavailableError
from kvbench_core.registry import build_registry
from kvbench_perceptual.cvvdp import Cvvdp
from kvbench_perceptual.stlpips import StLpips, stand_in
from kvbench_perceptual.vmaf import Vmaf

METRICS = {"stlpips": StLpips, "cvvdp": Cvvdp, "vmaf": Vmaf}


@pytest.fixture(scope="module")
def metrics():
    return {name: metric() for name, metric in METRICS.items()}


def test_stlpips_equals_the_package(clips, metrics):
    video, reference = clips
    with stand_in("IPython", "embed"), stand_in("torchsummary", "summary"):
        from stlpips_pytorch.stlpips import LPIPS
        from stlpips_pytorch.utils import im2tensor
    net = LPIPS(net="alex", variant="shift_tolerant", verbose=False)
    with torch.no_grad():
        expected = [
            net(im2tensor(other), im2tensor(frame)).item()
            for frame, other in zip(video, reference, strict=True)
        ]
    scores = metrics["stlpips"].score(video, reference, "")
    assert scores.per_frame["stlpips"] == pytest.approx(expected, rel=1e-4)
    assert scores.values["stlpips"] == pytest.approx(np.mean(expected), rel=1e-4)
    assert metrics["stlpips"].score(reference, reference, "").values["stlpips"] == 0


def test_stand_ins_are_gone_after_the_import_and_leave_real_modules_alone():
    with stand_in("kvbench_nowhere", "embed"), stand_in("json", "embed"):
        import kvbench_nowhere

        assert kvbench_nowhere.embed is None
        assert sys.modules["json"] is json
    assert "kvbench_nowhere" not in sys.modules
    assert sys.modules["json"] is json


@pytest.mark.parametrize("frames", [1, 2, 10])
def test_cvvdp_equals_the_package(clips, metrics, frames):
    video, reference = (type(clip)(clip.frames[:frames], clip.fps) for clip in clips)
    model = pycvvdp.cvvdp(display_name="standard_fhd", quiet=True)
    expected, _ = model.predict(
        np.stack(video.frames),
        np.stack(reference.frames),
        dim_order="FHWC",
        frames_per_second=8.0 if frames > 1 else 0,
    )
    score = metrics["cvvdp"].score(video, reference, "").values["cvvdp"]
    assert score == pytest.approx(float(expected), abs=1e-4)
    assert score < 9.9


def test_cvvdp_knows_the_frame_rate(clips, metrics):
    slow = metrics["cvvdp"].score(*clips, "").values["cvvdp"]
    fast = [type(clip)(clip.frames, 60.0) for clip in clips]
    assert metrics["cvvdp"].score(*fast, "").values["cvvdp"] != pytest.approx(slow, abs=1e-3)


def test_cvvdp_is_quiet_about_dark_frames(metrics, clips, capfd):
    dark = type(clips[0])([np.zeros((64, 96, 3), np.uint8)] * 3)
    handlers = logging.getLogger().handlers[:]
    assert metrics["cvvdp"].score(dark, dark, "").values["cvvdp"] == pytest.approx(10)
    assert logging.getLogger().handlers == handlers
    assert logging.root.manager.disable == logging.NOTSET
    assert capfd.readouterr() == ("", "")


def write_lossless(path, video):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=8)
        stream.height, stream.width = video.frames[0].shape[:2]
        stream.pix_fmt = "bgr0"
        for frame in video:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def test_vmaf_equals_ffmpeg_on_two_files(clips, metrics, tmp_path):
    for name, video in zip(("video", "reference"), clips, strict=True):
        write_lossless(tmp_path / f"{name}.mkv", video)
    graph = (
        "[0:v]format=yuv420p[a];[1:v]format=yuv420p[b];"
        "[a][b]libvmaf=model=version=vmaf_v0.6.1:log_fmt=json:log_path=log.json"
    )
    inputs = ["-i", "video.mkv", "-i", "reference.mkv"]
    command = [get_ffmpeg_exe(), *inputs, "-lavfi", graph, "-f", "null", "-"]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    log = json.loads((tmp_path / "log.json").read_text())
    scores = metrics["vmaf"].score(*clips, "")
    assert scores.values["vmaf"] == pytest.approx(log["pooled_metrics"]["vmaf"]["mean"], abs=1e-4)
    assert scores.per_frame["vmaf"] == [frame["metrics"]["vmaf"] for frame in log["frames"]]
    equal = metrics["vmaf"].score(clips[1], clips[1], "").values["vmaf"]
    assert scores.values["vmaf"] < equal - 2


def test_vmaf_without_libvmaf(monkeypatch, tmp_path):
    bare = tmp_path / "ffmpeg"
    bare.write_text("#!/bin/sh\necho ' ... scale  V->V  Scale the input video'\n")
    bare.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(bare))
    with pytest.raises(MetricUnavailableError, match="vmaf needs an ffmpeg with libvmaf"):
        Vmaf().check_available()


@pytest.mark.parametrize(("name", "side"), [("stlpips", 21), ("vmaf", 17)])
def test_the_smallest_frames(name, side, metrics, clips):
    smallest, smaller = (
        [type(clip)([frame[:height] for frame in clip.frames[:2]]) for clip in clips]
        for height in (side, side - 1)
    )
    assert np.isfinite(metrics[name].score(*smallest, "").values[name])
    message = f"{name}: frames must be at least {side} x {side} pixels; got 96 x {side - 1}"
    with pytest.raises(KvbenchError, match=message):
        metrics[name].score(*smaller, "")


def test_vmaf_says_what_ffmpeg_said(clips, monkeypatch, tmp_path):
    bare = tmp_path / "ffmpeg"
    bare.write_text("#!/bin/sh\necho 'No space left on device' >&2\nexit 1\n")
    bare.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(bare))
    with pytest.raises(KvbenchError, match="refuses 96 x 64 frames: No space left on device"):
        Vmaf().score(*clips, "")


@pytest.mark.parametrize("name", list(METRICS))
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frames: frames[:-1], "the video has 9 frames and the BF16 video 10"),
        (lambda frames: [*frames[:5], *(f[:32] for f in frames[5:])], "frame 5 is 96 x 32"),
    ],
)
def test_videos_that_cannot_be_compared(name, metrics, clips, change, message):
    video, reference = clips
    with pytest.raises(KvbenchError, match=message):
        metrics[name].score(type(video)(change(video.frames), 8.0), reference, "")


@pytest.mark.parametrize("name", list(METRICS))
def test_memory_does_not_grow_with_length(name, metrics, clips):
    handed_out, most = [], 0

    class Long:
        fps = 8.0

        def __len__(self):
            return 40

        def __iter__(self):
            nonlocal most
            for index in range(40):
                frame = clips[0].frames[index % 10].copy()
                handed_out.append(weakref.ref(frame))
                most = max(most, sum(ref() is not None for ref in handed_out))
                yield frame

    metrics[name].score(Long(), Long(), "")
    assert most <= 8


@pytest.mark.parametrize("name", list(METRICS))
def test_registered_and_described(name):
    metric = build_registry().metric(name)
    metric.check_available()
    assert [column.name for column in metric.columns] == [metric.name] == [name]
    assert metric.settings()


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["stlpips", "cvvdp"])
def test_cuda_and_cpu_agree(name, clips, monkeypatch):
    on_cuda = METRICS[name]().score(*clips, "").values[name]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert METRICS[name]().score(*clips, "").values[name] == pytest.approx(on_cuda, rel=1e-2)
