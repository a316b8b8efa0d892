"""prompt_toolkit's output and application, adapted to an inline session."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import TextIO

from prompt_toolkit.application import Application
from prompt_toolkit.data_structures import Size
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.output.vt100 import Vt100_Output
from rich.console import Console
from rich.style import Style
from rich.text import Text

_SIXTEEN = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "gray")


def fragments(text: Text, console: Console) -> StyleAndTextTuples:
    """Convert `text` for prompt_toolkit, with the styles of the console's theme."""
    return [(_style(s.style) if s.style else "", s.text) for s in text.render(console)]


@lru_cache(maxsize=256)
def _style(style: Style) -> str:
    words = [
        word
        for word, on in (
            ("bold", style.bold),
            ("dim", style.dim),
            ("italic", style.italic),
            ("underline", style.underline),
            ("strike", style.strike),
            ("reverse", style.reverse),
        )
        if on
    ]
    if style.color is not None and not style.color.is_default:
        number = style.color.number
        if number is not None and number < 16:
            name = _SIXTEEN[number % 8]
            bright = "ansiwhite" if name == "gray" else f"ansibright{name}"
            words.append(bright if number > 7 else f"ansi{name}")
        else:
            words.append(style.color.get_truecolor().hex)
    return " ".join(words)


# These terminals truncate rows when they become narrower; other terminals wrap the rows again.
_TRUNCATING = ("linux", "vt100", "vt102", "vt220")


class InlineOutput(Vt100_Output):
    """An output that combines writes, and never asks the terminal for the cursor's position.

    The terminal's answer with the position may be slow, or never come.
    """

    def __init__(self, stream: TextIO, term: str) -> None:
        def size() -> Size:
            try:
                columns, rows = os.get_terminal_size(stream.fileno())
            except io.UnsupportedOperation:  # a stream in memory, as tests use
                columns = rows = 0
            return Size(rows=rows or 24, columns=columns or 80)

        super().__init__(stream, size, term=term, enable_cpr=False)
        self._held = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold writes back during the block; the next write after the block sends them."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

    def flush(self) -> None:
        """Write to the terminal, unless writes are held back."""
        if not self._held:
            super().flush()


class InlineApplication(Application[int]):
    """An application below lines that are printed above it."""

    def print_above(self, text: str) -> None:
        """Print `text` above the application, and draw the application again."""
        assert isinstance(self.output, InlineOutput)
        with self.output.held():
            self.renderer.erase()
            self.output.write_raw(text.replace("\n", "\r\n"))
        self.invalidate()

    def shrink(self) -> None:
        """Free the rows that the application no longer needs, because prompt_toolkit keeps them."""
        screen = self.renderer.last_rendered_screen
        if screen is None:
            return
        size = self.output.get_size()
        needed = self.layout.container.preferred_height(size.columns, size.rows).preferred
        if needed < screen.height:
            assert isinstance(self.output, InlineOutput)
            with self.output.held():
                self.renderer.erase()

    def _on_resize(self) -> None:
        """Before the redraw, move the cursor up over the rows that wrapping added."""
        screen = self.renderer.last_rendered_screen
        if screen is not None and reflows(os.environ):
            columns = max(self.output.get_size().columns, 1)
            position = self.renderer._cursor_pos
            rows = [screen.data_buffer[number] for number in range(position.y)]
            widths = [max((x for x in row if row[x].char.strip()), default=0) + 1 for row in rows]
            added = sum((width - 1) // columns for width in widths) + position.x // columns
            self.output.cursor_up(added)
        super()._on_resize()


def reflows(environ: Mapping[str, str]) -> bool:
    """Return whether the terminal wraps rows again when it becomes narrower, as most do."""
    return environ.get("TERM") not in _TRUNCATING and "XTERM_VERSION" not in environ
