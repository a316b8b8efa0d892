"""The agent thread, in which the session works.

It runs the user's lines one after another and draws their output above the prompt. For a question
or a UI request, the agent thread calls the front end and waits for the answer.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from localagent.core.errors import LocalAgentError
from localagent.core.events import (
    CheckFinished,
    Event,
    ModelReading,
    ModelReplied,
    ModelRequested,
    Question,
    Steered,
    TextDelta,
    ToolReturned,
    TurnFinished,
    TurnStarted,
    Warned,
)
from localagent.ui.chat.interface import Answer, Chat, Item, Output, UIRequest
from localagent.ui.view.items import draw_output, draw_question
from localagent.ui.view.render import Renderer
from localagent.ui.view.sanitize import clean, one_line
from localagent.ui.view.screen import Surface
from localagent.ui.view.search_view import SearchLog

MAX_OUTPUTS = 20
"""Number of outputs, counted from the last, that can be expanded."""

_MAX_OUTPUT = 200_000  # characters of each output that are stored
# Purposes of model requests whose reply the user reads; other replies are code or choices.
_READABLE = ("answer", "act", "plan")


class FrontEnd(Protocol):
    """The methods of the front end that the agent thread calls."""

    def opened(self) -> None:
        """Note that the session is open."""

    def ask(self, question: Question, remembered: tuple[str, ...]) -> Answer | None:
        """Ask the user and wait; return None if the user gives no answer."""

    def resolve(self, request: UIRequest) -> str | None:
        """Carry out a UI request, wait, and return its result."""

    def changed(self) -> None:
        """Note that the agent began or finished a line."""

    def failed(self, error: BaseException) -> None:
        """Leave, because the session could not be opened or localagent failed."""


_READ_ONLY = "another session is open in this folder, so this session only reads"


@dataclass(frozen=True, slots=True)
class LongOutput:
    """The full text of an output; only one line of it was drawn."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the user; `drawn`: it is on the screen already."""

    text: str
    drawn: bool


class AgentThread:
    """Owns the chat and the agent thread.

    `open_chat` is slow, so the agent thread calls it. It returns the chat, and the recorded events
    of a resumed session.
    """

    def __init__(
        self,
        open_chat: Callable[[], tuple[Chat, Iterable[Event]]],
        surface: Surface,
        front_end: FrontEnd,
    ) -> None:
        self._open_chat = open_chat
        self._surface = surface
        self._front_end = front_end
        self._renderer = Renderer(surface, undo="/undo", inside=True)
        self._inbox: queue.SimpleQueue[_Line | Callable[[Chat], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="agent", daemon=True)
        self.chat: Chat | None = None
        self.outputs: deque[LongOutput | SearchLog] = deque(maxlen=MAX_OUTPUTS)
        self.busy = False
        self._leaving = False

    def start(self) -> None:
        """Start the thread, which opens the session first."""
        self._thread.start()

    def submit(self, line: str, *, drawn: bool = True) -> None:
        """Run a line of the user after all earlier lines; `drawn`: it is on the screen already."""
        self.busy = True
        self._inbox.put(_Line(line, drawn))

    def call(self, work: Callable[[Chat], None]) -> None:
        """Call `work(chat)` in the agent thread, between two lines."""
        self._inbox.put(work)

    def cancel(self) -> list[str]:
        """Stop the current line. Returns the lines that waited for the session to open; they are
        not run."""
        if self.chat is not None:
            self.chat.cancel()
            return []
        tasks: list[_Line | Callable[[Chat], None] | None] = []
        with suppress(queue.Empty):
            while True:
                tasks.append(self._inbox.get_nowait())
        rest = [task for task in tasks if not isinstance(task, _Line)]
        for task in rest:
            self._inbox.put(task)
        self.busy = bool(rest)
        return [task.text for task in tasks if isinstance(task, _Line)]

    def stop(self, seconds: float) -> bool:
        """End the thread and the session; return False if that takes more than `seconds`."""
        self._leaving = True
        self._inbox.put(None)
        self.cancel()
        if self._thread.is_alive():
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            try:
                self.chat, recorded = self._open_chat()
                self._front_end.opened()
                if self.chat.status().read_only:
                    self._draw(self.chat, Output("note", _READ_ONLY))
                self.chat.warm_up()
                for event in last_turn(tuple(recorded)):
                    self._draw_event(event)
                self._surface.clear_status()  # the turn from the record is over
                self._work(self.chat)
            finally:
                if self.chat is not None:
                    self.chat.close()
        except BaseException as error:  # noqa: BLE001 - the front end restores the terminal first
            self._front_end.failed(error)

    def _work(self, chat: Chat) -> None:
        while (task := self._inbox.get()) is not None and not self._leaving:
            self.busy = True
            self._front_end.changed()
            try:
                if isinstance(task, _Line):
                    self._run_line(chat, task.text, drawn=task.drawn)
                else:
                    task(chat)
            except LocalAgentError as error:
                self._draw(chat, Output("error", error.message, hint=error.hint))
            finally:
                self._surface.clear_status()
                self.busy = not self._inbox.empty()
                self._front_end.changed()

    def _run_line(self, chat: Chat, line: str, *, drawn: bool) -> None:
        self._renderer.echoed = line.strip() if drawn else ""
        for item in chat.submit(line):
            if self._leaving:  # keep reading events, so that the turn's end is recorded
                chat.cancel()
            self._draw(chat, item)

    def _draw(self, chat: Chat, item: Item) -> None:
        if isinstance(item, TurnStarted | Steered | Output):
            self._front_end.changed()  # the chat may have taken a queued line
        if isinstance(item, Output):
            if item.kind == "line":
                self._renderer.echoed = item.text
            draw_output(self._surface, item)
        elif isinstance(item, UIRequest):
            self._surface.clear_status()
            chat.resolve(item.id, self._front_end.resolve(item))
        elif isinstance(item, Question):
            self._renderer.draw(item)
            draw_question(self._surface, item)
            answer = self._front_end.ask(item, chat.remembers(item.id))
            if answer is not None:
                chat.answer(item.id, answer)
        else:
            self._draw_event(item)

    def _draw_event(self, event: Event) -> None:
        """Draw an event, and keep the output that is drawn in part for Ctrl-O."""
        self._store_output(event)
        self._renderer.draw(event)
        log = self._renderer.search_log
        if log is not None and log not in self.outputs:
            self.outputs.append(log)

    def _store_output(self, event: Event) -> None:
        title = text = ""
        if isinstance(event, ToolReturned):
            first, _, rest = event.for_person.partition("\n")
            title = first if first.startswith("$ ") else event.tool
            text = max(rest, event.for_model, key=len)
        elif isinstance(event, CheckFinished) and not event.candidate:
            title, text = f"check: {event.command}", event.output
        if text.strip():
            self.outputs.append(LongOutput(one_line(title), clean(text[:_MAX_OUTPUT])))


def last_turn(events: Sequence[Event]) -> Iterator[Event]:
    """Yield the events of a resumed session's last turn, as if the turn happened now.

    The record holds whole replies instead of pieces. Replies of code, answered questions and
    reading progress are left out. A turn that a kill cut off ends with a warning.
    """
    starts = [number for number, event in enumerate(events) if isinstance(event, TurnStarted)]
    if not starts:
        return
    for event in events[starts[-1] :]:
        if isinstance(event, ModelReplied):
            if event.purpose in _READABLE and event.stream == 0:
                yield ModelRequested(event.purpose, "")
                yield TextDelta(event.text)
                yield event
        elif not isinstance(event, ModelRequested | ModelReading | TextDelta | Question):
            yield event
    if not any(isinstance(event, TurnFinished) for event in events[starts[-1] :]):
        yield Warned("the session ended in the middle of this turn")
