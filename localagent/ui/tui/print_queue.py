"""A queue of lines to print above the prompt: any thread adds lines, one thread prints them.

Any thread may draw, and drawing does not wait for the printing thread. The exception: if many
characters wait because the terminal is stopped (Ctrl-S) or slow, the agent thread waits, too.
"""

from __future__ import annotations

import io
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.text import Text

from localagent.ui.view.format import Symbols
from localagent.ui.view.screen import NARROWEST, Hanging, status_row
from localagent.ui.view.theme import rich_theme

MAX_WAITING = 1 << 20
"""Characters that may wait for printing; above this number `line` blocks."""

_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class LiveRow:
    """The live row: a status, or an unfinished row.

    The work that the status describes began at `since` (monotonic seconds).
    """

    status: str = ""
    since: float = 0.0
    timed: bool = False
    partial: Text | None = None
    work: str = ""
    then: str = ""


IDLE = LiveRow()


class PrintQueue:
    """A `Surface` above a prompt. After each change, it calls `wake` in the thread that drew."""

    live_line = True

    def __init__(
        self, symbols: Symbols, *, colors: str | None, theme: str, wake: Callable[[], None]
    ) -> None:
        self.symbols = symbols
        self.live = IDLE
        self._width = 80
        self._colors = colors
        self._theme = theme
        self._wake = wake
        self._ready: deque[str] = deque()
        self._waiting = 0
        self._taken = threading.Event()
        self._local = threading.local()
        self._printing_thread = threading.get_ident()
        self._closed = False

    @property
    def width(self) -> int:
        """The number of cells in a row of the terminal."""
        return self._width

    def resize(self, width: int) -> None:
        """Set the width for later lines."""
        self._width = max(width, NARROWEST)

    def set_theme(self, theme: str) -> None:
        """Draw later lines in another theme."""
        self._theme = theme
        self._local = threading.local()

    def line(self, item: RenderableType = "", *, wrap: bool = True) -> None:
        """Print a finished line, or anything that rich can draw."""
        if wrap and isinstance(item, Text):
            item = Hanging(Text(), item)
        console = self.console()
        stream = console.file
        assert isinstance(stream, io.StringIO)
        console.print(item, soft_wrap=not wrap)
        text = stream.getvalue()
        stream.seek(0)
        stream.truncate()
        if threading.get_ident() != self._printing_thread:  # the printer would wait for itself
            while self._waiting > MAX_WAITING and not self._closed:
                self._taken.wait(_POLL_SECONDS)
                self._taken.clear()
        self._ready.append(text)
        self._waiting += len(text)
        self._wake()

    def console(self) -> Console:
        """Return this thread's console, with the current width."""
        console: Console | None = getattr(self._local, "console", None)
        if console is None:
            console = Console(
                file=io.StringIO(),
                force_terminal=True,
                color_system=self._colors,  # type: ignore[arg-type]  # one of rich's names
                legacy_windows=False,
                markup=False,
                highlight=False,
                emoji=False,
                theme=rich_theme(self._theme),
                width=self._width,
            )
            self._local.console = console
        console.width = self._width
        return console

    def status(self, text: str, *, timed: bool = True, work: str = "", then: str = "") -> None:
        """Set the live row, as `Surface.status` says."""
        before, work = self.live, work or text
        since = before.since if before.work == work else time.monotonic()
        self._set_live(LiveRow(text, since, timed, work=work, then=then))

    def partial(self, text: Text) -> None:
        """Show an unfinished row as the live row."""
        self._set_live(LiveRow(partial=text))

    def clear_status(self) -> None:
        """Remove the live row."""
        self._set_live(IDLE)

    def _set_live(self, live: LiveRow) -> None:
        self.live = live
        self._wake()

    def live_text(self, frame: int) -> Text:
        """Return the live row, cut to one row; `frame` is the current frame of the spinner."""
        live = self.live
        if live.partial is not None:
            text = live.partial.copy()
            if not text.plain:
                return text
        elif live.status:
            elapsed = time.monotonic() - live.since if live.timed else None
            text = status_row(self.symbols, frame, live.status, elapsed, live.then)
        else:
            return Text()
        text.truncate(max(self._width - 1, 1))
        return text

    def take(self) -> str:
        """Remove and return all text that waits for printing."""
        parts = []
        while self._ready:
            parts.append(self._ready.popleft())
        self._waiting = sum(map(len, tuple(self._ready)))
        self._taken.set()
        return "".join(parts)

    def close(self) -> None:
        """Stop blocking: `line` no longer waits for printing."""
        self._closed = True
        self._taken.set()
