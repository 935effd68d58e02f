"""The backend clauses on the code of the full-size generators, with small synthetic weights."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kvbench_core.backend import Backend
from kvbench_core.conformance.backend import BackendConformance
from kvbench_selfforcing_wan.full import vae

pytest.importorskip("diffusers", reason="needs the extra wan")
from wan_files import small


@pytest.fixture(scope="module", autouse=True)
def small_vae() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(vae.VAE_CONFIG, "base_dim", 8)
        yield


class TestSmall(BackendConformance):
    """Every clause, loading included."""

    @pytest.fixture(scope="class")
    @classmethod
    def backend(cls) -> Backend:
        return small().configured(weights="synthetic")
