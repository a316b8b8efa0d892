"""The interactive session behind a front end; implements `interface.Chat`."""

from __future__ import annotations

import difflib
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from localagent.agent.intent import classify
from localagent.core.errors import LocalAgentError, UsageError
from localagent.core.events import Event, Mode, TurnFinished
from localagent.models.base import Model
from localagent.models.router import Router
from localagent.project.project import Project
from localagent.project.prompt_commands import prompt_commands
from localagent.session.factory import RunOptions, open_session
from localagent.session.session import Session
from localagent.ui.chat.aliases import ALIASES, SENTENCES, WORDS
from localagent.ui.chat.commands import COMMANDS
from localagent.ui.chat.commands.command import SlashCommand, user_command
from localagent.ui.chat.commands.plan import make_plan
from localagent.ui.chat.commands.rules import add_rule, is_rule
from localagent.ui.chat.commands.work import FIX_CHECK
from localagent.ui.chat.interface import (
    Answer,
    CommandInfo,
    CommandLine,
    Completion,
    Item,
    Output,
    PickerChoice,
    RewindPreview,
    SessionStatus,
    UIRequest,
    UIRequestKind,
)
from localagent.ui.chat.mentions import mentions
from localagent.ui.chat.status import Branch, StatusTracker, where_it_runs
from localagent.ui.chat.trust_prompt import TrustPrompt

_JOIN_SECONDS = 0.05


def open_chat(
    project: Project,
    options: RunOptions,
    model: Model | Router | None = None,
    *,
    command_line: CommandLine,
) -> LiveChat:
    """Open a session and the chat around it; the model is not loaded yet.

    `command_line` runs commands of the command line. Raises the errors of
    `session.factory.open_session`.
    """
    asks, options = options.interactive, replace(options, interactive=True)
    session = open_session(project, options, model)
    return LiveChat(session, options, command_line, asks=asks)


class LineQueue:
    """The lines that the user enters while a turn runs, in order. All methods are thread-safe."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque()
        self._guard = threading.Lock()

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, line: str) -> None:
        """Add a line; a blank line is dropped."""
        if line.strip():
            with self._guard:
                self._lines.append(line)

    def take(self) -> str | None:
        """Remove and return the first line, or None if no line waits."""
        with self._guard:
            return self._lines.popleft() if self._lines else None

    def take_messages(self) -> list[str]:
        """Remove and return the lines before the first command, which waits for the turn's end."""
        taken: list[str] = []
        with self._guard:
            while self._lines and not self._lines[0].lstrip().startswith(("/", "!")):
                taken.append(self._lines.popleft().strip())
        return taken

    def take_all(self) -> list[str]:
        """Remove and return all lines."""
        with self._guard:
            taken = list(self._lines)
            self._lines.clear()
        return taken


class LiveChat:
    """Implements `interface.Chat`, which documents the methods that a front end calls.

    `session` is the current session, `options` its options. `asks` says whether a user can answer
    questions about the project's files.
    """

    def __init__(
        self, session: Session, options: RunOptions, command_line: CommandLine, *, asks: bool
    ) -> None:
        self.session = session
        self.options = options
        self.command_line = command_line
        self.tracker = StatusTracker()
        self.outcome = ""
        """The outcome of the last turn; "" before the first turn."""
        self.written: list[str] = []
        """Files that commands such as /init wrote for the user, outside of turns."""
        self._branch = Branch(session.services.workspace.root)
        self._where = where_it_runs(session.models.info())
        self._queue = LineQueue()
        self._running = threading.Lock()
        self._cancelled = False
        self._requests = 0
        self._responses: dict[int, str | None] = {}
        self._warm_up_thread: threading.Thread | None = None
        self._asks = asks
        self.trust_prompt = TrustPrompt()
        self.read_user_commands()
        session.steering = self._queue.take_messages

    def read_user_commands(self) -> None:
        """Read the user's and the project's commands again."""
        self._prompts = prompt_commands(self.session.project)

    # Lines of the user

    def submit(self, line: str) -> Iterator[Item]:
        if not self._running.acquire(blocking=False):
            raise RuntimeError("one line at a time: `steer` takes lines meanwhile")
        self._cancelled = False
        try:
            yield from self._run_line(line)
            while not self._cancelled and (waiting := self._queue.take()) is not None:
                yield Output("line", waiting.strip())
                yield from self._run_line(waiting)
        finally:
            self.tracker.finish()
            if self._cancelled:
                self.session.go_on()
            self._running.release()

    def _run_line(self, line: str) -> Iterator[Item]:
        text = WORDS.get(line.strip(), line.strip())
        try:
            if is_command(text):
                name, _, arguments = text[1:].partition(" ")
                yield from self.command(name).run(self, arguments.strip())
            elif text.startswith("!"):
                yield from self._run_shell(text)
            elif is_rule(text):
                yield from add_rule(self, text)
            elif text and (kind := classify(text)) == "check":
                yield from self.follow(self.session.run(text))
                if self.outcome == "unsolved" and not self._cancelled:
                    yield Output("note", FIX_CHECK)
            elif text and self.mode == "plan" and kind == "edit":
                yield from make_plan(self, text)
            elif text:
                yield from self.ask(text)
        except LocalAgentError as error:
            yield Output("error", error.message, hint=error.hint)

    def ask(self, text: str) -> Iterator[Item]:
        """Run a turn for a task or question, and yield its events. Raises WorkspaceError."""
        if classify(text) == "edit":
            self.session.services.workspace.ensure_writable()  # before the model is loaded
        if self._asks:
            yield from self.trust_prompt.ask(self)
        yield from self._run_turn(lambda: self.session.run(text))

    def step(self, prompt: str, *, last: bool) -> Iterator[Item]:
        """Run a turn for one step of a plan, and yield its events. Raises WorkspaceError."""
        self.session.services.workspace.ensure_writable()
        if self._asks:
            yield from self.trust_prompt.ask(self)
        yield from self._run_turn(lambda: self.session.run_step(prompt, last=last))

    def plan(self, task: str) -> Iterator[Item]:
        """Run a turn that makes a plan, and yield its events."""
        yield from self._run_turn(lambda: self.session.run_plan(task))

    def _run_turn(self, run: Callable[[], Iterator[Event]]) -> Iterator[Item]:
        self.finish_warm_up()
        if self._cancelled:
            yield Output("note", "interrupted before the model was asked")
            return
        yield from self.follow(run())
        self.session.write_title()

    def _run_shell(self, text: str) -> Iterator[Event]:
        line = text.lstrip("!").strip()
        if not line:
            raise UsageError("there is no command after the !", "for example: !git status")
        yield from self.follow(self.session.run_command(line, share=not text.startswith("!!")))

    def follow(self, events: Iterator[Event]) -> Iterator[Event]:
        """Yield a session's events, and track them for the status."""
        for event in events:
            self.tracker.record(event)
            if isinstance(event, TurnFinished):
                self.outcome = event.outcome
            yield event

    def command(self, name: str) -> SlashCommand:
        """Return the command called `name`. Raises UsageError, which names similar commands."""
        known = {command.name: command for command in (*self._user_commands(), *COMMANDS)}
        if name not in known:
            if name in self._prompts.unusable:
                raise self._prompts.unusable[name]
            if name in ALIASES:
                return known[ALIASES[name]]
            if name in SENTENCES:
                raise UsageError(f"localagent has no command /{name}", SENTENCES[name])
            near = difflib.get_close_matches(name, list(known), 3)
            near += [each for each in known if len(name) > 1 and each.startswith(name)]
            near = list(dict.fromkeys(near))[:3]
            hint = f"did you mean {' or '.join(f'/{each}' for each in near)}? " if near else ""
            raise UsageError(f"unknown command /{name}", f"{hint}/help lists the commands")
        return known[name]

    # Questions and UI requests

    def answer(self, question: int, answer: Answer) -> None:
        self.session.answer(
            question,
            answer.allowed,
            answer.reason,
            remember=answer.remember,
            edited=answer.edited,
        )

    def remembers(self, question: int) -> tuple[str, ...]:
        return self.session.remembers(question)

    def request(
        self,
        kind: UIRequestKind,
        text: str = "",
        title: str = "",
        choices: Sequence[PickerChoice] = (),
        default: int = 0,
    ) -> Iterator[UIRequest]:
        """Ask the front end for an action; `response` returns its answer."""
        self._requests += 1
        self._responses.pop(self._requests - 1, None)
        yield UIRequest(self._requests, kind, text, title, tuple(choices), default)

    def resolve(self, request: int, value: str | None) -> None:
        self._responses[request] = value

    def response(self) -> str | None:
        """The front end's answer to the last request."""
        return self._responses.pop(self._requests, None)

    # Calls from any thread

    def steer(self, line: str) -> None:
        self._queue.add(line)

    def take_queued(self) -> list[str]:
        return self._queue.take_all()

    @property
    def cancelled(self) -> bool:
        """Return whether the user stopped the last `submit`."""
        return self._cancelled

    def cancel(self) -> None:
        if self._running.locked():
            self._cancelled = True
            self.session.cancel()

    def rewind_preview(self) -> RewindPreview:
        start = self.session.start_of()
        files = self.session.undoing.changed_from(start.turn)
        return RewindPreview(start.turn, start.prompt, tuple(files))

    def rewind(self, turn: int | None = None) -> str:
        if not self._running.acquire(blocking=False):
            raise UsageError("a turn is running", "stop it first")
        try:
            events = self.session.rewind(turn)
            while True:
                try:
                    self.tracker.record(next(events))
                except StopIteration as end:
                    start = end.value
                    return f"{_PREFIXES.get(start.kind, '')}{start.prompt}"
        finally:
            self._running.release()

    @property
    def mode(self) -> Mode:
        return self.session.mode

    def set_mode(self, mode: Mode) -> None:
        self.session.services.gate.set_mode(mode)

    def cycle_mode(self) -> Mode:
        possible = self.session.services.gate.possible()
        following = possible[(possible.index(self.mode) + 1) % len(possible)]
        self.set_mode(following)
        return following

    def status(self) -> SessionStatus:
        session, tracker = self.session, self.tracker
        info = session.models.info()
        return SessionStatus(
            model=info.id,
            where=self._where,
            planner=session.planner or info.profile.planner,
            mode=self.mode,
            window_used=tracker.window_used,
            window=info.profile.window,
            tokens_per_second=tracker.tokens_per_second,
            reused=tracker.reused,
            sandbox=session.services.sandbox.kind,
            confined=session.services.sandbox.confined,
            branch=self._branch.name(),
            check=tracker.check,
            seconds=tracker.seconds,
            doing=tracker.doing,
            reading=tracker.reading,
            seconds_left=tracker.seconds_left,
            queued=len(self._queue),
            session=session.id,
            resumable=session.resumable,
            workspace=str(session.services.workspace.root),
            read_only=session.started.read_only,
            ports=session.services.sandbox.ports,
        )

    def commands(self) -> Sequence[CommandInfo]:
        return [command.info for command in (*COMMANDS, *self._user_commands())]

    def _user_commands(self) -> list[SlashCommand]:
        """Return the commands of user and project, except those named like a built-in command."""
        taken = {command.name for command in COMMANDS}
        commands = self._prompts.found.values()
        return [user_command(command) for command in commands if command.name not in taken]

    def complete(self, command: str, text: str) -> Sequence[Completion]:
        if command == "@":
            return mentions(self.session.services.workspace, text)
        try:
            return self.command(command).complete(self, text)
        except LocalAgentError:
            return []

    # The model, and the session

    def warm_up(self) -> None:
        if self._warm_up_thread is None and not self._running.locked():
            self._warm_up_thread = threading.Thread(
                target=self._run_warm_up, name="warm-up", daemon=True
            )
            self._warm_up_thread.start()

    def _run_warm_up(self) -> None:
        self.tracker.warming_up(0, 0)
        try:
            self.session.warm_up(self.tracker.warming_up)
        except LocalAgentError:
            pass  # the turn that needs the model reports the error
        finally:
            self.tracker.warmed_up()

    def finish_warm_up(self) -> None:
        """Wait until the warm-up is over, because the model serves one request at a time."""
        thread, self._warm_up_thread = self._warm_up_thread, None
        while thread is not None and thread.is_alive():
            if self._cancelled:
                self.session.models.cancel()
            thread.join(_JOIN_SECONDS)

    def switch_session(self, resume: str | None) -> None:
        """Replace the session by the stored session `resume`, or by a new session if that is None.

        Raises the errors of `session.factory.open_session`; after an error, the current session
        stays.
        """
        self.finish_warm_up()
        before = self.session
        project = before.project.reopen(mode=self.mode)
        after = open_session(project, replace(self.options, resume=resume), after=before)
        after.planner, after.check, after.limits = before.planner, before.check, before.limits
        before.leave()
        after.steering = self._queue.take_messages
        self.session, self.tracker, self.outcome = after, StatusTracker(), ""
        self.written = []

    def close(self) -> None:
        self._cancelled = True
        self.session.cancel()
        self.finish_warm_up()
        self.session.close()


_PREFIXES = {"command": "!", "plan": "/plan "}
"""The beginning of the input line that repeats a turn, by the kind of the turn."""


def is_command(text: str) -> bool:
    """Return whether a line is a command; "/etc/hosts is …" is a task that begins with a path."""
    return text.startswith("/") and "/" not in text[1:].split(" ")[0]
