"""Draws a reply while the model writes it, as Markdown; a tool call is only counted."""

from __future__ import annotations

import re
from functools import cache

from rich.text import Text

from localagent.tools.base import DONE, REPAIR
from localagent.tools.registry import standard_tools
from localagent.ui.view.format import ASCII, count
from localagent.ui.view.markdown import MarkdownStream
from localagent.ui.view.sanitize import StreamCleaner
from localagent.ui.view.screen import Surface


@cache
def call_start() -> re.Pattern[str]:
    """Match the first line of a tool call or of `done`: three backticks and the name."""
    names = "|".join((*standard_tools(), REPAIR.name, DONE.name))
    return re.compile(rf"```({names})\b")


class AnswerStream:
    """Draws an answer to the user as Markdown, in full."""

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
        """Draw the rest: the answer is complete."""
        for row in self._markdown.close():
            self._row(row.text)
        self._surface.clear_status()

    def _row(self, text: Text) -> None:
        if not text.plain.strip():  # held back, so that no blank line begins or ends an answer
            self._blank += self._any
            return
        for _ in range(min(self._blank, 2) if self._any else 1):
            self._surface.line()
        self._blank, self._any = 0, True
        self._surface.line(text, wrap=False)


class ActStream:
    """Draws a reply that ends with a tool call: its text before the call, and the text of "done".

    For every call except "done", the renderer draws one line when the tool returns.
    """

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._said = AnswerStream(surface)
        self._tail = ""  # an unfinished line: it may open or close a block
        self._call = ""
        self._lines = 0
        self._held = ""
        self.concluded = False
        """Whether the reply has a "done" call, whose text is on the screen."""

    def feed(self, piece: str) -> None:
        """Draw the next piece."""
        *whole, self._tail = (self._tail + piece).split("\n")
        for line in whole:
            self._line(f"{line}\n")
        if self._call in ("", DONE.name) and self._tail and not self._tail.startswith("`"):
            self._say(self._tail)
            self._tail = ""

    def end(self) -> None:
        """Draw the rest: the reply is complete."""
        if self._tail.strip():
            self._line(self._tail)
        self._said.end()

    def _line(self, line: str) -> None:
        opened = call_start().match(line)
        if opened and not self._call:
            self._call = opened[1]
            self.concluded = self._call == DONE.name
        elif self._call == DONE.name and line.rstrip() == "```":
            self._held += line  # closes the block, unless more text follows
        elif self._call in ("", DONE.name):
            self._say(line)
        else:
            self._lines += 1
            self._surface.status(f"writing: {self._call}, {count(self._lines, 'line')}")

    def _say(self, text: str) -> None:
        self._said.feed(self._held + text)
        self._held = ""
