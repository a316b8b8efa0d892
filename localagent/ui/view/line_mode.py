"""An interactive session without a screen: each line that is read is one turn.

For input from a pipe, output into a file, and terminals that cannot draw over a line (TERM=dumb).
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import TextIO

from localagent.core.errors import Interrupted
from localagent.core.events import Question, TurnFinished
from localagent.ui.chat.interface import Chat, Item, Output, UIRequest
from localagent.ui.view.ask import Asker
from localagent.ui.view.items import draw_output
from localagent.ui.view.render import Renderer
from localagent.ui.view.screen import Screen
from localagent.ui.view.terminal import terminal_screen

PROMPT = "> "


def first_line(stdin: TextIO) -> str:
    """The first line of piped input, "" where there is none; nothing is read from a terminal."""
    if stdin.isatty():
        return ""
    while (line := stdin.readline()) and not line.strip():
        pass
    return line


def hold(open_chat: Callable[[bool], Chat], first: str) -> int:
    """A whole session; returns the exit code of the last turn. `first` was read already.

    `open_chat` is told whether there is somebody to ask.
    """
    person = sys.stdin.isatty()
    with ExitStack() as stack:
        screen = stack.enter_context(terminal_screen(sys.stdout))
        chat = open_chat(person)
        stack.callback(chat.close)
        asker = Asker(screen, sys.stdin.readline) if person else None
        lines = _Lines(chat, screen, asker)
        for line in _typed(screen, first, echo=person):
            with _interruptible(chat):
                if not lines.carry_out(line):
                    break
        return lines.code


def _typed(screen: Screen, first: str, *, echo: bool) -> Iterator[str]:
    if first:
        yield first
    while True:
        if echo:
            screen.line()
            screen.ask(PROMPT)
        line = sys.stdin.readline()
        if not line:
            return
        if line.strip():
            yield line


@contextmanager
def _interruptible(chat: Chat) -> Iterator[None]:
    """Ctrl-C stops the turn; while none runs, it ends the session."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        chat.cancel()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Lines:
    """Draws what comes of each line."""

    def __init__(self, chat: Chat, screen: Screen, asker: Asker | None) -> None:
        self._chat = chat
        self._screen = screen
        self._asker = asker
        self._renderer = Renderer(screen, undo="/undo")
        self._left = False
        self.code = 0

    def carry_out(self, line: str) -> bool:
        """One line; False where the session is to end."""
        if self._asker is not None:  # the terminal shows what is typed
            self._renderer.echoed = line.strip()
        for item in self._chat.submit(line):
            self._draw(item)
        self._screen.clear_status()
        return not self._left

    def _draw(self, item: Item) -> None:
        if isinstance(item, Output):
            draw_output(self._screen, item)
            if item.kind == "error":
                self.code = 2
        elif isinstance(item, UIRequest):
            self._resolve(item)
        else:
            self._renderer.draw(item)
            if isinstance(item, Question) and self._asker is not None:
                try:
                    self._chat.answer(item.id, self._asker.ask(item))
                except KeyboardInterrupt:
                    self._chat.cancel()
            elif isinstance(item, TurnFinished):
                self.code = item.exit_code
                self._left |= self._asker is None and item.exit_code == Interrupted.exit_code

    def _picked(self, request: UIRequest) -> str | None:
        """One of the choices, by its number; None where nobody can be asked, or he names none."""
        if request.title:
            draw_output(self._screen, Output("text", request.title))
        for number, choice in enumerate(request.choices, 1):
            text = f"{choice.text}  {choice.detail}".rstrip()
            draw_output(self._screen, Output("text", f"  {number}  {text}"))
        if self._asker is None:
            return None
        self._screen.ask("number (Enter: none): ")
        given = sys.stdin.readline().strip()
        if not given.isdigit() or not 0 < int(given) <= len(request.choices):
            return None
        return request.choices[int(given) - 1].value

    def _resolve(self, request: UIRequest) -> None:
        if request.kind == "quit":
            self._left = True
        elif request.kind == "pick":
            self._chat.resolve(request.id, self._picked(request))
        elif request.kind in ("edit", "draft"):
            draw_output(self._screen, Output("text", request.text))
            self._chat.resolve(request.id, None)
        elif request.kind in ("theme", "keys"):
            draw_output(self._screen, Output("note", "only at a terminal with a screen"))
