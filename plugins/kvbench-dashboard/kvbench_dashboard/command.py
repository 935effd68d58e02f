"""``kvbench dashboard``: check what was asked, then serve."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from threading import Thread

import click

FIRST_PORT = 8501
PORTS_TRIED = 50


@click.command()
@click.argument("runs", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help=f"Port to serve at [default: the first free one from {FIRST_PORT}].",
)
@click.option("--no-browser", is_flag=True, help="Do not open the browser.")
def dashboard(runs: tuple[Path, ...], port: int | None, no_browser: bool) -> None:
    """Look at runs in the browser.

    RUN is a directory that `kvbench run` made; nothing in it is changed. Several are shown one
    at a time or compared. Served to this machine only, until Ctrl-C.

    On another machine: `ssh -L 8501:localhost:8501 HOST`, then open http://localhost:8501 here.
    """
    from kvbench_core.run.store import RunStore
    from kvbench_dashboard.listener import listen
    from kvbench_dashboard.opened import remember

    remember([RunStore.open(run).root for run in runs])
    ports = [port] if port else range(FIRST_PORT, FIRST_PORT + PORTS_TRIED)
    with listen(ports) as listener:
        address = f"http://localhost:{listener.getsockname()[1]}"
        click.echo(f"The dashboard is at {address} until Ctrl-C.")
        if not no_browser:  # it starts while Streamlit is imported here, and waits for an answer
            Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        from kvbench_dashboard.server import serve

        serve(listener)
