"""The result of a command, and the console that prints it.

A command is a function from its parsed arguments to a `CliResult`. `Console.finish` prints the
result for people or as JSON. Slash commands call the same functions with a `SessionConsole`, which
collects the output for the session.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from localagent.core.errors import LocalAgentError, RefusedError, UsageError
from localagent.ui.chat.output import Output
from localagent.ui.view.format import remaining, size
from localagent.ui.view.sanitize import clean

if TYPE_CHECKING:
    from localagent.core.events import Event
    from localagent.models.catalog.download import Progress

_MAX_CELL = 40
"""Largest width of a column; a longer cell shifts the rest of its own row only."""
_ERASE = "\r\x1b[2K"
_MIN_FILES = 500
"""Smallest number of files that gets a progress line."""


@dataclass(frozen=True, slots=True)
class CliResult:
    """The result of a command.

    `outputs` are for people. `--json` prints `data` as one JSON value; with `json_lines`, it prints
    one JSON object for each item of `data`.
    """

    outputs: Sequence[Output] = ()
    data: object = None
    exit_code: int = 0
    json_lines: bool = False


def text_result(
    *lines: str, data: object = None, exit_code: int = 0, json_lines: bool = False
) -> CliResult:
    """Build a result whose output for people is plain lines."""
    outputs = [Output("text", "\n".join(lines))] if lines else []
    return CliResult(outputs, data, exit_code, json_lines)


def fields(item: object, *names: str) -> dict[str, object]:
    """Return the named attributes of `item` as a dictionary for JSON."""
    return {name: getattr(item, name) for name in names}


class ProgressLine:
    """Draws progress on one line of a terminal; other outputs get a new line for each tenth."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._last = ("", -1)

    def report(self, progress: Progress) -> None:
        """Show how many bytes have been read or downloaded."""
        tenth = 10 * progress.done // max(progress.total, 1)
        if not self._terminal and self._last == (progress.phase, tenth):
            return
        self._last = (progress.phase, tenth)
        text = progress_text(progress)
        sys.stderr.write(f"{_ERASE}{text}" if self._terminal else f"{text}\n")
        sys.stderr.flush()

    def files(self, done: int, total: int) -> None:
        """Show how many files have been read, if there are many and stderr is a terminal."""
        if self._terminal and total >= _MIN_FILES:
            self._last = ("reading", -1)
            sys.stderr.write(f"{_ERASE}reading {done:,} of {total:,} files")
            sys.stderr.flush()

    def clear(self) -> None:
        """Erase the progress line."""
        if self._terminal and self._last[0]:
            sys.stderr.write(_ERASE)
            sys.stderr.flush()

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *exc: object) -> None:
        self.clear()


def progress_text(progress: Progress) -> str:
    """Describe progress: "fetching 1.2 GB of 4.7 GB, 30 MB/s, 2 min left"."""
    text = f"{progress.phase} {size(progress.done)} of {size(progress.total)}"
    if progress.rate:
        text += f", {size(int(progress.rate))}/s"
    if progress.seconds_left is not None and progress.done < progress.total:
        text += f", {remaining(progress.seconds_left)}"
    return text


class Console:
    """Prints the outputs of a command, asks the user questions, and draws progress."""

    def __init__(self) -> None:
        self.interactive = sys.stdin.isatty() and sys.stdout.isatty()

    def show(self, *outputs: Output) -> None:
        """Print outputs at once: results and titles to stdout, notes and errors to stderr."""
        for output in outputs:
            _print(output)

    def finish(self, result: CliResult, *, as_json: bool) -> int:
        """Print the result of a command, and return its exit code."""
        for output in result.outputs:
            if not as_json or output.kind == "note":
                self.show(output)
        if as_json and result.data is not None:
            items = result.data if isinstance(result.data, list) else [result.data]
            for item in items if result.json_lines else [result.data]:
                self.show(Output("text", json.dumps(item)))
        return result.exit_code

    def confirm(self, question: str, *, yes: bool, action: str) -> bool:
        """Ask a yes/no question; with `yes`, return True without asking.

        `action`, such as "deleted", completes the error message. Raises RefusedError if no user can
        answer.
        """
        if yes:
            return True
        if not self.interactive:
            raise RefusedError(
                f"nothing was {action}: no user can answer here",
                "--yes answers in advance",
            )
        self.prompt(f"{question} [y/N] ")
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def prompt(self, text: str) -> None:
        """Print a question without a newline."""
        sys.stdout.write(clean(text))
        sys.stdout.flush()

    def progress(self) -> ProgressLine:
        """Return a progress line on stderr."""
        return ProgressLine()

    def draw(self, events: Iterable[Event], *, live: bool = True) -> None:
        """Draw a session's events; `live` permits a live line, which is redrawn in place."""
        from localagent.ui.view.render import Renderer
        from localagent.ui.view.screen import terminal_screen

        with terminal_screen(sys.stdout) as screen:
            screen.live_line = screen.live_line and live
            renderer = Renderer(screen, full=True)
            for event in events:
                renderer.draw(event)

    def export(self, data: bytes) -> None:
        """Write a document to stdout: byte for byte, or without control codes to a terminal."""
        sys.stdout.flush()
        if sys.stdout.isatty():
            sys.stdout.write(clean(data.decode("utf-8", "replace")))
        else:
            sys.stdout.buffer.write(data)


class JsonLines:
    """Writes each event as one line of ASCII at once, so that a reader never waits for it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def draw(self, event: Event) -> None:
        """Write one event as a line of JSON."""
        from localagent.core.events import to_dict

        self._stream.write(json.dumps(to_dict(event)) + "\n")
        self._stream.flush()


def make_printable() -> None:
    """Print characters that a stream cannot encode as escapes, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def note(text: str) -> None:
    """Print a note for the user to stderr."""
    _print(Output("note", text))


def fail(error: LocalAgentError) -> None:
    """Print an error and its hint to stderr."""
    _print(error_output(error))


def error_output(error: LocalAgentError) -> Output:
    """Build the output that shows an error and its hint."""
    return Output("error", error.message, hint=error.hint)


def new_file(path: Path, data: bytes, *, mode: int = 0o666, overwrite: bool = False) -> None:
    """Write a new file or, with `overwrite`, replace the content of an existing file.

    Raises UsageError if the file exists, is a link, or cannot be written.
    """
    import os

    flags = os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0) if overwrite else os.O_EXCL
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | flags, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except OSError as error:
        hint = "name a file that does not exist yet" if isinstance(error, FileExistsError) else ""
        reason = "it is a link" if path.is_symlink() else str(error.strerror)
        raise UsageError(f"cannot write {path}: {reason}", hint) from None


def table_lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """Format rows as lines with aligned columns."""
    columns = range(len(rows[0])) if rows else ()
    widths = [max(min(len(row[n]), _MAX_CELL) for row in rows) for n in columns]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _print(output: Output) -> None:
    match output.kind:
        case "note":
            sys.stderr.write(clean(f"localagent: {output.text}") + "\n")
        case "error":
            sys.stderr.write(clean(f"localagent: error: {output.text}") + "\n")
            if output.hint:
                sys.stderr.write(clean(f"hint: {output.hint}") + "\n")
        case _:
            rows = [output.head, *output.rows] if output.head else output.rows
            lines = table_lines(rows) if output.kind == "table" else [output.text]
            for line in [output.title, *lines] if output.title else lines:
                sys.stdout.write(clean(line) + "\n")
