"""A reply as it is written: shown dim and indented, folded where it grows long."""

from __future__ import annotations

from localagent.ui.clean import StreamCleaner
from localagent.ui.screen import Screen
from localagent.ui.words import count

MAX_LINES = 40
"""Lines of a reply that are shown; after them the live line counts. The change itself is shown
whole at the end, and the reply is in the transcript."""

_INDENT = "    "


class ReplyStream:
    """Draws one reply. `whole` shows all of it, in the normal colour: an answer to a person."""

    def __init__(self, screen: Screen, *, whole: bool = False) -> None:
        self._screen = screen
        self._whole = whole
        self._cleaner = StreamCleaner()
        self._lines = 0
        self._at_start = True
        self._blank = 0

    def feed(self, piece: str) -> None:
        """Draw the next piece."""
        text = self._cleaner.feed(piece)
        shown = "".join(self._take(part) for part in text.splitlines(keepends=True))
        if shown:
            self._screen.stream(shown, "" if self._whole else "dim")
        elif self._folded():
            self._screen.status(f"writing: {count(self._lines, 'line')}")

    def end(self) -> None:
        """The reply is over."""
        if self._folded():
            more = count(self._lines - MAX_LINES + (not self._at_start), "more line")
            self._screen.stream(f"{_INDENT}... {more}\n")

    def _folded(self) -> bool:
        return not self._whole and self._lines >= MAX_LINES

    def _take(self, part: str) -> str:
        """What is drawn of a part that holds at most one line break, at its end."""
        folded = self._folded()
        ended = part.endswith("\n")
        if self._at_start and part == "\n":  # blank lines wait, so that none ends the reply
            self._blank += 1
            self._lines += 1
            return ""
        blank, self._blank = "\n" * self._blank, 0
        shown = blank + (_INDENT if self._at_start else "") + part
        self._at_start = ended
        self._lines += ended
        return "" if folded else shown
