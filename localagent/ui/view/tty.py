"""Whether there is a terminal to draw on; imports nothing that takes time."""

from __future__ import annotations

import os
import sys


def can_be_drawn_over() -> bool:
    """Whether stdin and stdout are a terminal whose lines can be drawn over."""
    term = os.environ.get("TERM", "")
    capable = term not in ("", "dumb") or sys.platform == "win32"
    return sys.stdin.isatty() and sys.stdout.isatty() and capable
