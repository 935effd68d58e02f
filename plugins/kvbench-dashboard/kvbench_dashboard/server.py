"""Streamlit with one route of our own: ``/frames``, from which the player fetches pictures."""

from __future__ import annotations

import os
import socket
import webbrowser
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from streamlit.starlette import App

from kvbench_core.errors import KvbenchError
from kvbench_dashboard.clips import Clips
from kvbench_dashboard.frames import frame_route

HOST = "127.0.0.1"
PAGE = Path(__file__).with_name("app.py")
SETTINGS = {
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "none",
    "client.toolbarMode": "minimal",
    "logger.level": "error",
    "runner.magicEnabled": False,
    "server.address": HOST,
    "server.fileWatcherType": "none",
    "server.headless": True,
    "theme.primaryColor": "#2563eb",
}


class PortError(KvbenchError):
    """The dashboard cannot be served at a port."""


def free_port(ports: Iterable[int]) -> int:
    """The first of ``ports`` that can be served at.

    Raises:
        PortError: none can.
    """
    reason = ""
    for port in ports:
        try:
            socket.create_server((HOST, port)).close()
            return port
        except OSError as error:
            reason = f"cannot serve at port {port} ({os.strerror(error.errno or 0)})"
    raise PortError(f"{reason}; choose another --port")


def serve(port: int, browser: bool) -> None:
    """Serve the dashboard of the opened runs until it is interrupted."""

    folder = TemporaryDirectory(prefix="kvbench-dashboard-")

    @asynccontextmanager
    async def served(_: App) -> AsyncIterator[None]:
        Thread(target=_import_pages, daemon=True).start()
        if browser:
            webbrowser.open(f"http://localhost:{port}")
        yield
        folder.cleanup()  # here, because a signal ends the process after this

    app = App(PAGE, routes=[frame_route(Clips(Path(folder.name)))], lifespan=served)
    app.run(config={**SETTINGS, "server.port": port})


def _import_pages() -> None:
    """Import what the pages need while the browser loads Streamlit's own files."""
    import_module("kvbench_dashboard.points")
    import_module("kvbench_dashboard.recommendation")
