"""A progress line on stderr for work of known size."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from localagent.ui.view.format import remaining, size

if TYPE_CHECKING:
    from localagent.models.catalog.download import Progress

_ERASE = "\r\x1b[2K"
_MANY = 500  # files; fewer are read before a line could be seen
_WORDS = {"reading": "reading", "fetching": "fetching", "verifying": "verifying"}


class ProgressLine:
    """Draws `Progress` over one line of a terminal; without one, a line for every tenth."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._last = ("", -1)

    def report(self, progress: Progress) -> None:
        """Show how far it is."""
        tenth = 10 * progress.done // max(progress.total, 1)
        if not self._terminal and self._last == (progress.phase, tenth):
            return
        self._last = (progress.phase, tenth)
        text = f"{_WORDS[progress.phase]} {size(progress.done)} of {size(progress.total)}"
        if progress.rate:
            text += f", {size(int(progress.rate))}/s"
        if progress.seconds_left is not None and progress.done < progress.total:
            text += f", {remaining(progress.seconds_left)}"
        sys.stderr.write(f"{_ERASE}{text}" if self._terminal else f"{text}\n")
        sys.stderr.flush()

    def files(self, done: int, total: int) -> None:
        """Show how many files are read, on a terminal, where they are many."""
        if self._terminal and total >= _MANY:
            self._last = ("reading", -1)
            sys.stderr.write(f"{_ERASE}reading {done:,} of {total:,} files")
            sys.stderr.flush()

    def clear(self) -> None:
        """Take the line away."""
        if self._terminal and self._last[0]:
            sys.stderr.write(_ERASE)
            sys.stderr.flush()

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *exc: object) -> None:
        self.clear()
