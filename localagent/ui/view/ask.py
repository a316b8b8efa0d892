"""Asking the user before something is done."""

from __future__ import annotations

from collections.abc import Callable

from rich.text import Text

from localagent.core.events import Question
from localagent.ui.chat.interface import Answer
from localagent.ui.view.diff import drawn, looks_like_diff
from localagent.ui.view.format import count
from localagent.ui.view.layout import hanging
from localagent.ui.view.sanitize import clean, one_line
from localagent.ui.view.screen import Screen, Surface

# A command is always shown whole: what is folded away could be the part that matters.
_MAX_DIFF_LINES = 400
# Tools that change files: "always" means every file. For the rest it means exactly the same again.
_FILE_TOOLS = ("edit", "write")
_TRIES = 3


class Asker:
    """Shows what would happen and reads y, n or a. `read` returns a line, "" at the end of input.

    "a" answers alike questions of this session; it is remembered nowhere else.
    """

    def __init__(self, screen: Screen, read: Callable[[], str]) -> None:
        self._screen = screen
        self._read = read
        self._always: set[tuple[str, str]] = set()

    def ask(self, question: Question) -> Answer:
        """Show `question` and return the answer; an unclear answer is a no."""
        scope = _scope(question)
        if scope in self._always:
            return Answer(True, "allowed for this session")
        show_question(self._screen, question)
        for _ in range(_TRIES):
            self._screen.ask(f"  y yes, n no, a always for {_words(scope)}: ")
            line = self._read()
            reply = line.strip().lower()
            if reply in ("a", "always"):
                self._always.add(scope)
            if reply in ("y", "yes", "a", "always"):
                return Answer(True)
            if reply in ("n", "no", "") or not line:
                break
        return Answer(False, "you said no")


def show_question(surface: Surface, question: Question) -> None:
    """Draw what would be run or changed."""
    what = f"may I {verb(question.tool)} {one_line(question.subject)}?"
    body = Text(what, style="warn.strong")
    if question.reason:
        body.append(f" ({one_line(question.reason)})", style="warn")
    surface.line()
    surface.line(hanging(Text("?", style="warn.strong"), body))
    if looks_like_diff(question.preview):
        lines = list(drawn(question.preview))
        shown = lines[:_MAX_DIFF_LINES]
    else:
        shown = lines = [Text(line) for line in clean(question.preview).rstrip().split("\n")]
    for line in shown:
        surface.line(Text("    ").append_text(line), wrap=False)
    if len(lines) > len(shown):
        hidden = count(len(lines) - len(shown), "more line")
        surface.line(Text(f"    ... {hidden} not shown", style="warn"))


def _scope(question: Question) -> tuple[str, str]:
    return (question.tool, "" if question.tool in _FILE_TOOLS else question.subject)


def _words(scope: tuple[str, str]) -> str:
    tool, subject = scope
    return "this command" if tool in ("shell", "check") else "this" if subject else f"every {tool}"


def verb(tool: str) -> str:
    """What a tool does, as in "may I change x.py?"."""
    return {"shell": "run", "check": "run the check", "edit": "change", "write": "write"}.get(
        tool, f"use {one_line(tool)} on"
    )
