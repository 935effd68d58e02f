"""Downloads over HTTP, from a Hub on this machine whose connections break."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest

pytest.importorskip("huggingface_hub", reason="needs the extra wan")
LARGE = bytes(range(256)) * (48 * 1024)
"""12 MiB: the Hub's client keeps pieces of 10."""
SMALL = b"tokens"
CHECKPOINT = "/gdhe17/Self-Forcing/resolve/main/checkpoints/self_forcing_dmd.pt"
TEXT_ENCODER = "/Wan-AI/Wan2.1-T2V-1.3B/resolve/main/models_t5_umt5-xxl-enc-bf16.pth"
HANG_S = 30


class Hub(ThreadingHTTPServer):
    """Has every file; ``breaks`` and ``hangs`` say what happens once, in the middle of which."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str | None]] = []
        self.breaks = self.hangs = ""
        self.hanging, self.over = Event(), Event()
        self.digests: dict[str, str] = {}


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._head(0)

    def do_GET(self) -> None:
        if "/resolve/" not in self.path:
            self.send_error(404)
            return
        asked = self.headers["Range"]
        self.server.asked.append((self.path, asked))
        start = int(re.findall(r"\d+", asked)[0]) if asked else 0
        content = self._head(start)[start:]
        half = 11 * len(content) // 12
        self.wfile.write(content[:half])
        if self.path == self.server.hangs:
            self.server.hangs = ""
            self.server.hanging.set()
            self.server.over.wait(HANG_S)
        if self.path == self.server.breaks:
            self.server.breaks = ""
            return
        self.wfile.write(content[half:])

    def _head(self, start: int) -> bytes:
        content = LARGE if self.path.endswith((".pt", ".pth")) else SMALL
        digest = self.server.digests.get(self.path, hashlib.sha256(content).hexdigest())
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{digest}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        return content

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.over.set()
        server.shutdown()


def start(hub: Hub, folder: Path) -> subprocess.Popen[str]:
    settings = {
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
        "HF_HOME": str(folder / "home"),
        "HF_HUB_DISABLE_XET": "1",
        "NO_PROXY": "127.0.0.1",
    }
    command = [sys.executable, "-m", "kvbench_core.cli", "weights", "fetch", "wan-1.3b"]
    return subprocess.Popen(
        [*command, "--to", str(folder / "weights")],
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_connection_that_breaks_is_taken_up_where_it_was(hub: Hub, tmp_path: Path) -> None:
    hub.breaks = CHECKPOINT
    process = start(hub, tmp_path)
    said, errors = process.communicate()
    assert process.returncode == 0, errors
    assert said.endswith("complete\n")
    asked = [where for path, where in hub.asked if path == CHECKPOINT]
    assert asked == [None, f"bytes={10 * 2**20}-"]
    loaded = tmp_path / "weights" / "Self-Forcing" / "checkpoints" / "self_forcing_dmd.pt"
    assert loaded.read_bytes() == LARGE


def test_files_that_are_whole_outlive_a_kill(hub: Hub, tmp_path: Path) -> None:
    hub.hangs = TEXT_ENCODER
    process = start(hub, tmp_path)
    assert hub.hanging.wait(HANG_S)
    process.kill()
    process.communicate()
    again = start(hub, tmp_path)
    _, errors = again.communicate()
    assert again.returncode == 0, errors
    asked = [path for path, _ in hub.asked]
    assert asked.count(CHECKPOINT) == 1
    assert asked.count(TEXT_ENCODER) == 2


def test_what_differs_from_the_hubs_digest_is_refused(hub: Hub, tmp_path: Path) -> None:
    hub.digests[CHECKPOINT] = "0" * 64
    process = start(hub, tmp_path)
    _, errors = process.communicate()
    assert process.returncode == 2
    assert re.search(r"self_forcing_dmd.pt has SHA-256 .*delete it and fetch it again", errors)
    assert "Traceback" not in errors
