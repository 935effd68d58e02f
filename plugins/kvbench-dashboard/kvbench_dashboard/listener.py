"""The port that the dashboard is served at, taken before anything heavy is imported."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable

from kvbench_core.errors import KvbenchError

HOST = "127.0.0.1"


class PortError(KvbenchError):
    """The dashboard cannot be served at a port."""


def listen(ports: Iterable[int]) -> socket.socket:
    """A socket that listens at the first of ``ports`` that is free.

    Whoever connects waits until the server is ready.

    Raises:
        PortError: none is free.
    """
    reason = ""
    for port in ports:
        try:
            return socket.create_server((HOST, port), backlog=128)
        except OSError as error:
            reason = f"cannot serve at port {port} ({os.strerror(error.errno or 0)})"
    raise PortError(f"{reason}; choose another --port")
