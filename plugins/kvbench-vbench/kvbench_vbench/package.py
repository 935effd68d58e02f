"""The ``vbench`` package as it is found here: what is missing, and keeping it quiet."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from importlib.util import find_spec
from io import StringIO
from typing import Any

from kvbench_core.errors import MetricUnavailableError

COMMON = ("vbench", "cv2", "decord", "torchvision", "tqdm", "PIL")
INSTALL = (
    "pip install 'kvbench-vbench[runtime]' && "
    "pip install --no-deps vbench==0.1.5 pyiqa==0.1.16 clip-anytorch==2.6.0"
)


def require(metric: str, modules: Iterable[str]) -> None:
    """Look for the modules without importing them.

    Raises:
        MetricUnavailableError: some are missing; the message is how to install them.
    """
    missing = [name for name in (*COMMON, *modules) if find_spec(name) is None]
    if missing:
        raise MetricUnavailableError(
            f"{metric} needs the Python modules {', '.join(missing)}, which are not installed "
            f"here; install what VBench uses with: {INSTALL}"
        )


def dimension_module(dimension: str) -> Any:
    """``vbench.DIMENSION``, without its progress bar: it would show one video of one."""
    with quiet():
        module = import_module(f"vbench.{dimension}")
    module.tqdm = lambda videos, **_: videos  # type: ignore[attr-defined]
    return module


@contextmanager
def quiet() -> Iterator[None]:
    """No printing, and logging as it was: vbench configures it when it is imported."""
    root, nothing = logging.getLogger(), logging.NullHandler()
    root.addHandler(nothing)  # makes logging.basicConfig do nothing
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        root.removeHandler(nothing)
