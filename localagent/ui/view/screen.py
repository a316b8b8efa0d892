"""Draws on the terminal: finished lines, one live line that changes, and streamed text.

Only the live line is redrawn. Finished lines can be scrolled, copied and logged, and an interrupt
leaves no hidden cursor behind. An output that is not a terminal gets no live line and no control
codes.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TextIO

from rich.cells import cell_len
from rich.console import (
    Console,
    ConsoleDimensions,
    ConsoleOptions,
    OverflowMethod,
    RenderableType,
    RenderResult,
)
from rich.text import Text

from localagent.ui.view.format import ASCII, UNICODE, Symbols, duration, symbols_for
from localagent.ui.view.theme import rich_theme

ERASE = "\r\x1b[2K"
NARROWEST = 8  # columns that a text gets even if its label leaves no room
_LOG_WIDTH = 120
_REDRAW_SECONDS = 0.1  # shortest time between two redraws of the live line
_TICK_SECONDS = 0.25
_ELAPSED_AFTER_SECONDS = 3.0  # a status that lasts longer shows its duration


class Surface(Protocol):
    """An area to draw on: a terminal (`Screen`), or the lines above a prompt (`ui.tui`)."""

    symbols: Symbols
    live_line: bool
    """Whether the surface has a live line: a status, or a row that the model is writing."""

    @property
    def width(self) -> int:
        """The number of cells in a row."""

    def line(self, item: RenderableType = "", *, wrap: bool = True) -> None:
        """Print a finished line, or anything that rich can draw."""

    def status(self, text: str, *, timed: bool = True, work: str = "", then: str = "") -> None:
        """Set the live line; `timed` adds the seconds since `work` began (default: the text).

        The text `then` follows the seconds.
        """

    def partial(self, text: Text) -> None:
        """Show an unfinished row as the live line."""

    def clear_status(self) -> None:
        """Remove the live line."""


@dataclass(frozen=True, slots=True)
class Hanging:
    """`lead`, then `body`, whose lines all begin in the same column; printable by rich."""

    lead: Text
    body: Text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines for rich."""
        margin = cell_len(self.lead.plain)
        width = max(options.max_width - margin, NARROWEST)
        for number, line in enumerate(self.body.wrap(console, width, overflow="fold")):
            line.rstrip()
            lead = Text(" " * margin) if number else self.lead
            yield Text.assemble(lead, line, no_wrap=True, overflow="ignore")


def hanging(sign: Text, body: Text) -> Hanging:
    """Return `sign`, a space, and `body` as a hanging paragraph."""
    return Hanging(sign + Text(" "), body)


def indented(body: Text, by: int) -> Hanging:
    """Return `body`, indented by `by` columns."""
    return Hanging(Text(" " * by), body)


def labelled(rows: Sequence[tuple[str, Text]]) -> list[Hanging]:
    """Return rows that have a dim label and a hanging text to its right."""
    width = max(len(label) for label, _ in rows)
    return [
        Hanging(Text.assemble("  ", (f"{label:<{width}}", "faint"), "  "), text)
        for label, text in rows
    ]


def status_row(
    symbols: Symbols, frame: int, status: str, seconds: float | None, then: str = ""
) -> Text:
    """Return a spinner and a status; a status that lasts some time also shows its `seconds`."""
    row = f"{symbols.frames[frame % len(symbols.frames)]} {status}"
    if seconds is not None and seconds >= _ELAPSED_AFTER_SECONDS:
        row += f", {duration(seconds)}"
    if then:
        row += f"; {then}"
    return Text(row, style="accent", no_wrap=True, overflow="ellipsis")


class Screen:
    """Draws on a rich console. `live` says whether the screen may redraw a line.

    `tick` starts a thread that redraws the live line while no events come.
    """

    def __init__(
        self,
        console: Console,
        *,
        live: bool,
        symbols: Symbols = ASCII,
        tick: bool = True,
        clock: Callable[[], float] = time.monotonic,
        theme: str = "auto",
    ) -> None:
        console.push_theme(rich_theme(theme))
        self.console = console
        self.symbols = symbols
        self.live_line = live
        self._tick = tick and live
        self._clock = clock
        self._lock = threading.RLock()
        self._status = self._then = self._work = ""
        self._partial: Text | None = None
        self._status_since = 0.0
        self._timed = False
        self._drawn = False
        self._drawn_at = float("-inf")
        self._frame = 0
        self._open_line = False
        self._stop = threading.Event()
        self._ticker: threading.Thread | None = None

    @property
    def width(self) -> int:
        """The number of cells in a row of the terminal."""
        return self.console.width

    def line(self, item: RenderableType = "", *, wrap: bool = True) -> None:
        """Print a finished line, or anything that rich can draw, above the live line."""
        with self._lock:
            self._finish_line()
            self._erase()
            if wrap and isinstance(item, Text):
                item = Hanging(Text(), item)
            self.console.print(item, soft_wrap=not wrap)
            self.console.file.flush()

    def status(self, text: str, *, timed: bool = True, work: str = "", then: str = "") -> None:
        """Set the live line, as `Surface.status` says."""
        if not self.live_line:
            return
        with self._lock:
            if (work or text) != self._work:
                self._status_since = self._clock()
            self._timed, self._work, self._then = timed, work or text, then
            self._set_live(text, None)
            if self._tick and self._ticker is None:
                self._ticker = threading.Thread(target=self._run, name="live line", daemon=True)
                self._ticker.start()

    def partial(self, text: Text) -> None:
        """Show an unfinished row as the live line."""
        if self.live_line:
            with self._lock:
                self._set_live("", text)

    def _set_live(self, status: str, partial: Text | None) -> None:
        self._finish_line()
        self._status, self._partial = status, partial
        if self._clock() - self._drawn_at >= _REDRAW_SECONDS:
            self._draw()

    def clear_status(self) -> None:
        """Remove the live line."""
        with self._lock:
            self._forget_status()
            self._erase()
            self.console.file.flush()

    def _forget_status(self) -> None:
        self._status = self._work = self._then = ""
        self._partial = None

    def ask(self, text: str, style: str = "strong") -> None:
        """Print cleaned text without a line break; the user types on the same line."""
        with self._lock:
            self._forget_status()
            self._erase()
            self.console.print(Text(text, style=style), end="", soft_wrap=True)
            self.console.file.flush()
            self._open_line = not text.endswith("\n")

    def close(self) -> None:
        """Leave the terminal at the start of an empty line, and stop the thread."""
        self._stop.set()
        if self._ticker is not None:
            self._ticker.join(timeout=1)  # an interrupt may have left the lock held
        with self._lock:
            self._finish_line()
            self.clear_status()

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _finish_line(self) -> None:
        if self._open_line:
            self.console.file.write("\n")
            self._open_line = False

    def _erase(self) -> None:
        if self._drawn:
            self.console.file.write(ERASE)
            self._drawn = False

    def _draw(self) -> None:
        if self._partial is not None:
            line = self._partial.copy()
        else:
            self._frame += 1
            elapsed = self._clock() - self._status_since if self._timed else None
            line = status_row(self.symbols, self._frame, self._status, elapsed, self._then)
        overflow: OverflowMethod = "crop" if self.symbols is ASCII else "ellipsis"
        # A line as wide as the terminal would wrap, and then could not be redrawn.
        line.truncate(max(self.console.width - 1, 1), overflow=overflow)
        self.console.file.write(ERASE)
        self.console.print(line, end="", soft_wrap=True)
        self.console.file.flush()
        self._drawn, self._drawn_at = True, self._clock()

    def _run(self) -> None:
        while not self._stop.wait(_TICK_SECONDS):
            with self._lock:
                if self._status and not self._open_line:
                    try:
                        self._draw()
                    except OSError:  # the terminal is gone; the main thread sees that, too
                        return


# Functions that make the screen of a real output stream.


def can_redraw() -> bool:
    """Return whether stdin and stdout are a terminal whose lines can be redrawn."""
    term = os.environ.get("TERM", "")
    capable = term not in ("", "dumb") or sys.platform == "win32"
    return sys.stdin.isatty() and sys.stdout.isatty() and capable


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The abilities of a stream: its colors by rich's name, its encoding, and Unicode signs.

    `colors` is "none" if the stream shows no colors.
    """

    colors: str
    encoding: str
    unicode: bool


def capabilities(stream: TextIO) -> Capabilities:
    """Return the capabilities that `terminal_screen` detects for `stream`."""
    console = Console(file=stream, force_terminal=stream.isatty())
    unicode = symbols_for(console.encoding) is UNICODE
    return Capabilities(console.color_system or "none", console.encoding, unicode)


def terminal_screen(stream: TextIO, *, plain: bool = False) -> Screen:
    """Return a screen on `stream`, with a live line if the terminal can redraw a line.

    With `plain`, nothing is redrawn, as for a screen reader.
    rich respects NO_COLOR, TERM and the width. An output that is not a terminal gets no control
    codes, even if FORCE_COLOR is set.
    """
    terminal = stream.isatty()
    console = _console(stream, force_terminal=terminal)
    if terminal and console.is_dumb_terminal:
        _measure(console, stream)
    redraws = terminal and not console.is_dumb_terminal and not console.legacy_windows
    return Screen(console, live=redraws and not plain, symbols=symbols_for(console.encoding))


def log_screen(stream: TextIO, *, color: bool) -> Screen:
    """Return a screen for a log, which has `_LOG_WIDTH` columns and redraws nothing."""
    system = "standard" if color else None
    console = _console(stream, force_terminal=color, color_system=system, width=_LOG_WIDTH)
    return Screen(console, live=False, symbols=symbols_for(console.encoding))


def _console(stream: TextIO, **options: Any) -> Console:
    """A console that takes a text as it is: no markup, no highlights, no emoji."""
    return Console(
        file=stream, markup=False, highlight=False, emoji=False, soft_wrap=False, **options
    )


def _measure(console: Console, stream: TextIO) -> None:
    """Give a console the width of its terminal, because rich assumes 80 for every dumb terminal."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except OSError:
        return
    if size.columns and size.lines:
        console.size = ConsoleDimensions(size.columns, size.lines)
