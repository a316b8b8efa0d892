"""The screen for a real output stream: what it can do is found out here."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console, ConsoleDimensions

from localagent.ui.view.format import UNICODE, symbols_for
from localagent.ui.view.screen import Screen


def can_be_drawn_over() -> bool:
    """Whether stdin and stdout are a terminal whose lines can be drawn over."""
    term = os.environ.get("TERM", "")
    capable = term not in ("", "dumb") or sys.platform == "win32"
    return sys.stdin.isatty() and sys.stdout.isatty() and capable


@dataclass(frozen=True, slots=True)
class Able:
    """What a stream can show: rich's name for its colours ("none": none), its encoding, and whether
    signs beyond ASCII are drawn."""

    colours: str
    encoding: str
    unicode: bool


def able(stream: TextIO) -> Able:
    """What `terminal_screen` finds out about `stream`."""
    console = Console(file=stream, force_terminal=stream.isatty())
    unicode = symbols_for(console.encoding) is UNICODE
    return Able(console.color_system or "none", console.encoding, unicode)


def terminal_screen(stream: TextIO) -> Screen:
    """A screen on `stream`. rich heeds NO_COLOR, TERM and the width; a live line needs a terminal
    that can be drawn over. Without a terminal there are no control codes, whatever the environment
    says (FORCE_COLOR)."""
    terminal = stream.isatty()
    console = Console(
        file=stream,
        markup=False,
        highlight=False,
        emoji=False,
        force_terminal=terminal,
        soft_wrap=False,
    )
    if terminal and console.is_dumb_terminal:
        _measure(console, stream)
    live = terminal and not console.is_dumb_terminal and not console.legacy_windows
    return Screen(console, live=live, symbols=symbols_for(console.encoding))


def _measure(console: Console, stream: TextIO) -> None:
    """Give a console the width that its terminal has: rich takes 80 for every dumb one."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except OSError:
        return
    if size.columns and size.lines:
        console.size = ConsoleDimensions(size.columns, size.lines)
