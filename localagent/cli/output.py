"""Plain output of the commands that need no drawing, and of errors."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import TYPE_CHECKING, TextIO

from localagent.core.errors import LocalAgentError, RefusedError
from localagent.ui.view.sanitize import clean

if TYPE_CHECKING:
    from localagent.core.events import Event


class JsonLines:
    """Writes each event as one line of ASCII at once, so that a reader never waits for it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def draw(self, event: Event) -> None:
        """Write one event."""
        from localagent.core.events import to_dict

        self._stream.write(json.dumps(to_dict(event)) + "\n")
        self._stream.flush()


_WIDEST = 40  # characters


def keep_printable() -> None:
    """Let no character that a stream cannot encode end the program: it is shown as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def say(text: str = "") -> None:
    """Write one line to stdout, cleaned."""
    sys.stdout.write(clean(text) + "\n")


def prompt(text: str) -> None:
    """Write what a user is asked to stdout, without a newline, cleaned."""
    sys.stdout.write(clean(text))
    sys.stdout.flush()


def note(text: str) -> None:
    """Write one line to stderr, cleaned: what is not the command's result."""
    sys.stderr.write(clean(f"localagent: {text}") + "\n")


def fail(error: LocalAgentError) -> None:
    """Write an error and its hint to stderr."""
    sys.stderr.write(clean(f"localagent: error: {error.message}") + "\n")
    if error.hint:
        sys.stderr.write(clean(f"hint: {error.hint}") + "\n")


def table(rows: Sequence[Sequence[str]]) -> None:
    """Write rows as columns; the last column may be of any width, and a cell that is longer than
    `_WIDEST` pushes only what comes after it in its row."""
    columns = range(len(rows[0])) if rows else ()
    widths = [max(min(len(row[i]), _WIDEST) for row in rows) for i in columns]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        say("  ".join(cells).rstrip())


def confirmed(question: str, yes: bool, what: str) -> bool:
    """Whether the user says yes to `question`; `yes` says it beforehand.

    Raises RefusedError where nobody can be asked: `what` ("deleted") was not done then.
    """
    if yes:
        return True
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise RefusedError(f"nothing was {what}: nobody can be asked here", "--yes does not ask")
    prompt(f"{question} [y/N] ")
    return sys.stdin.readline().strip().lower() in ("y", "yes")
