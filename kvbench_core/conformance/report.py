"""Run the suite in this process and gather what came of it, subject by subject."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import pytest
from attrs import asdict, define, field, frozen

from kvbench_core.conformance.pytest_plugin import KINDS

CLAUSE = re.compile(r"[A-Z]\d+: ")
NOT_HERE = re.compile(r"cannot be (built|loaded|used) here: .*")


@frozen
class Failed:
    """A clause that does not hold: its number, the test, and the sentence of the contract."""

    clause: str
    test: str
    message: str


@define
class Subject:
    """One policy, backend, metric, suite or command.

    ``not_checked`` says why some clauses were left out.
    """

    kind: str
    name: str
    held: int = 0
    not_applicable: int = 0
    failed: list[Failed] = field(factory=list)
    not_checked: list[str] = field(factory=list)


@define
class Report:
    """Everything that was checked; ``errors`` belong to no subject, such as a broken plugin."""

    subjects: list[Subject] = field(factory=list)
    errors: list[str] = field(factory=list)

    @property
    def kept(self) -> bool:
        """Whether nothing failed."""
        return not self.errors and not any(subject.failed for subject in self.subjects)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"kept": self.kept, **asdict(self)}


class Collector:
    """A pytest plugin that fills a report; tests of one subject run behind one another."""

    def __init__(self, done: Callable[[Subject], None]) -> None:
        self.report = Report()
        self._done = done
        self._subjects: dict[str, tuple[str, str]] = {}

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Remember which subject a test is about."""
        params = getattr(getattr(item, "callspec", None), "params", {})
        for kind in KINDS:
            if f"kvbench_{kind}" in params:
                self._subjects[item.nodeid] = kind, str(params[f"kvbench_{kind}"])

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A test module that cannot be imported."""
        if report.failed:
            self.report.errors.append(_message(report))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of one test."""
        if report.when == "teardown" and not report.failed:
            return
        if report.when == "setup" and report.passed:
            return
        where = self._subjects.get(report.nodeid)
        if where is not None:
            self._count(self._subject(*where), report)
        elif report.failed:
            self.report.errors.append(_message(report))

    def _subject(self, kind: str, name: str) -> Subject:
        subjects = self.report.subjects
        if not subjects or (subjects[-1].kind, subjects[-1].name) != (kind, name):
            self.finish()
            subjects.append(Subject(kind, name))
        return subjects[-1]

    def finish(self) -> None:
        """The last subject is complete."""
        if self.report.subjects:
            self._done(self.report.subjects[-1])

    @staticmethod
    def _count(subject: Subject, report: pytest.TestReport) -> None:
        if report.failed:
            test = report.nodeid.rpartition("::")[2]
            clause = test.split("_")[1].upper()
            subject.failed.append(Failed(clause, test, _message(report)))
        elif report.skipped:
            found = NOT_HERE.search(str(report.longrepr))
            reason = found[0].rstrip("')\"") if found else ""
            if found and reason not in subject.not_checked:
                subject.not_checked.append(reason)
            subject.not_applicable += not found
        else:
            subject.held += 1


def _message(report: pytest.CollectReport | pytest.TestReport) -> str:
    """The sentence of the contract, or else the error in one line and where it was raised."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else str(report.longrepr)
    line = text.strip().splitlines()[0] if text.strip() else "failed without a word"
    line = line.removeprefix("AssertionError: ").removeprefix("Failed: ")
    if crash is None or CLAUSE.match(line):
        return str(line)
    return f"{line} ({'/'.join(Path(crash.path).parts[-2:])}:{crash.lineno})"


def check(
    names: Mapping[str, Sequence[str]], device: str, done: Callable[[Subject], None]
) -> Report:
    """Check the given names, by kind, or everything installed; ``done`` hears of each subject.

    The caller's own pytest configuration, plugins' caches and options play no part.
    """
    collector = Collector(done)
    with TemporaryDirectory() as folder, patch.dict(os.environ), suppress(SystemExit):
        os.environ.pop("PYTEST_ADDOPTS", None)
        settings = Path(folder) / "pytest.ini"
        settings.write_text("[pytest]\n", encoding="utf-8")
        code = pytest.main(
            [
                *("--pyargs", "kvbench_core.conformance", "--import-mode=importlib"),
                *("--noconftest", "-p", "no:terminal", "-p", "no:cacheprovider"),
                *("-c", str(settings), "--rootdir", folder),
                *(f"--kvbench-{kind}={name}" for kind, given in names.items() for name in given),
                f"--kvbench-device={device}",
            ],
            plugins=[collector],
        )
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and collector.report.kept:
            collector.report.errors.append(f"pytest stopped with {code!r}")
    collector.finish()
    return collector.report
