"""The chat behind a front end; see `base.Chat`."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from localagent.agent.intent import classify
from localagent.core.errors import LocalAgentError, UsageError
from localagent.core.events import Event, Mode, TurnFinished
from localagent.models.base import Model
from localagent.models.router import Router
from localagent.project.project import Project
from localagent.project.prompt_commands import prompt_commands
from localagent.session.factory import open_session
from localagent.session.session import RunOptions, Session
from localagent.ui.chat.commands import COMMANDS
from localagent.ui.chat.commands.command import Command
from localagent.ui.chat.commands.plan import made
from localagent.ui.chat.commands.user_commands import own_command
from localagent.ui.chat.interface import (
    Answer,
    Choice,
    CommandInfo,
    Completion,
    Item,
    Output,
    Status,
    UIRequest,
    UIRequestKind,
)
from localagent.ui.chat.mentions import mentions
from localagent.ui.chat.queue import Queue
from localagent.ui.chat.status import Branch, StatusTracker, where_it_runs
from localagent.ui.chat.trust_prompt import TrustPrompt


def open_chat(
    project: Project, options: RunOptions, model: Model | Router | None = None
) -> LiveChat:
    """Open a session and the chat around it; the model is not loaded yet. Raises as
    `session.factory.open_session`."""
    somebody, options = options.interactive, replace(options, interactive=True)
    return LiveChat(open_session(project, options, model), options, somebody=somebody)


class LiveChat:
    """Implements `base.Chat`. `session` is the one that goes on now, `options` what it was opened
    with and what was changed since; `somebody`: whether there is one who can be asked."""

    def __init__(self, session: Session, options: RunOptions, *, somebody: bool) -> None:
        self.session = session
        self.options = options
        self.tracker = StatusTracker()
        self.outcome = ""
        """How the last turn ended, "" before the first."""
        self._branch = Branch(session.services.workspace.root)
        self._where = where_it_runs(session.models.info())
        self._queue = Queue()
        self._running = threading.Lock()
        self._cancelled = False
        self._requests = 0
        self._responses: dict[int, str | None] = {}
        self._warming: threading.Thread | None = None
        self._somebody = somebody
        self.trust_prompt = TrustPrompt()
        self.read_own_commands()
        session.steering = self._queue.take_said

    def read_own_commands(self) -> None:
        """Take the user's own and the project's commands as they are now."""
        self._prompts = prompt_commands(self.session.project)

    # Lines

    def submit(self, line: str) -> Iterator[Item]:
        """See `Chat.submit`."""
        if not self._running.acquire(blocking=False):
            raise RuntimeError("one line at a time: `steer` takes those entered meanwhile")
        self._cancelled = False
        try:
            yield from self._carry_out(line)
            while not self._cancelled and (waiting := self._queue.take()) is not None:
                yield from self._carry_out(waiting)
        finally:
            self.tracker.rest()
            if self._cancelled:
                self.session.go_on()
            self._running.release()

    def _carry_out(self, line: str) -> Iterator[Item]:
        text = line.strip()
        try:
            if is_command(text):
                name, _, arguments = text[1:].partition(" ")
                yield from self.command(name).run(self, arguments.strip())
            elif text.startswith("!"):
                yield from self._entered(text)
            elif text and self.mode == "plan" and classify(text) == "edit":
                yield from made(self, text)
            elif text:
                yield from self.ask(text)
        except LocalAgentError as error:
            yield Output("error", error.message, hint=error.hint)

    def ask(self, text: str) -> Iterator[Item]:
        """A turn for the model."""
        if self._somebody:
            yield from self.trust_prompt.ask(self)
        yield from self._asked(lambda: self.session.run(text))

    def step(self, prompt: str, *, last: bool) -> Iterator[Item]:
        """A turn for a step of a plan."""
        if self._somebody:
            yield from self.trust_prompt.ask(self)
        yield from self._asked(lambda: self.session.run_step(prompt, last=last))

    def plan(self, task: str) -> Iterator[Item]:
        """A turn that makes a plan."""
        yield from self._asked(lambda: self.session.run_plan(task))

    def _asked(self, run: Callable[[], Iterator[Event]]) -> Iterator[Item]:
        self.finish_warming()
        if self._cancelled:
            yield Output("note", "interrupted before the model was asked")
            return
        yield from self.follow(run())
        self.session.write_title()

    def _entered(self, text: str) -> Iterator[Event]:
        line = text.lstrip("!").strip()
        if not line:
            raise UsageError("there is no command after the !", "for example: !git status")
        yield from self.follow(self.session.run_command(line, share=not text.startswith("!!")))

    def follow(self, events: Iterator[Event]) -> Iterator[Event]:
        """Hand out a session's events, and take note of them."""
        for event in events:
            self.tracker.see(event)
            if isinstance(event, TurnFinished):
                self.outcome = event.outcome
            yield event

    def command(self, name: str) -> Command:
        """The command of that name. Raises UsageError, which names those that are near."""
        known = {command.name: command for command in (*self._own(), *COMMANDS)}
        if name not in known:
            if name in self._prompts.unusable:
                raise self._prompts.unusable[name]
            near = difflib.get_close_matches(name, list(known), 3)
            near += [each for each in known if len(name) > 1 and each.startswith(name)]
            near = list(dict.fromkeys(near))[:3]
            hint = f"did you mean {' or '.join(f'/{each}' for each in near)}? " if near else ""
            raise UsageError(f"there is no command /{name}", f"{hint}/help lists the commands")
        return known[name]

    # Questions and UI requests

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

    def request(
        self, kind: UIRequestKind, text: str = "", title: str = "", choices: Sequence[Choice] = ()
    ) -> Iterator[UIRequest]:
        """Ask the front end for something; what it hands back is `response` then."""
        self._requests += 1
        self._responses.pop(self._requests - 1, None)
        yield UIRequest(self._requests, kind, text, title, tuple(choices))

    def resolve(self, request: int, value: str | None) -> None:
        """See `Chat.resolve`."""
        self._responses[request] = value

    def response(self) -> str | None:
        """What came of the last request."""
        return self._responses.pop(self._requests, None)

    # What may happen at any moment

    def steer(self, line: str) -> None:
        """See `Chat.steer`."""
        self._queue.put(line)

    def take_queued(self) -> list[str]:
        """See `Chat.take_queued`."""
        return self._queue.take_all()

    @property
    def cancelled(self) -> bool:
        """Whether what the last `submit` carried out was stopped."""
        return self._cancelled

    def cancel(self) -> None:
        """See `Chat.cancel`."""
        if self._running.locked():
            self._cancelled = True
            self.session.cancel()

    def rewind(self, turn: int | None = None) -> str:
        """See `Chat.rewind`."""
        if not self._running.acquire(blocking=False):
            raise UsageError("something is running", "stop it first")
        try:
            going_back = self.session.rewind(turn)
            while True:
                try:
                    self.tracker.see(next(going_back))
                except StopIteration as end:
                    begun = end.value
                    return f"{_ENTERED.get(begun.kind, '')}{begun.prompt}"
        finally:
            self._running.release()

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

    def status(self) -> Status:
        """See `Chat.status`."""
        session, standing = self.session, self.tracker
        info = session.models.info()
        return Status(
            model=info.id,
            where=self._where,
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
            ports=session.services.sandbox.ports,
        )

    def commands(self) -> Sequence[CommandInfo]:
        """See `Chat.commands`."""
        return [command.info for command in (*COMMANDS, *self._own())]

    def _own(self) -> list[Command]:
        """The user's and the project's commands; those built in go before ones of their name."""
        taken = {command.name for command in COMMANDS}
        found = self._prompts.found.values()
        return [own_command(command) for command in found if command.name not in taken]

    def complete(self, command: str, text: str) -> Sequence[Completion]:
        """See `Chat.complete`."""
        if command == "@":
            return mentions(self.session.services.workspace, text)
        try:
            return self.command(command).complete(self, text)
        except LocalAgentError:
            return []

    # The model, and the session

    def warm_up(self) -> None:
        """See `Chat.warm_up`."""
        if self._warming is None and not self._running.locked():
            self._warming = threading.Thread(target=self._warm, name="warm-up", daemon=True)
            self._warming.start()

    def _warm(self) -> None:
        self.tracker.warming(0, 0)
        try:
            self.session.warm_up(self.tracker.warming)
        except LocalAgentError:
            pass  # the turn that needs the model says it
        finally:
            self.tracker.warmed()

    def finish_warming(self) -> None:
        """Wait until the model is free: it does one thing at a time."""
        warming, self._warming = self._warming, None
        while warming is not None and warming.is_alive():
            if self._cancelled:
                self.session.models.cancel()
            warming.join(0.05)

    def go_on_with(self, resume: str | None) -> None:
        """Go on with another session, or with `resume` None with a new one, in the place of this
        one. Raises as `app.open_session`; this one stays then."""
        self.finish_warming()
        before = self.session
        project = before.project.reopen(mode=self.mode)
        after = open_session(project, replace(self.options, resume=resume), after=before)
        after.planner, after.check, after.limits = before.planner, before.check, before.limits
        before.leave()
        after.steering = self._queue.take_said
        self.session, self.tracker, self.outcome = after, StatusTracker(), ""

    def close(self) -> None:
        """See `Chat.close`."""
        self._cancelled = True
        self.session.cancel()
        self.finish_warming()
        self.session.close()


_ENTERED = {"command": "!", "plan": "/plan "}
"""What the user enters before the prompt of a turn of some kinds."""


def is_command(text: str) -> bool:
    """Whether a line is a command, and not a task that begins with a path: "/etc/hosts is …"."""
    return text.startswith("/") and "/" not in text[1:].split(" ")[0]
