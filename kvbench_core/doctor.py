"""What this machine can do: interpreter, devices, attention kernels, plugins, backends, metrics."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator

import psutil

from kvbench_core.backend import Finding
from kvbench_core.errors import KvbenchError
from kvbench_core.registry import Registry
from kvbench_core.specs import BackendSpec, MetricSpec

GIB = 2**30


def examine(registry: Registry) -> dict[str, list[Finding]]:
    """Findings by topic; a finding that is not ``ok`` limits something, and says what."""
    return {
        "machine": list(_machine()),
        "attention kernels": list(_kernels()),
        "video": [_video()],
        "plugins": list(_plugins(registry)),
        "backends": list(_backends(registry)),
        "metrics": list(_metrics(registry)),
    }


def _machine() -> Iterator[Finding]:
    import torch

    yield Finding("python", True, f"{platform.python_version()} on {platform.platform()}")
    memory = psutil.virtual_memory()
    unused = f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB free"
    yield Finding("cpu", True, f"{os.cpu_count()} cores, {unused}")
    yield Finding("torch", True, f"{torch.__version__}, {torch.get_num_threads()} threads")
    if not torch.cuda.is_available():
        yield Finding("cuda", False, "no usable device: everything runs on the CPU")
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        yield Finding(
            f"cuda:{index}",
            True,
            f"{torch.cuda.get_device_name(index)}, {free / GIB:.1f} of {total / GIB:.1f} GiB free",
        )


def _kernels() -> Iterator[Finding]:
    import torch

    from kvbench_core.attention import choose_kernel, kernel_report

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    chosen = choose_kernel("auto", device, torch.bfloat16).name
    for name, state in kernel_report(device, torch.bfloat16).items():
        used = " (used by default)" if name == chosen else ""
        yield Finding(name, state == "ok", f"{state}{used}")


def _video() -> Finding:
    import av

    missing = {"libx264rgb", "libx264"} - av.codecs_available
    detail = f"this PyAV lacks {', '.join(sorted(missing))}: reinstall `av` from a wheel"
    return Finding("lossless video", not missing, detail if missing else f"PyAV {av.__version__}")


def _plugins(registry: Registry) -> Iterator[Finding]:
    loaded = {entry.plugin.name: entry.plugin for entry in registry.entries.values()}
    for name, plugin in loaded.items():
        yield Finding(name, True, f"{plugin.package} {plugin.version}")
    for failure in registry.failed:
        yield Finding(failure.name, False, f"{failure.package} {failure.version}: {failure.reason}")


def _backends(registry: Registry) -> Iterator[Finding]:
    for name in registry.all(BackendSpec):
        try:
            findings = registry.backend(name).diagnose()
        except Exception as error:  # a broken backend must not hide the rest
            findings = (Finding("load", False, f"{type(error).__name__}: {error}"),)
        for finding in findings:
            yield Finding(f"{name}: {finding.subject}", finding.ok, finding.detail)


def _metrics(registry: Registry) -> Iterator[Finding]:
    for name in registry.all(MetricSpec):
        try:
            registry.metric(name).check_available()
        except Exception as error:  # a broken metric must not hide the rest
            shown = (
                str(error)
                if isinstance(error, KvbenchError)
                else f"{type(error).__name__}: {error}"
            )
            yield Finding(name, False, shown)
        else:
            yield Finding(name, True, "can be computed here")
