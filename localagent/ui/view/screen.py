"""The terminal: finished lines, one live line that moves, and text that streams.

Nothing but one line is ever drawn over, so what was printed can be scrolled, copied and logged, and
an interrupt leaves no hidden cursor behind. Without a terminal there is no live line and there are
no control codes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from rich.console import Console, OverflowMethod, RenderableType
from rich.text import Text

from localagent.ui.view.format import ASCII, Symbols, duration
from localagent.ui.view.layout import Hanging
from localagent.ui.view.theme import rich_theme

ERASE = "\r\x1b[2K"
_REDRAW_SECONDS = 0.1  # more is not seen, and each costs a write to the terminal
_TICK_SECONDS = 0.25
_SHOW_ELAPSED = 3.0


class Surface(Protocol):
    """What can be drawn on: a terminal (`Screen`), or what stands above a prompt (`ui.tui`)."""

    symbols: Symbols
    live_line: bool
    """Whether there is a place for what moves: a status, and a row that is being written."""

    @property
    def width(self) -> int:
        """Cells in a row."""

    def line(self, item: RenderableType = "", *, wrap: bool = True) -> None:
        """Print a finished line, or anything that rich can draw."""

    def status(self, text: str, *, timed: bool = True) -> None:
        """Say what is going on now; `timed` adds the seconds since something else was said."""

    def partial(self, text: Text) -> None:
        """Show a row that is still being written in the place of the status."""

    def clear_status(self) -> None:
        """Take away what moves."""


class Screen:
    """Draws on a rich console. `live` says whether it may draw over a line.

    `tick` keeps the live line moving from a thread of its own while no events come.
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
        self._status = ""
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
        """Cells in a row of the terminal."""
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

    def status(self, text: str, *, timed: bool = True) -> None:
        """Set the live line; `timed` adds the seconds since it said something else."""
        if not self.live_line:
            return
        with self._lock:
            self._finish_line()
            if text != self._status:
                self._status_since = self._clock()
            self._status, self._timed, self._partial = text, timed, None
            if self._clock() - self._drawn_at >= _REDRAW_SECONDS:
                self._draw()
            self._start_ticker()

    def partial(self, text: Text) -> None:
        """Show a row that is still being written as the live line."""
        if not self.live_line:
            return
        with self._lock:
            self._finish_line()
            self._status, self._partial = "", text
            if self._clock() - self._drawn_at >= _REDRAW_SECONDS:
                self._draw()

    def clear_status(self) -> None:
        """Take the live line away."""
        with self._lock:
            self._status, self._partial = "", None
            self._erase()
            self.console.file.flush()

    def ask(self, text: str, style: str = "strong") -> None:
        """Print cleaned text without a line break; what the user types stands behind it."""
        with self._lock:
            self._status, self._partial = "", None
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
        line = self._status_line() if self._partial is None else self._partial.copy()
        overflow: OverflowMethod = "crop" if self.symbols is ASCII else "ellipsis"
        # A line as wide as the terminal would wrap, and could not be drawn over.
        line.truncate(max(self.console.width - 1, 1), overflow=overflow)
        self.console.file.write(ERASE)
        self.console.print(line, end="", soft_wrap=True)
        self.console.file.flush()
        self._drawn, self._drawn_at = True, self._clock()

    def _status_line(self) -> Text:
        frames = self.symbols.frames
        self._frame = (self._frame + 1) % len(frames)
        shown = f"{frames[self._frame]} {self._status}"
        elapsed = self._clock() - self._status_since
        if self._timed and elapsed >= _SHOW_ELAPSED:
            shown += f", {duration(elapsed)}"
        return Text(shown, style="mark", no_wrap=True, overflow="ellipsis")

    def _start_ticker(self) -> None:
        if self._tick and self._ticker is None:
            self._ticker = threading.Thread(target=self._run, name="live line", daemon=True)
            self._ticker.start()

    def _run(self) -> None:
        while not self._stop.wait(_TICK_SECONDS):
            with self._lock:
                if self._status and not self._open_line:
                    try:
                        self._draw()
                    except OSError:  # the terminal is gone; the main thread finds out by itself
                        return
