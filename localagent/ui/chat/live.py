"""The chat behind a front end; see `base.Chat`."""

from __future__ import annotations

import difflib
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from localagent.app import open_session, redo, undo
from localagent.errors import LocalAgentError, UsageError
from localagent.events import Event
from localagent.journal.undo import Undone
from localagent.models.base import Model
from localagent.models.router import Router
from localagent.session import RunOptions, Session
from localagent.ui.chat.base import (
    Answer,
    CommandInfo,
    Completion,
    Item,
    Mode,
    Shown,
    Status,
    Wish,
)
from localagent.ui.chat.standing import Branch, Standing


def open_chat(options: RunOptions, model: Model | Router | None = None) -> LiveChat:
    """Open a session and the chat around it; the model is not loaded yet. Raises as
    `app.open_session`."""
    return LiveChat(open_session(options, model))


class LiveChat:
    """Implements `base.Chat`."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._standing = Standing()
        self._branch = Branch(session.services.workspace.root)
        self._queue: deque[str] = deque()
        self._running = threading.Lock()
        self._cancelled = False
        self._wishes = 0
        self._fulfilled: dict[int, str | None] = {}
        self._warming: threading.Thread | None = None
        self._commands = {command.info.name: command for command in _COMMANDS}

    def submit(self, line: str) -> Iterator[Item]:
        """See `Chat.submit`."""
        if not self._running.acquire(blocking=False):
            raise RuntimeError("one line at a time: `steer` takes those entered meanwhile")
        self._cancelled = False
        try:
            yield from self._carry_out(line)
            while self._queue and not self._cancelled:
                yield from self._carry_out(self._queue.popleft())
        finally:
            self._standing.rest()
            self._running.release()

    def _carry_out(self, line: str) -> Iterator[Item]:
        text = line.strip()
        if not text:
            return
        try:
            if _is_command(text):
                yield from self._command(text[1:])
            else:
                self._finish_warming()
                yield from self._turn(self.session.run(text))
                self.session.write_title()
        except LocalAgentError as error:
            yield Shown("error", error.message, hint=error.hint)

    def _turn(self, events: Iterator[Event]) -> Iterator[Event]:
        for event in events:
            self._standing.see(event)
            yield event

    def _command(self, text: str) -> Iterator[Item]:
        name, _, arguments = text.partition(" ")
        if name not in self._commands:
            near = difflib.get_close_matches(name, list(self._commands), 1)
            hint = f"did you mean /{near[0]}?" if near else "/help lists the commands"
            raise UsageError(f"there is no command /{name}", hint)
        yield from self._commands[name].run(self, arguments.strip())

    def wish(self, wish: Wish) -> Iterator[Wish]:
        """Yield `wish` with a number of its own."""
        self._wishes += 1
        yield Wish(self._wishes, wish.kind, wish.text, wish.title, wish.choices)

    def answer(self, question: int, answer: Answer) -> None:
        """See `Chat.answer`."""
        self.session.answer(
            question,
            answer.allowed,
            answer.reason,
            remember=answer.remember,
            edited=answer.edited,
        )

    def remembers(self, question: int) -> tuple[str, ...]:
        """See `Chat.remembers`."""
        return self.session.remembers(question)

    @property
    def mode(self) -> Mode:
        """See `Chat.mode`."""
        return self.session.mode

    def set_mode(self, mode: Mode) -> None:
        """See `Chat.set_mode`."""
        self.session.services.gate.set_mode(mode)

    def cycle_mode(self) -> Mode:
        """See `Chat.cycle_mode`."""
        possible = self.session.services.gate.possible()
        following = possible[(possible.index(self.mode) + 1) % len(possible)]
        self.set_mode(following)
        return following

    def fulfil(self, wish: int, value: str | None) -> None:
        """See `Chat.fulfil`."""
        self._fulfilled[wish] = value

    def steer(self, line: str) -> None:
        """See `Chat.steer`."""
        self._queue.append(line)

    def take_queued(self) -> list[str]:
        """See `Chat.take_queued`."""
        taken: list[str] = []
        while self._queue:
            taken.append(self._queue.popleft())
        return taken

    def cancel(self) -> None:
        """See `Chat.cancel`."""
        if self._running.locked():
            self._cancelled = True
            self.session.cancel()

    def status(self) -> Status:
        """See `Chat.status`."""
        session, standing = self.session, self._standing
        info = session.models.info()
        return Status(
            model=info.id,
            where=info.backend,
            planner=session.planner or info.profile.planner,
            mode=self.mode,
            window_used=standing.window_used,
            window=info.profile.window,
            tokens_per_second=standing.tokens_per_second,
            reused=standing.reused,
            sandbox=session.services.sandbox.kind,
            confined=session.services.sandbox.confined,
            branch=self._branch.name(),
            check=standing.check,
            seconds=standing.seconds,
            doing=standing.doing,
            reading=standing.reading,
            seconds_left=standing.seconds_left,
            queued=len(self._queue),
            session=session.id,
            workspace=str(session.services.workspace.root),
            read_only=session.started.read_only,
        )

    def commands(self) -> Sequence[CommandInfo]:
        """See `Chat.commands`."""
        return [command.info for command in self._commands.values()]

    def complete(self, command: str, text: str) -> Sequence[Completion]:
        """See `Chat.complete`."""
        if command == "@":
            files = self.session.services.workspace.files()
            begun = [name for name in files if name.startswith(text)]
            inside = [name for name in files if text in name and not name.startswith(text)]
            return [Completion(name, "file") for name in (*begun, *inside)]
        if command == "model":
            names = [name for name in self.session.models.names() if name.startswith(text)]
            return [Completion(name) for name in names]
        return []

    def rewind(self, turn: int | None = None) -> str:  # noqa: ARG002 - the last one alone, so far
        """Take back what the last turn changed; the conversation is kept."""
        raise UsageError(
            "the conversation cannot be cut yet",
            "/undo takes back what the last turn changed; Up brings back what you wrote",
        )

    def warm_up(self) -> None:
        """See `Chat.warm_up`."""
        if self._warming is None and not self._running.locked():
            self._warming = threading.Thread(target=self._warm, name="warm-up", daemon=True)
            self._warming.start()

    def _warm(self) -> None:
        self._standing.doing = "loading the model"
        try:
            self.session.services.model.count("")
        except LocalAgentError:
            pass  # the turn that needs the model says it
        finally:
            self._standing.doing = ""

    def _finish_warming(self) -> None:
        """Wait until the model is free: it does one thing at a time."""
        while self._warming is not None and self._warming.is_alive() and not self._cancelled:
            self._warming.join(0.05)

    def close(self) -> None:
        """See `Chat.close`."""
        self.cancel()
        self.session.models.cancel()
        self.session.close()


Run = Callable[[LiveChat, str], Iterator[Item]]


class Command:
    """A command: what people are told of it, and what carries it out."""

    def __init__(self, name: str, arguments: str, text: str, run: Run) -> None:
        self.info = CommandInfo(name, arguments, text)
        self.run = run


def _is_command(text: str) -> bool:
    """Whether a line is a command, and not a task that begins with a path: "/etc/hosts is …"."""
    return text.startswith("/") and "/" not in text[1:].split(" ")[0]


def _help(chat: LiveChat, _arguments: str) -> Iterator[Item]:
    rows = [(f"/{c.name} {c.arguments}".rstrip(), c.help) for c in chat.commands()]
    yield Shown("table", rows=tuple(rows))


def _quit(chat: LiveChat, _arguments: str) -> Iterator[Item]:
    yield from chat.wish(Wish(0, "quit"))


def _undo(chat: LiveChat, which: str) -> Iterator[Item]:
    session = chat.session
    yield _told("undid", undo(session.services.workspace.root, which or None, lock=session.lock))


def _redo(chat: LiveChat, which: str) -> Iterator[Item]:
    session = chat.session
    again = redo(session.services.workspace.root, which or None, lock=session.lock)
    yield _told("did again", again)


def _told(verb: str, done: Undone) -> Shown:
    changed = ", ".join(change.path for change in done.changed)
    return Shown("text", f"{verb} turn {done.turn} of session {done.session}: {changed}")


def _model(chat: LiveChat, name: str) -> Iterator[Item]:
    if name:
        info = chat.session.switch(name)
        yield Shown("note", f"the model is {info.id} from now on")
        return
    now = chat.status().model
    rows = tuple((each, "in use" if each == now else "") for each in chat.session.models.names())
    yield Shown("table", rows=rows, title="/model ID goes on with another one")


def _theme(chat: LiveChat, name: str) -> Iterator[Item]:
    yield from chat.wish(Wish(0, "theme", name))


def _keys(chat: LiveChat, _arguments: str) -> Iterator[Item]:
    yield from chat.wish(Wish(0, "keys"))


_COMMANDS = (
    Command("help", "", "what can be entered", _help),
    Command("undo", "[TURN]", "take back what the last turn, or TURN, changed", _undo),
    Command("redo", "[TURN]", "take back an undo", _redo),
    Command("model", "[ID]", "the models, or another one", _model),
    Command("theme", "[NAME]", "the colours: which there are, or another one", _theme),
    Command("keys", "", "the key bindings", _keys),
    Command("quit", "", "leave; the session can be resumed", _quit),
)
