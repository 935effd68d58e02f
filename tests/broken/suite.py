"""The shipped clauses on one of these policies, named by POLICY_UNDER_TEST; not collected."""

from __future__ import annotations

import os

import pytest

from broken import BROKEN, CORRECT
from kvbench_core.conformance.policy import PolicyConformance

POLICIES = CORRECT | {name: make for name, (make, _) in BROKEN.items()}


class TestPolicy(PolicyConformance):
    @pytest.fixture
    def policy(self):
        return POLICIES[os.environ["POLICY_UNDER_TEST"]]()
