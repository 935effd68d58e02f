"""What was run, what went wrong, and where everything comes from."""

from __future__ import annotations

from collections.abc import Iterator

from kvbench_core.report.formats import STATES
from kvbench_core.run.records import SYSTEMS_ONLY, Environment, GitState, Session
from kvbench_report.html.blocks import (
    Block,
    Facts,
    Heading,
    Items,
    Row,
    Section,
    Table,
    Text,
    cells,
)
from kvbench_report.subject import Subject

NOT_PACKAGES = ("generator", "suite", "prompt digest", "latent frames", "seed", "device", "kernel",
                "cache dtype", "peak counter")  # fmt: skip


def headline(subject: Subject) -> Section:
    """The run in a few facts, and what a reader must know before reading on."""
    return Section("run", "The run", [Facts(list(_facts(subject))), *_warnings(subject)])


def _facts(subject: Subject) -> Iterator[tuple[str, str]]:
    results, manifest = subject.results, subject.found.manifest
    settings = results.settings
    yield "generator", settings["generator"]
    yield "suite", f"{settings['suite']}, {_count(len(results.prompts), 'prompt')}"
    yield "methods", str(len(results.methods))
    yield "length", f"{settings['latent frames']} latent frames"
    yield "weights", manifest.request.weights or "-"
    videos = {f"{v.frames} frames, {v.width} x {v.height}, {v.fps:g} per second"
              for v in (record.video for record in subject.found.records) if v}  # fmt: skip
    yield "videos", "; ".join(sorted(videos)) or "none"
    yield "device", settings["device"]
    for name in ("kernel", "cache dtype", "seed", "peak counter"):
        yield name, settings[name] or "-"
    yield "kvbench", settings.get("kvbench-core", "-")
    yield "revision", "; ".join(_revisions(subject)) or "installed packages, no checkout"
    for first, last in zip(manifest.sessions[:1], manifest.sessions[-1:], strict=True):
        finished = _minute(last.finished) if last.finished else "-"
        yield "made", f"{_minute(first.started)} to {finished} UTC"
    yield "state", STATES[manifest.status]


def _minute(time: str) -> str:
    """An ISO 8601 time without what nobody reads."""
    return time[:16].replace("T", " ")


def _count(n: int, thing: str) -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


def _environments(subject: Subject) -> list[Environment]:
    return [record.environment for record in subject.found.records]


def _revisions(subject: Subject) -> list[str]:
    return list(dict.fromkeys(_revision(e.git) for e in _environments(subject) if e.git))


def _revision(git: GitState) -> str:
    return git.commit[:12] + (" with uncommitted changes" if git.dirty else "")


def _warnings(subject: Subject) -> Iterator[Block]:
    results = subject.results
    if subject.found.manifest.request.systems_only:
        yield Text(f"{SYSTEMS_ONLY.capitalize()}.")
    if not results.methods:
        yield Text("No cell has been made yet.")
    elif results.reference is None:
        yield Text("There is no BF16 cell, so nothing is compared with the uncompressed cache.")
    if len(results.prompts) == 1:
        yield Text("One prompt gives no intervals: differences may be chance.")
    if results.failures:
        yield Text(f"{_count(len(results.failures), 'failure')} below; figures leave them out.")
    for name, values in _differing(subject):
        yield Text(f"Cells were made with more than one {name}: {', '.join(values)}.")


def _differing(subject: Subject) -> Iterator[tuple[str, list[str]]]:
    """What should be the same for all cells and is not."""
    records, environments = subject.found.records, _environments(subject)
    facts = {
        "device": [each.device for each in environments],
        "kernel": [record.kernel for record in records],
        "number of threads": [str(each.threads) for each in environments],
        "revision": _revisions(subject),
    }
    for package in dict.fromkeys(name for each in environments for name in each.packages):
        facts[f"version of {package}"] = [
            each.packages.get(package, "none") for each in environments
        ]
    for name, values in facts.items():
        if len(set(values)) > 1:
            yield name, sorted(set(values))


def failures(subject: Subject) -> Section:
    """Failures and notes, with reasons."""
    blocks: list[Block] = []
    for title, lines in (
        ("Failures", subject.results.failures),
        ("Notes", subject.results.problems),
    ):
        if lines:
            blocks += [Text(f"{title}:"), Items(lines)]
    return Section("failures", "Failures and notes", blocks or [Text("None.")])


def provenance(subject: Subject) -> Section:
    """The sessions that made the run, the versions that they used, and the prompts."""
    manifest, settings = subject.found.manifest, subject.results.settings
    prompts = Table(
        "Prompts",
        "id",
        [Heading("seed"), Heading("text", numeric=False)],
        [Row(p.id, cells(str(manifest.request.seed + p.index), p.text)) for p in manifest.prompts],
    )
    versions = [(name, value) for name, value in settings.items() if name not in NOT_PACKAGES]
    return Section(
        "provenance",
        "Provenance",
        [_sessions(manifest.sessions), Text("Versions"), Facts(versions), prompts,
         Text(f"SHA-256 of the prompts: {manifest.prompt_digest}.")],
    )  # fmt: skip


def _sessions(sessions: list[Session]) -> Table:
    headings = [
        Heading(name, numeric=False)
        for name in ("finished", "state", "options", "platform", "threads", "revision")
    ]
    rows = [
        Row(
            each.started,
            cells(
                each.finished or "-",
                each.status,
                " ".join(f"{name}={value}" for name, value in each.given.items()),
                f"{each.environment.platform}, Python {each.environment.python}",
                str(each.environment.threads),
                _revision(each.environment.git) if each.environment.git else "-",
            ),
        )
        for each in sessions
    ]
    return Table("Sessions of `kvbench run`", "started", headings, rows)
