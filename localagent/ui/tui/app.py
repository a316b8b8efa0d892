"""The interactive session at a terminal. The terminal's thread never waits for the agent thread.

The agent's output arrives in a `PrintQueue` and is printed above the prompt, at most every
`FLUSH_SECONDS`. The agent's questions arrive as calls in the event loop of the terminal's thread,
and the agent waits.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from prompt_toolkit.enums import EditingMode
from prompt_toolkit.input import Input, create_input
from prompt_toolkit.output import ColorDepth
from rich.text import Text

from localagent.core.events import Event
from localagent.ui.chat.interface import Chat, Output
from localagent.ui.tui.agent_thread import AgentThread
from localagent.ui.tui.dialogs import Dialogs, Place
from localagent.ui.tui.front_end import TuiFrontEnd
from localagent.ui.tui.input_line import InputLine
from localagent.ui.tui.keys import InputKeys, KeyTable, key_table
from localagent.ui.tui.layout import TuiLayout, draw_welcome
from localagent.ui.tui.output import InlineApplication, InlineOutput
from localagent.ui.tui.print_queue import IDLE, PrintQueue
from localagent.ui.tui.status_line import status_line
from localagent.ui.view.format import symbols_for
from localagent.ui.view.items import draw_output
from localagent.ui.view.screen import status_row

FLUSH_SECONDS = 0.06
"""Shortest time between two flushes of the agent's output. Keys are echoed at once."""

FRAMES_PER_SECOND = 5  # frames of the spinner
_TICK_SECONDS = 0.25
_TICKS_PER_CLOCK = 80  # ticks between two drawings of the idle status line, which shows a clock
_CLOSING_SECONDS = 20.0  # time for the model to write its KV cache to disk
_ESCAPE_SECONDS = 0.05  # after this time, a lone Esc is the key Esc, not the start of a longer code
_SEQUENCE_SECONDS = 0.4  # time for the next key of Esc Esc, or of Alt-Enter typed as two keys


@dataclass(frozen=True, slots=True)
class Preferences:
    """The settings that concern the terminal."""

    theme: str
    edit_mode: str
    keys: dict[str, str]
    status_line: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Start:
    """How a session begins.

    `prepare` reads the settings. `open_chat` opens the session, and returns the chat with the
    recorded events of a resumed session. Both are slow, so the prompt is drawn before they are
    called. `first` is the first line to run, as if the user had entered it.
    """

    workspace: Path
    version: str
    prepare: Callable[[], Preferences]
    open_chat: Callable[[], tuple[Chat, Iterable[Event]]]
    first: str = ""


class Tui:
    """One interactive session at a terminal. `keyboard` is its input, by default stdin."""

    def __init__(
        self,
        start: Start,
        stdout: TextIO | None = None,
        term: str = "xterm",
        *,
        keyboard: Input | None = None,
    ) -> None:
        self._stdout = stdout or sys.stdout
        self._start = start
        self._status_parts: tuple[str, ...] = ()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._flush_at = 0.0
        self._woken = False
        self.theme = "auto"
        self.failure: BaseException | None = None
        self.note = ""
        """A remark that replaces the status line until the next key."""
        self.queued: list[str] = []
        """Lines that the user entered during a turn, and that wait for its end."""
        self.lent = False
        """Whether another program uses the terminal, such as an editor."""
        self.printer = PrintQueue(
            symbols_for(self._stdout.encoding), colors="auto", theme="auto", wake=self.wake
        )
        self.front_end = TuiFrontEnd(self)
        self.agent = AgentThread(self._open, self.printer, self.front_end)
        self.line = InputLine(start.workspace, lambda: self.agent.chat)
        self.dialogs = Dialogs(self, self.line)
        self.keys = InputKeys(self)
        self.layout = TuiLayout(self)
        output = InlineOutput(self._stdout, term)
        self.printer.resize(output.get_size().columns)
        self.app = InlineApplication(
            layout=self.layout.layout,
            key_bindings=self.keys.bindings(),
            editing_mode=EditingMode.EMACS,
            include_default_pygments_style=False,
            erase_when_done=True,
            mouse_support=False,
            color_depth=ColorDepth.from_env(),
            input=keyboard or create_input(sys.stdin),
            output=output,
        )
        self.app.ttimeoutlen = _ESCAPE_SECONDS
        self.app.timeoutlen = _SEQUENCE_SECONDS
        self.app.before_render += lambda _: self._before_render()
        self.app.key_processor.before_key_press += lambda _: self._clear_note()

    def run(self) -> int:
        """Run the whole session and return its exit code. Raises the error that ended it."""
        draw_welcome(self.printer, self._start.version, self._start.workspace)
        self._write(self.printer.take())
        code = 0
        try:
            code = asyncio.run(self._main())
        finally:
            self._loop = None
            self.printer.close()
            self.front_end.release()
            self._say_goodbye(self.agent.stop(_CLOSING_SECONDS))
        if self.failure is not None:
            raise self.failure
        return code

    async def _main(self) -> int:
        loop = self._loop = asyncio.get_running_loop()
        signals = _ending_signals()
        for number in signals:
            loop.add_signal_handler(number, self.leave, 128 + number)
        ticker = loop.create_task(self._tick())
        try:
            self.flush()
            loop.call_soon(self.agent.start)  # after the first prompt is drawn
            if self._start.first:
                self.agent.submit(self._start.first, drawn=False)
            return await self.app.run_async(handle_sigint=True, set_exception_handler=False)
        except EOFError:  # the terminal is gone
            return 128 + 1
        finally:
            ticker.cancel()
            _ignore_signals(loop, signals)

    def _open(self) -> tuple[Chat, Iterable[Event]]:
        preferences = self._start.prepare()
        table = key_table(preferences.keys)
        self.post(lambda: self._apply(preferences, table))
        return self._start.open_chat()

    def _apply(self, preferences: Preferences, table: KeyTable) -> None:
        self._status_parts = preferences.status_line
        self.keys.table = dict(table)
        self.app.key_bindings = self.keys.bindings()
        vi = preferences.edit_mode == "vi"
        self.app.editing_mode = EditingMode.VI if vi else EditingMode.EMACS
        self.set_theme(preferences.theme)

    # The following methods may be called from any thread.

    def wake(self) -> None:
        """Schedule the printing of new output."""
        if self._woken or self._loop is None:
            return
        self._woken = True
        self.post(self._schedule_flush)

    def post(self, call: Callable[[], object]) -> bool:
        """Schedule `call` in the terminal's thread; return False if that thread has ended."""
        try:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(call)
                return True
        except RuntimeError:  # the loop was closed a moment ago
            pass
        return False

    def draw(self, item: Output) -> None:
        """Draw something above the prompt."""
        draw_output(self.printer, item)

    # The following methods may be called only from the terminal's thread.

    def leave(self, code: int) -> None:
        """End the session with this exit code."""
        if self.app.is_running and not self.app.is_done:
            self.app.exit(result=code)

    def focus(self, place: Place) -> None:
        """Send keys to the input line or to a dialog."""
        self.app.layout.focus(self.layout.windows[place])

    def stop_agent(self) -> None:
        """Act as Ctrl-C does in the input line."""
        self.keys.stop()

    def set_theme(self, theme: str) -> None:
        """Draw in another theme from now on."""
        self.theme = theme
        self.printer.set_theme(theme)
        self.app.invalidate()

    def status_text(self) -> Text:
        """Return the status line, or the remark that replaces it."""
        if self.note:
            return Text(f" {self.note}", "accent")
        chat = self.agent.chat
        if chat is None:
            return Text(" opening the session and loading the model; you can type", "faint")
        return status_line(
            chat.status(), self._status_parts, self.printer.width, self.printer.symbols
        )

    def live_text(self) -> Text:
        """Return the live row, which shows the current work."""
        frame = int(time.monotonic() * FRAMES_PER_SECOND)
        in_dialog = self.dialogs.question or self.dialogs.picker
        if self.agent.busy and not in_dialog and self.printer.live is IDLE:
            chat = self.agent.chat
            doing = chat.status().doing if chat else "opening the session"
            return status_row(self.printer.symbols, frame, doing or "working", None)
        return self.printer.live_text(frame)

    def refresh(self) -> None:
        """Remove the lines that the chat no longer queues, and print the agent's output."""
        chat = self.agent.chat
        if chat is not None:
            waiting = chat.status().queued
            self.queued = self.queued[-waiting:] if waiting else []
        self.flush()

    def flush(self) -> None:
        """Print the waiting output above the prompt."""
        self._woken = False
        self._flush_at = time.monotonic() + FLUSH_SECONDS
        if self.lent or not self.app.is_running:
            return
        if text := self.printer.take():
            self.app.print_above(text)
        self.app.invalidate()

    def _schedule_flush(self) -> None:
        assert self._loop is not None
        self._loop.call_later(max(self._flush_at - time.monotonic(), 0.0), self.flush)

    async def _tick(self) -> None:
        """Redraw the live row while no events come, and sometimes the clock of the status line."""
        ticks = 0
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            ticks += 1
            if self.agent.busy or ticks % _TICKS_PER_CLOCK == 0:
                self.app.invalidate()

    def _before_render(self) -> None:
        self.printer.resize(self.app.output.get_size().columns)
        self.app.shrink()

    def _clear_note(self) -> None:
        self.note = ""

    def _say_goodbye(self, ended: bool) -> None:
        chat = self.agent.chat
        text = self.printer.take()
        if chat is not None and (status := chat.status()).session:
            resume = f"to resume this session: localagent --resume {status.session}\n"
            text += resume if status.resumable else "nothing was sent, so no session is kept\n"
        if not ended:
            text += "the session did not stop in time; its last turn may be incomplete\n"
        try:
            self._write(text)
        except OSError:
            return  # the terminal is gone

    def _write(self, text: str) -> None:
        self._stdout.write(text)
        self._stdout.flush()


def _ending_signals() -> list[int]:
    """Return the signals that end a session, except ignored signals; on Windows, none."""
    if sys.platform == "win32":
        return []
    numbers = (signal.SIGTERM, signal.SIGHUP)
    return [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]


def _ignore_signals(loop: asyncio.AbstractEventLoop, numbers: list[int]) -> None:
    """Ignore signals that `loop` handled, because the session is ending already.

    A shell that dies with its terminal sends a second signal, which must not cut the record short.
    The loop would restore the default action, which ends the process.
    """
    if sys.platform == "win32":
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)  # the default never applies
    for number in numbers:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
