"""What stands above the prompt, on its way from the thread that makes it to the one that prints it.

Either thread may draw. Nothing here waits for the printing thread, but for the bound on what was
not printed yet: a terminal that is stopped (Ctrl-S, a slow line) stops the agent, not the memory.
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

from localagent.ui.view.format import Symbols, duration
from localagent.ui.view.layout import Hanging
from localagent.ui.view.theme import rich_theme

MAX_WAITING = 1 << 20
"""Characters that may wait to be printed before `line` waits, too."""

_SHOW_ELAPSED = 3.0  # seconds after which a status tells how long it has lasted
_PATIENCE = 0.05


@dataclass(frozen=True, slots=True)
class Live:
    """What is going on: a status that has been said since `since` (monotonic seconds), or a row
    that is being written."""

    status: str = ""
    since: float = 0.0
    timed: bool = False
    partial: Text | None = None


NOTHING = Live()


class Outbox:
    """A `Surface` above a prompt. `wake` is called, from any thread, after something new came."""

    live_line = True

    def __init__(
        self, symbols: Symbols, *, colours: str | None, theme: str, wake: Callable[[], None]
    ) -> None:
        self.symbols = symbols
        self.live = NOTHING
        self._width = 80
        self._colours = colours
        self._theme = theme
        self._wake = wake
        self._ready: deque[str] = deque()
        self._waiting = 0
        self._taken = threading.Event()
        self._local = threading.local()
        self._printer = threading.get_ident()
        self._closed = False

    @property
    def width(self) -> int:
        """Cells in a row of the terminal."""
        return self._width

    def resize(self, width: int) -> None:
        """The terminal has another width now."""
        self._width = max(width, 8)

    def retheme(self, theme: str) -> None:
        """Draw in another theme from now on."""
        self._theme = theme
        self._local = threading.local()

    def line(self, item: RenderableType = "", *, wrap: bool = True) -> None:
        """Print a finished line, or anything that rich can draw."""
        if wrap and isinstance(item, Text):
            item = Hanging(Text(), item)
        self.raw(self.rendered(item, wrap=wrap))

    def raw(self, text: str) -> None:
        """Print `text` as it is, control codes included."""
        if threading.get_ident() != self._printer:  # that one would wait for itself
            while self._waiting > MAX_WAITING and not self._closed:
                self._taken.wait(_PATIENCE)
                self._taken.clear()
        self._ready.append(text)
        self._waiting += len(text)
        self._wake()

    def rendered(self, item: RenderableType, *, wrap: bool = True) -> str:
        """`item` as a terminal takes it, each line ended by "\\n"."""
        console = self.console()
        stream = console.file
        assert isinstance(stream, io.StringIO)
        console.print(item, soft_wrap=not wrap)
        text = stream.getvalue()
        stream.seek(0)
        stream.truncate()
        return text

    def console(self) -> Console:
        """A console of the width that holds now; each thread has its own."""
        console: Console | None = getattr(self._local, "console", None)
        if console is None:
            console = Console(
                file=io.StringIO(),
                force_terminal=True,
                color_system=self._colours,  # type: ignore[arg-type]  # one of rich's names
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

    def status(self, text: str, *, timed: bool = True) -> None:
        """Say what is going on now."""
        before = self.live
        since = before.since if before.status == text else time.monotonic()
        self.live = Live(text, since, timed)
        self._wake()

    def partial(self, text: Text) -> None:
        """Show a row that is still being written."""
        self.live = Live(partial=text)
        self._wake()

    def clear_status(self) -> None:
        """Take away what moves."""
        self.live = NOTHING
        self._wake()

    def live_text(self, frame: int) -> Text:
        """What moves, at most one row; `frame` counts the pictures of a turning sign."""
        live = self.live
        if live.partial is not None:
            text = live.partial.copy()
            if live.partial.plain:
                text.truncate(max(self._width - 1, 1))
            return text
        if not live.status:
            return Text()
        sign = self.symbols.frames[frame % len(self.symbols.frames)]
        shown = f"{sign} {live.status}"
        elapsed = time.monotonic() - live.since
        if live.timed and elapsed >= _SHOW_ELAPSED:
            shown += f", {duration(elapsed)}"
        text = Text(shown, style="mark")
        text.truncate(max(self._width - 1, 1))
        return text

    def take(self) -> str:
        """All that is to be printed now."""
        parts = []
        while self._ready:
            parts.append(self._ready.popleft())
        text = "".join(parts)
        self._waiting = 0 if not self._ready else sum(map(len, tuple(self._ready)))
        self._taken.set()
        return text

    def close(self) -> None:
        """Nothing waits from now on."""
        self._closed = True
        self._taken.set()
