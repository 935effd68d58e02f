"""How soon `kvbench dashboard RUN` shows something, from the command to the picture.

Cold: the command starts the server and a Chromium that has never run, as a user's would be. Fresh:
another new Chromium, while the server runs. Warm: the page is loaded again. Seconds; needs the
dependency group ``browser`` and a Chromium.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import click
from tabulate import tabulate

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--window-size=1400,1000")
SEEN = {
    "first content": "document.querySelector('[data-testid=stMain] h2')",
    "recommendations": "document.querySelector('[data-testid=stMain] strong')",
    "table": "document.querySelector('[data-testid=stDataFrame] canvas')",
    "map": "document.querySelector('[data-testid=stVegaLiteChart] :is(canvas, svg)')",
}
"""What is looked for on the first page."""
EVERY_S = 0.02
PATIENCE_S = 60

Times = dict[str, float]


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def launcher(folder: Path, chromium: str, debug: int) -> Path:
    """A program that opens an address in a Chromium of its own and lets us look into it."""
    script = folder / "open.sh"
    options = (*FLAGS, f"--user-data-dir={folder / 'profile'}", f"--remote-debugging-port={debug}")
    script.write_text(f'#!/bin/sh\nexec {chromium} {" ".join(options)} "$1" >/dev/null 2>&1\n')
    script.chmod(0o755)
    return script


@contextmanager
def served(run: Path, port: int, browser: Path) -> Iterator[None]:
    """The command, which opens ``browser``."""
    command = [sys.executable, "-m", "kvbench_core.cli", "dashboard", str(run), "--port", str(port)]
    environment = {**os.environ, "BROWSER": f"{browser} %s &"}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, env=environment, stdout=quiet) as server:  # noqa: S603
        try:
            yield
        finally:
            server.terminate()


def patiently(attempt: Callable[[], Any]) -> Any:
    """What ``attempt`` gives once it gives something; meanwhile it may fail."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            if found := attempt():
                return found
        except Exception:
            if time.monotonic() > deadline:
                raise
        if time.monotonic() > deadline:
            raise click.ClickException("nothing was seen for a minute")
        time.sleep(EVERY_S)


def watch(page: Any, began: float) -> Times:
    """When each of ``SEEN`` was there, after ``began``."""
    seen: Times = {}
    for name, selector in SEEN.items():
        patiently(lambda selector=selector: page.evaluate(f"!!{selector}"))
        seen[name] = time.time() - began
    return seen


def one_round(play: Any, chromium: str, run: Path) -> dict[str, Times]:
    """Cold, fresh and warm, one after the other."""
    port, debug = free_port(), free_port()
    address = f"http://localhost:{port}"
    found = {}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        began = time.time()
        with served(run, port, launcher(folder, chromium, debug)):
            to = f"http://127.0.0.1:{debug}"
            browser = patiently(lambda: play.chromium.connect_over_cdp(to))
            pages = browser.contexts[0].pages
            page = patiently(lambda: next((p for p in pages if address in p.url), None))
            found["cold"] = watch(page, began)
            began = time.time()
            page.goto(address, wait_until="commit")
            found["warm"] = watch(page, began)
            browser.new_browser_cdp_session().send("Browser.close")
            began = time.time()
            other = play.chromium.launch_persistent_context(
                folder / "other", executable_path=chromium, args=list(FLAGS)
            )
            other.pages[0].goto(address, wait_until="commit")
            found["fresh"] = watch(other.pages[0], began)
            other.close()
    return found


@click.command(help=__doc__)
@click.argument("run", type=click.Path(path_type=Path, exists=True))
@click.option("--rounds", default=5, show_default=True, help="Measurements of each.")
def main(run: Path, rounds: int) -> None:
    """Print medians and extremes."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise click.ClickException("there is no Chromium")
    with sync_playwright() as play:
        found = [one_round(play, chromium, run) for _ in range(rounds)]
    rows = []
    for kind in ("cold", "fresh", "warm"):
        columns = [[each[kind][name] for each in found] for name in SEEN]
        rows.append([kind, *(f"{median(c):.1f} [{min(c):.1f} {max(c):.1f}]" for c in columns)])
    click.echo(tabulate(rows, ["seconds", *SEEN], tablefmt="github"))
    click.echo(f"median [least most] of {rounds}; load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
