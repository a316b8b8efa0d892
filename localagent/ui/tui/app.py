"""The interactive session: the thread of the terminal, which never waits for the agent's.

What the agent draws comes through the `Outbox` and is printed above the prompt at most every
`FLUSH_SECONDS`; what it asks comes as a call in this thread's loop, and the agent waits.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, TypeVar

from prompt_toolkit.application import in_terminal
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.input import create_input
from prompt_toolkit.key_binding import merge_key_bindings
from prompt_toolkit.output import ColorDepth
from rich.text import Text

from localagent.core.errors import LocalAgentError
from localagent.core.events import Event, Question
from localagent.ui.chat.interface import Answer, Chat, Output, UIRequest
from localagent.ui.tui.input_line import open_buffer
from localagent.ui.tui.key_handlers import Actions
from localagent.ui.tui.keys import bindings, rows
from localagent.ui.tui.output import InlineApplication, InlineOutput
from localagent.ui.tui.print_queue import NOTHING, Outbox
from localagent.ui.tui.state import Asking, Picking, State
from localagent.ui.tui.statusline import status_line
from localagent.ui.tui.view import View, draw_welcome
from localagent.ui.tui.worker_thread import Agent, Reply
from localagent.ui.view.editor import edited
from localagent.ui.view.format import symbols_for
from localagent.ui.view.items import draw_output
from localagent.ui.view.theme import NAMES

FLUSH_SECONDS = 0.06
"""The least time between two printings of what the agent draws; keys are echoed at once."""

FRAMES_A_SECOND = 5  # of the sign that turns while something goes on
_TICK_SECONDS = 0.25
_CLOSING_SECONDS = 20.0  # for what a model has read to be written to the disk
_ESCAPE_SECONDS = 0.05  # after which a lone Esc is no longer taken for the start of a key's code
_SEQUENCE_SECONDS = 0.4  # for the next key of Esc Esc, Alt-Enter typed as two keys

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Preferences:
    """The settings that the terminal heeds."""

    theme: str
    edit_mode: str
    keys: dict[str, str]
    status_line: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Start:
    """How to begin. `prepare` reads the settings and `open_chat` opens the session; both take a
    while, so they are called once the prompt is on the screen; the latter hands out what of an
    earlier conversation is to be drawn again as well. `first` is entered for the user."""

    workspace: Path
    version: str
    prepare: Callable[[], Preferences]
    open_chat: Callable[[], tuple[Chat, Iterable[Event]]]
    first: str = ""


class Tui:
    """One interactive session at a terminal."""

    def __init__(self, start: Start, stdout: TextIO | None = None, term: str = "xterm") -> None:
        stdout = stdout or sys.stdout
        self._start = start
        self._parts: tuple[str, ...] = ()
        self._theme = "auto"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._flush_at = 0.0
        self._woken = False
        self._failure: BaseException | None = None
        self.state = State()
        self.outbox = Outbox(
            symbols_for(stdout.encoding), colours="auto", theme="auto", wake=self.wake
        )
        self.agent = Agent(self._open, self.outbox, self)
        self.line = open_buffer(start.workspace, lambda: self.agent.chat)
        self.actions = Actions(self)
        self.view = View(self, self.line.buffer, self.line.aside, self.actions.local)
        output = InlineOutput(stdout, term)
        self.outbox.resize(output.get_size().columns)
        self.app = InlineApplication(
            layout=self.view.layout,
            key_bindings=merge_key_bindings([self.actions.for_input(bindings({}))]),
            editing_mode=EditingMode.EMACS,
            include_default_pygments_style=False,
            erase_when_done=True,
            mouse_support=False,
            color_depth=ColorDepth.from_env(),
            input=create_input(sys.stdin),
            output=output,
        )
        self.app.ttimeoutlen = _ESCAPE_SECONDS
        self.app.timeoutlen = _SEQUENCE_SECONDS
        self.app.before_render += lambda _: self._before_render()
        self.app.key_processor.before_key_press += lambda _: self._forget_note()

    def run(self) -> int:
        """The whole session; returns the exit code. Raises what the session failed with."""
        draw_welcome(self.outbox, self._start.version, self._start.workspace)
        sys.stdout.write(self.outbox.take())
        sys.stdout.flush()
        code = 0
        try:
            code = asyncio.run(self._main())
        finally:
            self._release()
            self._say_goodbye(self.agent.stop(_CLOSING_SECONDS))
        if self._failure is not None:
            raise self._failure
        return code

    async def _main(self) -> int:
        loop = self._loop = asyncio.get_running_loop()
        ending = _ending_signals()
        for number in ending:
            loop.add_signal_handler(number, self.leave, 128 + number)
        ticker = loop.create_task(self._tick())
        try:
            self._flush()
            loop.call_soon(self.agent.start)  # after the first prompt was drawn
            if self._start.first:
                self.agent.submit(self._start.first)
            return await self.app.run_async(handle_sigint=True, set_exception_handler=False)
        except EOFError:  # the terminal is gone
            return 128 + 1
        finally:
            ticker.cancel()
            _ignore(loop, ending)

    def leave(self, code: int) -> None:
        """End the session."""
        if self.app.is_running and not self.app.is_done:
            self.app.exit(result=code)

    # What the agent thread calls.

    def wake(self) -> None:
        """Something is to be printed or drawn."""
        if self._woken or self._loop is None:
            return
        self._woken = True
        self.post(self._schedule)

    def opened(self) -> None:
        """The session is there."""
        self.post(self.app.invalidate)

    def ask(self, question: Question, remembers: tuple[str, ...]) -> Answer | None:
        """Ask the user, and wait."""
        reply = Reply()

        def begin() -> None:
            self._flush()
            self.state.asking = Asking(question, remembers, reply)
            self.app.layout.focus(self.view.asking)
            self.app.invalidate()

        answer = self._wait(reply, begin)
        return answer if isinstance(answer, Answer) else None

    def resolve(self, request: UIRequest) -> str | None:
        """Do what the session requests for."""
        reply = Reply()
        result = self._wait(reply, lambda: self._resolve(request, reply))
        return result if isinstance(result, str) else None

    def changed(self) -> None:
        """The agent began or ended something."""
        self.post(self._after_turn)

    def failed(self, error: BaseException) -> None:
        """Leave, and raise `error` once the terminal is as it was."""
        self._failure = error
        self.post(lambda: self.leave(1))

    def _wait(self, reply: Reply, begin: Callable[[], None]) -> object:
        if self._loop is None or not self.post(begin):
            return None
        self._open_reply = reply
        return reply.wait()

    def post(self, call: Callable[[], object]) -> bool:
        """Have `call` done in the terminal's thread; False where that is over."""
        try:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(call)
                return True
        except RuntimeError:  # the loop was closed in this moment
            pass
        return False

    def _open(self) -> tuple[Chat, Iterable[Event]]:
        preferences = self._start.prepare()
        bound = bindings(preferences.keys)
        self.post(lambda: self._prefer(preferences, bound))
        return self._start.open_chat()

    # What happens in the terminal's thread.

    def _prefer(
        self, preferences: Preferences, bound: dict[str, tuple[tuple[str, ...], ...]]
    ) -> None:
        self._parts = preferences.status_line
        self.actions.bound = bound
        self.app.key_bindings = merge_key_bindings([self.actions.for_input(bound)])
        vi = preferences.edit_mode == "vi"
        self.app.editing_mode = EditingMode.VI if vi else EditingMode.EMACS
        self.retheme(preferences.theme)

    def retheme(self, theme: str) -> None:
        """Draw in another theme from now on."""
        self._theme = theme
        self.outbox.retheme(theme)
        self.app.invalidate()

    def status_text(self) -> Text:
        """The status line, or a remark in its place."""
        if self.state.note:
            return Text(f" {self.state.note}", "mark")
        chat = self.agent.chat
        if chat is None:
            return Text(" opening the session, the model loads meanwhile: you can type", "faint")
        return status_line(chat.status(), self._parts, self.outbox.width, self.outbox.symbols)

    def live_row(self) -> Text:
        """What goes on now, in a row that moves."""
        frame = int(time.monotonic() * FRAMES_A_SECOND)
        waiting = self.agent.busy and self.state.asking is None and self.state.picking is None
        if waiting and self.outbox.live is NOTHING:
            chat = self.agent.chat
            doing = chat.status().doing if chat else "opening the session"
            sign = self.outbox.symbols.frames[frame % len(self.outbox.symbols.frames)]
            return Text(f"{sign} {doing or 'working'}", "mark")
        return self.outbox.live_text(frame)

    def _schedule(self) -> None:
        assert self._loop is not None
        wait = self._flush_at - time.monotonic()
        self._loop.call_later(max(wait, 0.0), self._flush)

    def _flush(self) -> None:
        self._woken = False
        self._flush_at = time.monotonic() + FLUSH_SECONDS
        if self.state.away or not self.app.is_running:
            return
        if text := self.outbox.take():
            self.app.print_above(text)
        self.app.invalidate()

    async def _tick(self) -> None:
        """Keep what moves moving, also while no event comes; and the clock, now and then."""
        ticks = 0
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            ticks += 1
            if self.agent.busy or ticks % 80 == 0:
                self.app.invalidate()

    def _before_render(self) -> None:
        self.outbox.resize(self.app.output.get_size().columns)
        self.app.shrink()

    def _forget_note(self) -> None:
        self.state.note = ""

    def _after_turn(self) -> None:
        chat = self.agent.chat
        if chat is not None:
            waiting = chat.status().queued
            self.state.steered = self.state.steered[-waiting:] if waiting else []
        self._flush()

    def _resolve(self, request: UIRequest, reply: Reply) -> None:
        match request.kind:
            case "quit":
                self.leave(0)
                reply.give(None)
            case "clear":
                self.app.renderer.clear()
                reply.give(None)
            case "theme":
                self._take_theme(request.text.strip())
                reply.give(None)
            case "keys":
                self.show(Output("table", rows=tuple(rows(self.actions.bound))))
                reply.give(None)
            case "draft":
                self.line.put(request.text)
                reply.give(None)
            case "edit":
                self.app.create_background_task(self._edit_request(request, reply))
            case "pick":
                self._flush()
                self.state.picking = Picking(request, reply)
                self.app.layout.focus(self.view.picking)
        self.app.invalidate()

    def _take_theme(self, name: str) -> None:
        if name in NAMES:
            self.retheme(name)
            hint = f"to keep it: localagent config set theme {name}"
            self.show(Output("note", f"theme {name}; {hint}"))
        else:
            known = ", ".join(NAMES)
            now = f"the theme is {self._theme}" if not name else f"there is no theme {name!r}"
            self.show(Output("note", f"{now}; there are {known}"))

    def show(self, item: Output) -> None:
        """Draw something above the prompt."""
        draw_output(self.outbox, item)

    async def _edit_request(self, request: UIRequest, reply: Reply) -> None:
        reply.give(await self.edit(request.text))

    async def edit(self, text: str) -> str | None:
        """`text` as the user leaves it in the editor; None where that went wrong."""
        after = await self.lend(lambda: edited(text))
        return None if after is None else after.removesuffix("\n")

    async def lend(self, work: Callable[[], _T]) -> _T | None:
        """Do `work` in a thread while it, or a program that it starts, has the terminal."""
        self._flush()
        self.state.away = True
        try:
            async with in_terminal():
                return await asyncio.get_running_loop().run_in_executor(None, work)
        except LocalAgentError as error:
            self.show(Output("error", error.message, hint=error.hint))
            return None
        finally:
            self.state.away = False
            self._flush()

    def _release(self) -> None:
        """Let go of an agent thread that waits for the user."""
        self.outbox.close()
        self._loop = None
        for waiting in (self.state.asking, self.state.picking):
            if waiting is not None:
                waiting.reply.give(None)
        if self._open_reply is not None:
            self._open_reply.give(None)

    def _say_goodbye(self, ended: bool) -> None:
        chat = self.agent.chat
        text = self.outbox.take()
        if chat is not None and chat.status().session:
            text += f"to go on with this session: localagent --resume {chat.status().session}\n"
        if not ended:
            text += "the session is still busy; it is left to itself\n"
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except OSError:
            return  # the terminal is gone

    _open_reply: Reply | None = None


def _ending_signals() -> list[int]:
    """The signals that end a session, as far as they are not ignored; none on Windows."""
    if sys.platform == "win32":
        return []
    found = (getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP"))
    return [n for n in found if n is not None and signal.getsignal(n) != signal.SIG_IGN]


def _ignore(loop: asyncio.AbstractEventLoop, numbers: list[int]) -> None:
    """From now on ignore signals that `loop` handled: the session ends already, and a second one
    (a shell that dies with its terminal sends one more) must not cut short what is recorded. The
    loop would give them back their default, which is to end the process."""
    if sys.platform == "win32":
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)  # no moment with the default
    for number in numbers:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
