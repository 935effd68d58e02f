"""The libraries of the extra ``wan``, imported when they are needed."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from kvbench_core.errors import BackendError

EXTRA = "kvbench-selfforcing-wan[wan]"
LIBRARIES = ("diffusers", "transformers", "huggingface_hub", "ftfy")


def missing_libraries() -> list[str]:
    """Those that are not installed."""
    return [name for name in LIBRARIES if find_spec(name) is None]


def require(module: str) -> ModuleType:
    """Import a module of the extra.

    Raises:
        BackendError: it is not installed.
    """
    library = module.partition(".")[0]
    try:
        return import_module(module)
    except ImportError as error:
        raise BackendError(f"this needs {library} ({error}); pip install '{EXTRA}'") from error
