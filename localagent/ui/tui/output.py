"""The terminal as prompt_toolkit writes to it, with what an inline session needs on top."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from prompt_toolkit.application import Application
from prompt_toolkit.data_structures import Size
from prompt_toolkit.output.vt100 import Vt100_Output

# Terminals that cut rows which no longer fit, instead of breaking them into several.
_CUTTING = ("linux", "vt100", "vt102", "vt220")


class InlineOutput(Vt100_Output):
    """Holds what is written back for a moment, so that a step of several parts is one write, and
    does not ask the terminal where the cursor is: an answer may be slow, or never come."""

    def __init__(self, stream: TextIO, term: str) -> None:
        def size() -> Size:
            columns, rows = os.get_terminal_size(stream.fileno())
            return Size(rows=rows or 24, columns=columns or 80)

        super().__init__(stream, size, term=term, enable_cpr=False)
        self._held = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """What is written inside reaches the terminal with what is written next."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

    def flush(self) -> None:
        """Write to the terminal, unless held."""
        if not self._held:
            super().flush()


class InlineApplication(Application[int]):
    """An application below text that is printed above it."""

    def print_above(self, text: str) -> None:
        """Print `text` above the application, which is drawn again below it."""
        assert isinstance(self.output, InlineOutput)
        with self.output.held():
            self.renderer.erase()
            self.output.write_raw(text.replace("\n", "\r\n"))
        self.invalidate()

    def shrink(self) -> None:
        """Give back rows that the application no longer needs; prompt_toolkit keeps them."""
        screen = self.renderer.last_rendered_screen
        if screen is None:
            return
        size = self.output.get_size()
        wanted = self.layout.container.preferred_height(size.columns, size.rows).preferred
        if wanted < screen.height:
            assert isinstance(self.output, InlineOutput)
            with self.output.held():
                self.renderer.erase()

    def _on_resize(self) -> None:
        """Go up over the rows that the terminal made of what it broke, before all is erased."""
        screen = self.renderer.last_rendered_screen
        if screen is not None and reflows(os.environ):
            columns = max(self.output.get_size().columns, 1)
            position = self.renderer._cursor_pos
            rows = [screen.data_buffer[number] for number in range(position.y)]
            widths = [max((x for x in row if row[x].char.strip()), default=0) + 1 for row in rows]
            broken = sum((width - 1) // columns for width in widths) + position.x // columns
            self.output.cursor_up(broken)
        super()._on_resize()


def reflows(environ: Mapping[str, str]) -> bool:
    """Whether the terminal breaks rows anew when it becomes narrower, as most do."""
    return environ.get("TERM") not in _CUTTING and "XTERM_VERSION" not in environ


def write_plainly(stream: TextIO, text: Any) -> None:
    """Write to a terminal that may be gone."""
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):
        return
