"""The terminal as prompt_toolkit writes to it, with what an inline session needs on top."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TextIO

from prompt_toolkit.application import Application
from prompt_toolkit.data_structures import Size
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.output.vt100 import Vt100_Output
from rich.console import Console
from rich.style import Style
from rich.text import Text

_SIXTEEN = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "gray")


def fragments(text: Text, console: Console) -> StyleAndTextTuples:
    """`text` with the styles of the console's theme."""
    found: StyleAndTextTuples = []
    for segment in text.render(console):
        style = _style(segment.style) if segment.style else ""
        found.append((style, segment.text))
    return found


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
