"""The thread in which the session works: it takes what the user enters, one thing after another,
draws what comes of it above the prompt, and asks the front end where only that can answer."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from localagent.core.errors import LocalAgentError
from localagent.core.events import (
    CheckFinished,
    Event,
    Question,
    Steered,
    ToolReturned,
    TurnStarted,
)
from localagent.ui.chat.interface import Answer, Chat, Item, Output, UIRequest
from localagent.ui.view.ask import show_question
from localagent.ui.view.items import draw_output
from localagent.ui.view.render import Renderer
from localagent.ui.view.sanitize import clean, one_line
from localagent.ui.view.screen import Surface

OUTPUTS = 20
"""How many of the last outputs can be shown in full."""

_MAX_OUTPUT = 200_000  # characters of each that are kept


class Front(Protocol):
    """What the agent thread wants of the front end. All of it may be called from that thread, and
    `ask` and `resolve` wait for the user."""

    def opened(self) -> None:
        """The session is there."""

    def ask(self, question: Question, remembers: tuple[str, ...]) -> Answer | None:
        """The user's answer; None where there will be none."""

    def resolve(self, request: UIRequest) -> str | None:
        """Do what the session requests for; what is handed back."""

    def changed(self) -> None:
        """The agent began or ended something."""

    def failed(self, error: BaseException) -> None:
        """The session cannot be opened, or our own code failed: leave."""


@dataclass(frozen=True, slots=True)
class LongOutput:
    """Something that was shown in one line, in full."""

    title: str
    text: str


class Agent:
    """Owns the chat and the thread. `open_chat` takes a while, so it is called in that thread; with
    the chat it hands out what of an earlier conversation is to be drawn again."""

    def __init__(
        self,
        open_chat: Callable[[], tuple[Chat, Iterable[Event]]],
        surface: Surface,
        front: Front,
    ) -> None:
        self._open_chat = open_chat
        self._surface = surface
        self._front = front
        self._renderer = Renderer(surface, undo="/undo", inside=True)
        self._inbox: queue.SimpleQueue[str | Callable[[Chat], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="agent", daemon=True)
        self.chat: Chat | None = None
        self.outputs: deque[LongOutput] = deque(maxlen=OUTPUTS)
        self.busy = False
        self.last_prompt = ""
        self._leaving = False

    def start(self) -> None:
        """Begin to open the session."""
        self._thread.start()

    def submit(self, line: str) -> None:
        """Carry out a line after what was entered before it."""
        self.busy = True
        self._inbox.put(line)

    def do(self, work: Callable[[Chat], None]) -> None:
        """Do something with the chat in the agent thread, between two lines."""
        self._inbox.put(work)

    def cancel(self) -> None:
        """Stop what runs; what waits behind it is given up."""
        if self.chat is not None:
            self.chat.cancel()

    def stop(self, seconds: float) -> bool:
        """End the thread and the session; False where that took more than `seconds`."""
        self._leaving = True
        self._inbox.put(None)
        self.cancel()
        if self._thread.is_alive():
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            try:
                self.chat, earlier = self._open_chat()
                self._front.opened()
                self.chat.warm_up()
                for event in earlier:
                    self._keep(event)
                    self._renderer.draw(event)
                self._surface.clear_status()  # nothing of that goes on
                self._work(self.chat)
            finally:
                if self.chat is not None:
                    self.chat.close()
        except BaseException as error:  # noqa: BLE001 - the front end restores the terminal first
            self._front.failed(error)

    def _work(self, chat: Chat) -> None:
        while (task := self._inbox.get()) is not None and not self._leaving:
            self.busy = True
            self._front.changed()
            try:
                if callable(task):
                    task(chat)
                else:
                    self._carry_out(chat, task)
            except LocalAgentError as error:
                self._draw(chat, Output("error", error.message, hint=error.hint))
            finally:
                self._surface.clear_status()
                self.busy = not self._inbox.empty()
                self._front.changed()

    def _carry_out(self, chat: Chat, line: str) -> None:
        self._renderer.echoed = line.strip()
        for item in chat.submit(line):
            if self._leaving:  # to its end, so that the end is on record
                chat.cancel()
            self._draw(chat, item)

    def _draw(self, chat: Chat, item: Item) -> None:
        if isinstance(item, TurnStarted | Steered | Output):
            self._front.changed()  # one line less may be waiting
        if isinstance(item, Output):
            draw_output(self._surface, item)
        elif isinstance(item, UIRequest):
            self._surface.clear_status()
            chat.resolve(item.id, self._front.resolve(item))
        elif isinstance(item, Question):
            self._renderer.draw(item)
            show_question(self._surface, item)
            answer = self._front.ask(item, chat.remembers(item.id))
            if answer is not None:
                chat.answer(item.id, answer)
        else:
            self._keep(item)
            self._renderer.draw(item)

    def _keep(self, item: object) -> None:
        if isinstance(item, TurnStarted):
            self.last_prompt = item.prompt
        elif isinstance(item, ToolReturned):
            first, _, rest = item.for_person.partition("\n")
            title = first if first.startswith("$ ") else item.tool
            text = max(rest, item.for_model, key=len)
            if text.strip():
                self.outputs.append(LongOutput(one_line(title), clean(text[:_MAX_OUTPUT])))
        elif isinstance(item, CheckFinished) and item.output.strip():
            title = f"check: {one_line(item.command)}"
            self.outputs.append(LongOutput(title, clean(item.output[:_MAX_OUTPUT])))


class Reply:
    """An answer that one thread waits for and another gives, at most once."""

    def __init__(self) -> None:
        self._there = threading.Event()
        self._value: object = None
        self.since = time.monotonic()

    def give(self, value: object) -> None:
        """Give the answer; later ones do not count."""
        if not self._there.is_set():
            self._value = value
            self._there.set()

    def wait(self) -> object:
        """The answer, once it is there."""
        self._there.wait()
        return self._value
