"""A reply as it is written: an answer as Markdown, code dim, indented, and folded where it grows
long."""

from __future__ import annotations

import re

from rich.text import Text

from localagent.ui.view.format import ASCII, count
from localagent.ui.view.markdown import MarkdownStream
from localagent.ui.view.sanitize import StreamCleaner
from localagent.ui.view.screen import Surface

MAX_LINES = 40
"""Lines of a reply that are shown; after them the live line counts. The change itself is shown
whole at the end, and the reply is in the transcript."""

DONE = "done"
CALLS = ("read", "list", "search", "edit", "write", "shell", DONE)
"""What opens a tool's call in a reply, behind three backticks."""

_CALL = re.compile(rf"```({'|'.join(CALLS)})\b")
_INDENT = "    "


class AnswerStream:
    """Draws an answer to a person: all of it, as Markdown."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._cleaner = StreamCleaner()
        unicode = surface.symbols is not ASCII
        self._markdown = MarkdownStream(surface.width - 1, unicode=unicode)
        self._blank = 0
        self._any = False

    def feed(self, piece: str) -> None:
        """Draw the next piece."""
        text = self._cleaner.feed(piece)
        self._markdown.width = max(self._surface.width - 1, 8)
        for row in self._markdown.feed(text):
            self._row(row.text)
        self._surface.partial(self._markdown.partial())

    def end(self) -> None:
        """The answer is over."""
        for row in self._markdown.close():
            self._row(row.text)
        self._surface.clear_status()

    def _row(self, text: Text) -> None:
        if not text.plain.strip():  # blank lines wait, so that none begins or ends the answer
            self._blank += self._any
            return
        for _ in range(min(self._blank, 2) if self._any else 1):
            self._surface.line()
        self._blank, self._any = 0, True
        self._surface.line(text, wrap=False)


class ActStream:
    """Draws a reply that ends with a tool's call: what is said before it, and what "done" says. The
    call itself is told in one line once the tool has returned."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._said = AnswerStream(surface)
        self._tail = ""  # a line that may yet open or close a block
        self._call = ""
        self._lines = 0
        self._held = ""
        self.concluded = False
        """Whether there was a "done", so that what it says is on the screen."""

    def feed(self, piece: str) -> None:
        """Draw the next piece."""
        *whole, self._tail = (self._tail + piece).split("\n")
        for line in whole:
            self._line(f"{line}\n")
        if self._call in ("", DONE) and self._tail and not self._tail.startswith("`"):
            self._say(self._tail)
            self._tail = ""

    def end(self) -> None:
        """The reply is over."""
        if self._tail.strip():
            self._line(self._tail)
        self._said.end()

    def _line(self, line: str) -> None:
        opened = _CALL.match(line)
        if opened and not self._call:
            self._call = opened[1]
            self.concluded = self._call == DONE
        elif self._call == DONE and line.rstrip() == "```":
            self._held += line  # closes the block, unless there is more
        elif self._call in ("", DONE):
            self._say(line)
        else:
            self._lines += 1
            self._surface.status(f"writing: {self._call}, {count(self._lines, 'line')}")

    def _say(self, text: str) -> None:
        self._said.feed(self._held + text)
        self._held = ""


class CodeStream:
    """Draws a reply that is code: what is not for reading."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._cleaner = StreamCleaner()
        self._line = ""
        self._lines = 0
        self._blank = 0

    def feed(self, piece: str) -> None:
        """Draw the next piece."""
        *whole, last = (self._line + self._cleaner.feed(piece)).split("\n")
        for line in whole:
            self._take(line)
        self._line = last
        if self._folded():
            self._surface.status(f"writing: {count(self._lines, 'line')}")
        elif last:
            self._surface.partial(Text(_INDENT + last[-1000:], "faint"))

    def end(self) -> None:
        """The reply is over."""
        if self._line.strip():
            self._take(self._line)
        self._surface.clear_status()
        if self._lines > MAX_LINES:
            more = count(self._lines - MAX_LINES, "more line")
            self._surface.line(Text(f"{_INDENT}... {more}", "faint"), wrap=False)

    def _folded(self) -> bool:
        return self._lines >= MAX_LINES

    def _take(self, line: str) -> None:
        folded = self._folded()
        self._lines += 1
        if folded:
            return
        if not line.strip():  # blank lines wait, so that none ends the reply
            self._blank += 1
            return
        for _ in range(self._blank):
            self._surface.line()
        self._blank = 0
        self._surface.line(Text(_INDENT + line, "faint"), wrap=False)
