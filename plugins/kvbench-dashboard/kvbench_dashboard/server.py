"""Streamlit with one route of our own: ``/frames``, from which the player fetches pictures."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import uvicorn
from streamlit import config
from streamlit.starlette import App

from kvbench_dashboard.clips import Clips
from kvbench_dashboard.frames import frame_route
from kvbench_dashboard.listener import HOST

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


def serve(listener: socket.socket) -> None:
    """Serve the dashboard of the opened runs to who connects, until it is interrupted."""
    chosen = {**SETTINGS, "server.port": listener.getsockname()[1]}
    config.get_config_options(force_reparse=True, options_from_flags=chosen)
    folder = TemporaryDirectory(prefix="kvbench-dashboard-")

    @asynccontextmanager
    async def served(_: App) -> AsyncIterator[None]:
        Thread(target=_warm_up, daemon=True).start()
        yield
        folder.cleanup()  # here, because a signal ends the process after this

    app = App(PAGE, routes=[frame_route(Clips(Path(folder.name)))], lifespan=served)
    settings = uvicorn.Config(app, log_level="error", ws_per_message_deflate=False)
    uvicorn.Server(settings).run(sockets=[listener])


def _warm_up() -> None:
    """Do what the first page needs while the browser loads Streamlit's own files."""
    from kvbench_dashboard.view import read_first

    import_module("kvbench_dashboard.points")
    import_module("kvbench_dashboard.recommendation")
    read_first()
