"""A terminal in memory: keys come from a pipe, the screen is a string, the chat is a fake."""

from __future__ import annotations

import io
import re
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from fake_chat import FakeChat
from prompt_toolkit.input import PipeInput

from localagent.core.events import Event
from localagent.ui.tui.app import Preferences, Start, Tui

PATIENCE = 20.0  # seconds; a busy machine is no fault of ours
Steps = Callable[["MemorySession"], None]


class Stream(io.StringIO):
    encoding = "utf-8"  # type: ignore[assignment]


class MemorySession:
    """A session whose user is a function in another thread."""

    def __init__(self, folder: Path, chat: FakeChat, keyboard: PipeInput, **settings: object):
        self.chat = chat
        self.screen = Stream()
        self.recorded: Iterable[Event] = ()
        self.first = ""
        self.opening = threading.Event()  # the session opens when it is set
        self.opening.set()
        self._keyboard = keyboard
        defaults: dict = {"theme": "none", "edit_mode": "emacs", "keys": {}}
        preferences = Preferences(**{**defaults, "status_line": ("mode",), **settings})
        start = Start(folder, "1.2.3", lambda: preferences, self._open)
        self.tui = Tui(start, self.screen, keyboard=keyboard)

    def _open(self) -> tuple[FakeChat, Iterable[Event]]:
        assert self.opening.wait(PATIENCE)
        return self.chat, self.recorded

    def run(self, steps: Steps) -> int:
        """Hold the session while `steps` uses it; leave at its end."""
        failures: list[BaseException] = []
        ended = threading.Event()  # a session that fails at once may never be seen running

        def act() -> None:
            try:
                self.until(lambda: self.tui.app.is_running or ended.is_set())
                steps(self)
            except BaseException as error:
                failures.append(error)
            finally:
                self.tui.post(lambda: self.tui.leave(0))

        user = threading.Thread(target=act)
        user.start()
        try:
            return self.tui.run()
        finally:
            ended.set()
            user.join()
            if failures:
                raise failures[0]

    def type(self, text: str) -> None:
        self._keyboard.send_text(text)

    def paste(self, text: str) -> None:
        self._keyboard.send_text(f"\x1b[200~{text}\x1b[201~")

    def until(self, condition: Callable[[], object], what: str = "") -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"{what} in {self.shown[-2000:]!r}"
            time.sleep(0.005)

    def see(self, text: str) -> None:
        """Wait until a text was written. A row that only changes is written in parts."""
        self.until(lambda: text in self.shown, text)

    @property
    def shown(self) -> str:
        """All text that was written, without control codes."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.screen.getvalue())

    def open(self) -> None:
        """Wait until the session is open and idle."""
        self.until(lambda: self.chat_is_open and not self.tui.agent.busy, "not open")

    @property
    def chat_is_open(self) -> bool:
        return self.tui.agent.chat is not None and bool(self.tui._status_parts)
