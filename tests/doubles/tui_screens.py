"""What tests of sessions in a terminal look at: golden screens, and the events on record."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from difflib import ndiff
from pathlib import Path

from tmux_terminal import SHELL_PROMPT, Tmux, timeless

from localagent.core.events import TurnFinished
from localagent.history.sessions.transcript import list_sessions, read

DRAWING_SECONDS = 10.0  # a busy machine draws slowly
GOLDEN = Path(__file__).resolve().parents[1] / "golden/terminal"
Open = Callable[..., Tmux]


def golden(name: str, terminal: Tmux, start: str = "") -> None:
    """Wait until the terminal shows the golden screen, from `start` on.

    A screen is drawn in several steps, so a test that looks once sees a part of it now and then.
    """
    path = GOLDEN / f"{name}.txt"
    end = time.monotonic() + DRAWING_SECONDS
    shown = _screen(terminal, start)
    if os.environ.get("UPDATE_GOLDEN"):
        time.sleep(DRAWING_SECONDS / 10)
        path.write_text(_screen(terminal, start), encoding="utf-8")
    while shown != path.read_text(encoding="utf-8") and time.monotonic() < end:
        time.sleep(0.03)
        shown = _screen(terminal, start)
    wanted = path.read_text(encoding="utf-8")
    assert shown == wanted, "\n".join(ndiff(wanted.splitlines(), shown.splitlines()))


def _screen(terminal: Tmux, start: str) -> str:
    shown = terminal.screen()
    return timeless(shown[max(0, shown.find(start)) :])


def events(kind: type) -> list:
    """The stored events of this kind, of the only session there is."""
    (session,) = list_sessions()
    return [event for event in read(session.session).events if isinstance(event, kind)]


def outcomes() -> list[str]:
    return [event.outcome for event in events(TurnFinished)]


def started(open_terminal: Open, *words: str, **options: object) -> Tmux:
    terminal = open_terminal(**options)
    terminal.start(*words)
    terminal.ready()
    return terminal


def usable(terminal: Tmux) -> None:
    """The shell has its terminal back: it shows what is typed, and a line ends a command."""
    terminal.until(SHELL_PROMPT)
    terminal.type("stty -a; echo it is $((40 + 2))")
    terminal.until("stty -a; echo it")
    terminal.keys("Enter")
    shown = terminal.until("it is 42")
    flags = set(shown.replace(";", " ").split())
    assert {"icanon", "echo", "icrnl", "opost", "isig"} <= flags
