"""The policy clauses together (``docs/contract.md``, P1 to P24)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest
import torch

from kvbench_core.cache import DenseCache, SegmentedCache
from kvbench_core.conformance.inputs import PLAIN, Inputs
from kvbench_core.conformance.policy_attention import AttentionClauses
from kvbench_core.conformance.policy_bytes import BytesClauses
from kvbench_core.conformance.policy_codec import CodecClauses
from kvbench_core.conformance.policy_content import ContentClauses
from kvbench_core.conformance.policy_naming import NamingClauses
from kvbench_core.conformance.policy_state import StateClauses
from kvbench_core.conformance.policy_window import WindowClauses
from kvbench_core.conformance.rollout import open_session
from kvbench_core.errors import PluginError
from kvbench_core.integration import integrate
from kvbench_core.policy import Policy
from kvbench_core.registry import build_registry


class PolicyConformance(
    AttentionClauses,
    BytesClauses,
    ContentClauses,
    StateClauses,
    WindowClauses,
    CodecClauses,
    NamingClauses,
):
    """What a method promises.

    Override ``method`` with the text of a method, or ``policy`` with an object that has no
    registered name.
    """

    overridable: ClassVar[frozenset[str]] = frozenset({"method", "policy"})

    @pytest.fixture
    def method(self, kvbench_policy: str | None) -> str | None:
        """A registered name or an expression; ``None`` if the policy has neither."""
        if kvbench_policy is not None:
            try:
                build_registry().expand(kvbench_policy)
            except PluginError as error:
                pytest.skip(f"cannot be built here: {error}")
        return kvbench_policy

    @pytest.fixture
    def policy(self, method: str) -> Policy:
        """The policy under test."""
        return build_registry().policy(method)

    @pytest.fixture(autouse=True)
    def one_thread(self) -> Iterator[None]:
        """These tensors are so small that several threads would mostly wait for each other."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(threads)

    @pytest.fixture
    def attached(self, policy: Policy, integration: str) -> Policy:
        """The policy in one integration."""
        context = open_session(policy, Inputs.make(PLAIN, chunks=1)).context
        cache = policy.layer_cache(0, context)
        if integration != "streaming" and not isinstance(cache, SegmentedCache | DenseCache):
            pytest.skip("the method forgets, or computes attention itself: streaming only")
        return integrate(policy, integration)
