"""The setup's output: one line for each step, and a moving line during a long step."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


class SetupError(Exception):
    """A one-line message, with a hint and the log's path."""

    def __init__(self, message: str, hint: str = "", log: str = "") -> None:
        super().__init__(message)
        self.message, self.hint, self.log = message, hint, log


class Console:
    """Prints steps to stderr; stdout belongs to the program that runs afterwards."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self.stream = stream
        self.live = stream.isatty() and os.environ.get("TERM", "") != "dumb"
        self.worked = False
        self.name = ""
        self.begun = self.said = 0.0

    @contextmanager
    def step(self, name: str, doing: str) -> Iterator[list[str]]:
        """Run a step; the last text in the list that it gets becomes the step's line."""
        self.worked, self.name = True, name
        self.begun = self.said = time.monotonic()
        self.progress(doing)
        result = [doing]
        try:
            yield result
        except BaseException:
            self._clear()
            raise
        seconds = duration(time.monotonic() - self.begun)
        self._clear()
        self.line(f"  {name:<12} {result[-1]:<52} {seconds:>8}")

    def progress(self, text: str) -> None:
        """Show the step's progress: at once on a terminal, else a line every 30 seconds."""
        now = time.monotonic()
        row = f"  {self.name:<12} {text}"
        if self.live:
            width = shutil.get_terminal_size().columns - 1
            self.stream.write(f"\r\x1b[K{row[:width]}")
            self.stream.flush()
        elif now - self.said >= 30:
            self.said = now
            self.line(row)

    def line(self, text: str = "") -> None:
        """Print one line."""
        self.stream.write(text.rstrip() + "\n")
        self.stream.flush()

    def _clear(self) -> None:
        if self.live:
            self.stream.write("\r\x1b[K")
            self.stream.flush()


def duration(seconds: float) -> str:
    """Seconds for readers: "0.3 s", "42 s", "3 min 05 s"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


def size(count: float) -> str:
    """Bytes for readers: "14 MB", "1.12 GB"."""
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
