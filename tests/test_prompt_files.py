"""Published prompt files: found, fetched, resumed, refused; through the command line."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from attrs import define, evolve, field

from kvbench_core import prompt_files
from kvbench_core.prompt_files import MOVIEGEN, PROMPT_FILES, STORYEVAL

CONTENT = "".join(f"A cat walks past {n} dogs.\n" for n in range(5000)).encode()


@define
class Server:
    """Serves one file, as well as it is told to."""

    content: bytes = CONTENT
    cut_after: int | None = None
    ranges: bool = True
    asked: list[str | None] = field(factory=list)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A web server with a prompt file, which stands for MovieGen's; the cache is empty."""
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            span = self.headers["Range"]
            state.asked.append(span)
            start = int(span.removeprefix("bytes=").rstrip("-")) if span and state.ranges else 0
            body = state.content[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: state.cut_after])

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    file = evolve(
        MOVIEGEN,
        url=f"http://127.0.0.1:{http.server_port}/prompts.txt",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        bytes=len(CONTENT),
    )
    monkeypatch.setitem(prompt_files.PROMPT_FILES, "moviegen", file)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KVBENCH_MOVIEGEN", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield state
    http.shutdown()
    http.server_close()


def test_fetched_once_then_used(server: Server, cli):
    assert "kvbench suites fetch moviegen" in cli("suites", "list").output
    first = cli("suites", "fetch", "moviegen")
    assert (first.exit_code, "fetched to" in first.output) == (0, True)
    assert "is there already" in cli("suites", "fetch", "moviegen").output
    assert server.asked == [None]
    (row,) = (
        row for row in json.loads(cli("suites", "list", "--json").output)
        if row["name"] == "moviegen"
    )  # fmt: skip
    assert (row["prompts"], row["state"]) == (5000, "ready")
    shown = cli("suites", "show", "moviegen", "--first", "2").output
    assert shown.splitlines() == [
        "    0  p001  A cat walks past 0 dogs.",
        "    1  p002  A cat walks past 1 dogs.",
        "... and 4998 more (--first)",
    ]


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_download_goes_on(server: Server, cli, ranges: bool):
    server.cut_after, server.ranges = 70_000, ranges
    cut = cli("suites", "fetch", "moviegen")
    assert cut.exit_code == 2
    assert "the connection ended after 70000 of" in cut.output
    server.cut_after = None
    assert cli("suites", "fetch", "moviegen").exit_code == 0
    assert server.asked == [None, "bytes=70000-"]
    assert prompt_files.PROMPT_FILES["moviegen"].cached.read_bytes() == CONTENT


@pytest.mark.parametrize("content", [b"x" * len(CONTENT), CONTENT + b"more"])
def test_a_file_that_changed_is_not_used(server: Server, cli, content: bytes):
    server.content = content
    result = cli("suites", "fetch", "moviegen")
    assert result.exit_code == 2
    assert "is no longer the published file" in result.output
    assert not prompt_files.PROMPT_FILES["moviegen"].cached.exists()
    server.content = CONTENT
    assert cli("suites", "fetch", "moviegen").exit_code == 0


def test_without_a_network_it_says_where_the_file_goes(cli, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    nowhere = evolve(MOVIEGEN, url="http://127.0.0.1:1/prompts.txt")
    monkeypatch.setitem(prompt_files.PROMPT_FILES, "moviegen", nowhere)
    result = cli("suites", "fetch", "moviegen")
    assert result.exit_code == 2
    assert "cannot fetch http://127.0.0.1:1/prompts.txt: " in result.output
    assert f"put it at {tmp_path / 'kvbench' / 'prompts' / 'moviegen.txt'}" in result.output
    assert "KVBENCH_MOVIEGEN" in result.output


def test_a_damaged_cache_is_refused(server: Server, cli):
    cli("suites", "fetch", "moviegen")
    cached = prompt_files.PROMPT_FILES["moviegen"].cached
    cached.write_bytes(CONTENT[:-100])
    result = cli("run", "--backend", "toy", "--suite", "moviegen", "--out", cached.parent / "run")
    assert result.exit_code == 2
    assert "moviegen.txt is not the published file" in result.output
    assert cli("suites", "fetch", "moviegen").exit_code == 0
    assert cached.read_bytes() == CONTENT


def test_a_variable_names_another_file(cli, tmp_path: Path, monkeypatch):
    """The same format, other prompts: the first 2, seeds 3 and 4."""
    (tmp_path / "own.txt").write_text("A ball rolls.\nA cube falls.\nNothing moves.\n")
    monkeypatch.setenv("KVBENCH_STORYEVAL", str(tmp_path / "own.txt"))
    root = tmp_path / "run"
    asked = ("--suite", "storyeval", "--prompts", "2", "--seed", "3", "--no-evaluate", "--json")
    assert cli("run", "--backend", "toy", "-m", "COARSE", *asked, "--out", root).exit_code == 0
    manifest = json.loads((root / "manifest.json").read_text())
    assert manifest["request"]["suite"] == "storyeval"
    assert [prompt["text"] for prompt in manifest["prompts"]] == ["A ball rolls.", "A cube falls."]
    cells = [json.loads(path.read_text())["cell"] for path in root.glob("cells/*.json")]
    assert {(cell["prompt"], cell["seed"]) for cell in cells} == {("p001", 3), ("p002", 4)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file"),
        (b"a cat\n\xff\n", "line 2 is not UTF-8"),
        (b"\n# only a comment\n", "has no prompt"),
        (b"a\0b\n", "p001: text must be"),
    ],
)
def test_a_variable_that_names_a_useless_file(cli, tmp_path, monkeypatch, content, message):
    path = tmp_path / "own.txt"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("KVBENCH_MOVIEGEN", str(path))
    result = cli("run", "--backend", "toy", "--suite", "moviegen", "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert message in result.output
    assert f"KVBENCH_MOVIEGEN names {path}" in result.output
    assert not (tmp_path / "run").exists()


def test_unknown_names(cli):
    result = cli("suites", "fetch", "moviegn")
    assert (result.exit_code, "did you mean moviegen?" in result.output) == (2, True)
    result = cli("suites", "show", "toy-suit")
    assert (result.exit_code, "did you mean toy-suite?" in result.output) == (2, True)


PUBLISHED = os.environ.get("KVBENCH_PROMPT_DATA", "")
NAMES = {MOVIEGEN: "MovieGenVideoBench_extended.txt", STORYEVAL: "storyeval_all_prompts.txt"}


@pytest.mark.skipif(not PUBLISHED, reason="KVBENCH_PROMPT_DATA names no folder of published files")
@pytest.mark.parametrize(("file", "prompts"), [(MOVIEGEN, 1003), (STORYEVAL, 423)])
def test_the_published_files(monkeypatch, file, prompts: int):
    path = Path(PUBLISHED) / NAMES[file]
    assert file.is_intact(path)
    assert path.stat().st_size == file.bytes
    monkeypatch.setenv(file.variable, str(path))
    suite = PROMPT_FILES[file.suite].load()
    assert (suite.name, len(suite.prompts)) == (file.suite, prompts)
    lines = path.read_text(encoding="utf-8").split("\n")
    for index, prompt in enumerate(suite.prompts[:10]):  # the published study's
        assert (prompt.index, prompt.text) == (index, lines[index])
