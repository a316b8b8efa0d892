"""An interactive session that draws no prompt: each line of input is one turn.

The mode is used for input from a pipe, output to a file, and terminals that cannot redraw a line
(TERM=dumb), or if the user asks for it (--plain). Questions take a letter and Enter.
"""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TextIO

from rich.text import Text

from localagent import __version__
from localagent.core.errors import Interrupted
from localagent.core.events import Question, SessionStarted, TurnFinished
from localagent.permissions.handoff import reason_to_ask
from localagent.tools.base import HANDOFF
from localagent.tools.registry import spec_of
from localagent.ui.chat.interface import Answer, Chat, Item, Output, UIRequest
from localagent.ui.view.items import draw_output, draw_question
from localagent.ui.view.render import Renderer
from localagent.ui.view.sanitize import one_line
from localagent.ui.view.screen import Screen, terminal_screen

PROMPT = "> "
_TRIES = 3
_REFUSED = re.compile(r"(?i)no?(?:[\s,:;.]+(?P<reason>.*))?$")


def first_line(stdin: TextIO) -> str:
    """Read the first line of piped input. Return "" if there is none or stdin is a terminal."""
    if stdin.isatty():
        return ""
    while (line := stdin.readline()) and not line.strip():
        pass
    return line


def hold(
    open_chat: Callable[[bool], Chat], folder: Path, first: str, *, plain: bool = False
) -> int:
    """Run a whole session and return the exit code of its last turn. `first` is the first line.

    `open_chat` opens a session in `folder`. It is slow, and gets True if stdin is a terminal, where
    a user can answer questions. With `plain`, no line is redrawn.
    """
    interactive = sys.stdin.isatty()
    with ExitStack() as stack:
        screen = stack.enter_context(terminal_screen(sys.stdout, plain=plain))
        if interactive:
            screen.line(Text(f"localagent {__version__}: opening a session in", "strong"))
            screen.line(Text(one_line(str(folder), 1000), "faint"), wrap=False)
        chat = open_chat(interactive)
        stack.callback(chat.close)
        asker = Asker(screen, sys.stdin.readline) if interactive else None
        session = _LineSession(chat, screen, asker)
        if interactive:
            session.draw_banner()
        for line in _input_lines(screen, first, echo=interactive):
            with _interruptible(chat):
                if not session.run(line):
                    break
        return session.code


def _input_lines(screen: Screen, first: str, *, echo: bool) -> Iterator[str]:
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
    """Make Ctrl-C stop the turn; between turns, Ctrl-C ends the session."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        chat.cancel()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Asker:
    """Asks the user for y, n or a; a reason may follow n.

    `read` returns a line, or "" at the end of input.
    The answer "a" also covers similar questions of this session; it is not stored. No "a" answers a
    question about files that other programs run later.
    """

    def __init__(self, screen: Screen, read: Callable[[], str]) -> None:
        self._screen = screen
        self._read = read
        self._always: set[tuple[str, str, str]] = set()

    def ask(self, question: Question) -> Answer:
        """Draw `question` and return the answer; repeated unclear answers count as no."""
        spec = spec_of(question.tool)
        # "always" covers every file for a tool that writes, where the same rule asks; for other
        # tools, only the same request.
        subject = "" if spec.effect == "write" else question.subject
        scope = (spec.name, subject, question.reason)
        once = spec is HANDOFF or question.reason == reason_to_ask(question.subject)
        if scope in self._always:
            return Answer(True, "allowed for this session")
        draw_question(self._screen, question)
        what = "this" if subject else f"every {spec.name}"
        what = "this command" if spec.body == "command" else what
        always = "" if once else f"a always for {what}, "
        for _ in range(_TRIES):
            self._screen.ask(f"  y yes, n no, {always}or n and why not: ")
            line = self._read()
            reply = line.strip().lower()
            all_alike = not once and reply in ("a", "always")
            if all_alike:
                self._always.add(scope)
            if all_alike or reply in ("y", "yes"):
                return Answer(True)
            refused = _REFUSED.match(line.strip())
            if refused is not None:
                return Answer(False, refused["reason"] or "")
            if not reply:
                break
        return Answer(False)


class _LineSession:
    """Runs lines in a chat and draws their output; `code` is the exit code so far."""

    def __init__(self, chat: Chat, screen: Screen, asker: Asker | None) -> None:
        self._chat = chat
        self._screen = screen
        self._asker = asker
        self._renderer = Renderer(screen, undo="/undo")
        self._ended = False
        self.code = 0

    def draw_banner(self) -> None:
        """Draw the model and the sandbox, which the first turn then does not repeat."""
        status = self._chat.status()
        self._renderer.draw(
            SessionStarted(
                session=status.session,
                workspace="",  # it is on the screen already
                model=status.model,
                model_sha256="",
                planner=status.planner,
                sandbox=status.sandbox,
                version=__version__,
                read_only=status.read_only,
                ports=list(status.ports),
            )
        )
        self._screen.line(Text("/help lists the commands, /quit leaves", "faint"))

    def run(self, line: str) -> bool:
        """Run one line; return False if the line ended the session."""
        if self._asker is not None:  # the terminal echoes the user's input
            self._renderer.echoed = line.strip()
        for item in self._chat.submit(line):
            self._draw(item)
        self._screen.clear_status()
        return not self._ended

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
                self._ended |= self._asker is None and item.exit_code == Interrupted.exit_code

    def _resolve(self, request: UIRequest) -> None:
        match request.kind:
            case "quit":
                self._ended = True
            case "pick":
                self._chat.resolve(request.id, self._pick(request))
            case "edit" | "draft":
                draw_output(self._screen, Output("text", request.text))
                self._chat.resolve(request.id, None)
            case "theme" | "keys":
                draw_output(self._screen, Output("note", "only at a terminal with a screen"))

    def _pick(self, request: UIRequest) -> str | None:
        """Return the choice whose number or key the user enters; None without such input."""
        if request.title:
            draw_output(self._screen, Output("text", request.title))
        for number, choice in enumerate(request.choices, 1):
            text = f"{choice.text}  {choice.detail}".rstrip()
            draw_output(self._screen, Output("text", f"  {number}  {text}"))
        if self._asker is None:
            return None
        self._screen.ask("number (Enter: none): ")
        reply = sys.stdin.readline().strip()
        for choice in request.choices:
            if choice.key and choice.key == reply.lower():
                return choice.value
        if not reply.isdigit() or not 0 < int(reply) <= len(request.choices):
            return None
        return request.choices[int(reply) - 1].value
