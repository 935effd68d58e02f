"""Texts from run directories, which anybody may have written, on a page that reads Markdown."""

from __future__ import annotations

import re

from kvbench_core.errors import printable

LONGEST = 300
LINKED = re.compile(r"(?<=:)(?=//)|(?<=www)(?=\.)|(?=@)", re.IGNORECASE)
JOINER = "\u2060"
"""Invisible; keeps an address from being made a link, which no escape does."""


def plain(text: str) -> str:
    """``text`` as Markdown that shows exactly it, on one line and not endlessly."""
    line = printable(" ".join(text.split()))
    line = line if len(line) <= LONGEST else f"{line[:LONGEST]} …"
    line = LINKED.sub(JOINER, line)
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", line)
