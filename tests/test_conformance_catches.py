"""The shipped suite fails on broken policies, by the clause that each one breaks."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from broken import BROKEN, CORRECT  # noqa: E402 - found through the line above


class Outcomes:
    """A pytest plugin that notes which clauses failed."""

    def __init__(self) -> None:
        self.failed: dict[str, str] = {}
        self.passed = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed[report.nodeid.rpartition("::")[2]] = str(report.longrepr)
        self.passed += report.when == "call" and report.passed


@pytest.fixture
def outcomes(tmp_path, monkeypatch):
    """Run the shipped clauses on one policy, in this process."""

    def run(name: str, *options: str) -> Outcomes:
        found = Outcomes()
        monkeypatch.setenv("POLICY_UNDER_TEST", name)
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        settings = ("-c", str(tmp_path / "pytest.ini"), "--rootdir", str(tmp_path))
        plugins = ("-p", "no:terminal", "-p", "no:cacheprovider")
        suite = str(HERE / "broken" / "suite.py")
        code = pytest.main([suite, *options, *settings, *plugins], [found])
        assert code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        return found

    return run


@pytest.mark.parametrize("name", CORRECT)
def test_a_correct_policy_passes_every_clause(name, outcomes):
    found = outcomes(name)
    assert found.failed == {}
    assert found.passed > 60


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_policy_is_caught_by_its_clause(name, outcomes):
    _, clause = BROKEN[name]
    failed = outcomes(name, "-k", f"test_{clause.lower()}_").failed
    assert failed, f"{clause} holds"
    assert any(f"{clause}: " in message for message in failed.values())
