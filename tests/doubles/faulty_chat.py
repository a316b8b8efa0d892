"""A session whose own code fails at the first line that is entered: a program."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

from fake_chat import STATUS

from localagent.ui.chat.interface import Item
from localagent.ui.tui.app import Preferences, Start, Tui
from localagent.ui.tui.terminal_guard import guarded


def submit(_line: str) -> Iterator[Item]:
    yield from ()
    raise RuntimeError("a fault of ours")


def main() -> int:
    chat = SimpleNamespace(
        submit=submit,
        status=lambda: STATUS,
        warm_up=lambda: None,
        close=lambda: None,
        cancel=lambda: None,
        commands=list,
        complete=lambda command, text: [],
        take_queued=list,
    )
    with guarded(0):
        preferences = Preferences("auto", "emacs", {}, ("mode",))
        return Tui(Start(Path.cwd(), "0.0.0", lambda: preferences, lambda: (chat, ()))).run()


if __name__ == "__main__":
    sys.exit(main())
