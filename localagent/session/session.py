"""A session: one conversation in one workspace, as a stream of events.

    with open_session(options) as session:
        for event in session.run("fix the failing test"):
            if isinstance(event, Question):
                session.answer(event.id, allowed=True)

`run` records every event in the transcript before it hands it out. `cancel` is the one method that
may be called from another thread or a signal handler.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from localagent.agent.loop import run_command, run_project_check, run_turn
from localagent.agent.model_calls import redact_request
from localagent.agent.planners.base import Planner
from localagent.agent.planners.plan_mode import MakePlan
from localagent.agent.small_tasks import write_title
from localagent.agent.turn import (
    Answer,
    Exchange,
    Journal,
    Ledger,
    Limits,
    Services,
    Turn,
    TurnRequest,
)
from localagent.agent.window_usage import Window, window_of
from localagent.context.conversation import kinds_of
from localagent.core.errors import LocalAgentError, UsageError
from localagent.core.events import (
    Blocked,
    ChangesUndone,
    ConversationReplaced,
    Event,
    MessageAdded,
    Mode,
    ModeChanged,
    ModelSwitched,
    PlanChanged,
    PlanStep,
    Rewound,
    SessionStarted,
    SessionTitled,
    TurnKind,
    Warned,
)
from localagent.core.messages import Message
from localagent.egress.blocked import BLOCKED
from localagent.history.checkpoints.undo import UndoResult
from localagent.history.checkpoints.workspace_lock import WorkspaceLock
from localagent.history.sessions.conversation import ConversationLog, TurnStart
from localagent.models.base import Infill, ModelInfo, Reading, Request
from localagent.models.router import MAIN, Router
from localagent.project.project import Project

# A title is worth no more waiting than this, in seconds.
TITLE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How the user opens a session, the settings aside.

    `yes` answers questions in advance. `resume` is the id of a session. `interactive` says that the
    user can be asked. `scripted` is a file of replies that take the model's place.
    """

    yes: bool = False
    resume: str | None = None
    seed: int = 0
    interactive: bool = False
    scripted: Path | None = None


class Recorder(Protocol):
    """Where events are kept."""

    def append(self, event: Event) -> None:
        """Keep one event."""

    def aside(self, event: Event) -> None:
        """Keep, for the audit only, an event that is no part of the conversation."""

    def close(self) -> None:
        """Finish writing."""

    def discard(self) -> None:
        """Finish writing, and keep nothing."""


_Events = Generator[Event, None, None]


def _ignored(_done: int, _total: int) -> None:
    """Progress that nobody wants to hear of."""


class Undoing(Protocol):
    """Taking back what turns changed, while this session holds the workspace; see
    `journal.undo`."""

    def undo(self, which: str | None, force: bool) -> UndoResult:
        """Take back one turn's changes."""

    def redo(self, which: str | None, force: bool) -> UndoResult:
        """Make them again."""

    def back_to(self, turn: int) -> list[UndoResult]:
        """Take back all that this session changed from `turn` on, or nothing."""


@dataclass
class Session:
    """One conversation. Built by `app.open_session`; `services.journal` is replaced each turn by
    what `journal_for` gives for the turn's number. `warnings` are said with the first turn.

    Each turn is planned by `planner`, or where that is "" as the profile of the model says.

    `lock` is the workspace's, None where another session holds it. `unfinished` is the prompt of a
    resumed session whose last turn did not end, or "". `steering` gives what the user has said
    since it was last asked; turns ask it between two steps. `made_of` are files, each with its
    SHA-256, that the next task's text is from.
    """

    project: Project
    started: SessionStarted
    services: Services
    models: Router
    planner: str
    planner_for: Callable[[str], Planner]
    recorder: Recorder
    journal_for: Callable[[int], Journal]
    undoing: Undoing
    lock: WorkspaceLock | None
    limits: Limits = field(default_factory=Limits)
    check: str = ""
    seed: int = 0
    turns: int = 0
    talk: ConversationLog = field(default_factory=ConversationLog)
    unfinished: str = ""
    warnings: list[str] = field(default_factory=list)
    extension_warnings: tuple[str, ...] = ()
    steering: Callable[[], list[str]] = list
    made_of: list[tuple[str, str]] = field(default_factory=list)
    _turn: Turn | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _announced: bool = False
    _running: bool = False
    _wanted: str = ""
    _mode: Mode = "ask"  # as it was last recorded

    @property
    def id(self) -> str:
        """The session's id."""
        return self.started.session

    @property
    def conversation(self) -> list[Message]:
        """What was said so far."""
        return self.talk.messages

    def run(self, prompt: str) -> Iterator[Event]:
        """Carry out one turn. The last event is TurnFinished, unless our own code fails."""
        return self._carried_out(prompt, self._with_planner, "task")

    def run_command(self, line: str, *, share: bool = True) -> Iterator[Event]:
        """A turn that runs a command of the user's in the sandbox and asks no model. Its changes
        can be undone as any turn's; with `share` its output joins the conversation."""
        return self._carried_out(line, partial(run_command, share=share), "command")

    def run_check(self, line: str, *, share: bool = False) -> Iterator[Event]:
        """A turn that runs the project's check and asks no model; `line` is what the user entered
        for it. With `share` a failing check's output joins the conversation."""
        return self._carried_out(line, partial(run_project_check, share=share), "check")

    def run_step(self, prompt: str, *, last: bool) -> Iterator[Event]:
        """Carry out a step of a plan; before the `last` one the check need not pass, but nothing
        may fail that passed before."""
        kind: TurnKind = "last-step" if last else "step"
        return self._carried_out(prompt, self._with_planner, kind)

    def run_plan(self, task: str) -> Iterator[Event]:
        """A turn that makes a plan for a task, and changes nothing but that."""
        return self._carried_out(task, partial(run_turn, planner=MakePlan()), "plan")

    def _with_planner(self, turn: Turn) -> _Events:
        """Carry out `turn` with the session's planner."""
        return run_turn(turn, self.planner_for(self._planner_name()))

    @property
    def plan(self) -> PlanChanged | None:
        """The plan, if there is one."""
        return self.talk.plan

    def set_plan(self, task: str, steps: Sequence[PlanStep]) -> Iterator[Event]:
        """Go on with another plan, or with other states of its steps."""
        return self._recorded(self._planned(PlanChanged(task, list(steps))))

    def _planned(self, plan: PlanChanged) -> Iterator[Event]:
        yield from self._opening()
        yield plan

    def _carried_out(
        self, prompt: str, carry_out: Callable[[Turn], _Events], kind: TurnKind
    ) -> _Events:
        self._running = True
        try:
            yield from self._recorded(self._events(prompt, carry_out, kind))
        finally:
            self._running = False
            # What stopped this turn does not stop the next one.
            self._stop = threading.Event()

    def _recorded(self, events: Iterator[Event]) -> _Events:
        """The events, each recorded and taken into account before it is handed out."""
        for event in events:
            before = (*self._switched(), *self._mode_changed(), *self._refused())
            for each in (*before, event):
                self.recorder.append(each)
                self.talk.record(each)
                self._forget_exchange(each)
                yield each

    def begin(self) -> Iterator[Event]:
        """What comes before everything else, where nothing has been said yet."""
        return self._recorded(self._opening())

    def _opening(self) -> Iterator[Event]:
        """What comes before everything else, once."""
        if not self._announced:
            yield self.started
            self._announced = True
            yield from (Warned(text) for text in (*self.warnings, *self.extension_warnings))

    def _events(
        self, prompt: str, carry_out: Callable[[Turn], _Events], kind: TurnKind
    ) -> Iterator[Event]:
        yield from self._opening()
        yield from self._switch_now()
        self.turns += 1
        if kind != "command":
            self.services.index.refresh()
            if notice := self.services.index.notice():
                yield Warned(notice)
        self._turn = Turn(
            services=replace(self.services, journal=self.journal_for(self.turns)),
            request=TurnRequest(
                self.turns, prompt, self.check, list(self.conversation), kind, self.seed
            ),
            limits=self.limits,
            ledger=Ledger(exchange=self._turn.ledger.exchange if self._turn else None),
            stop=self._stop,
            steering=self.steering,
        )
        for path, digest in self.made_of:
            self._turn.ledger.record_file(path, digest)
        self.made_of.clear()
        yield from carry_out(self._turn)

    def warm_up(self, progress: Callable[[int, int], None] = _ignored) -> None:
        """Load the model and let it read what the next turn begins with, as far as that is known.

        Returns when that is done, or was stopped by `models.cancel`; `progress` is told of tokens
        read, and of how many there are. Raises as a model's `generate`.
        """
        with contextlib.closing(self.services.model.generate_all([self._ahead()])) as chunks:
            for _, chunk in chunks:
                if isinstance(chunk, Reading):
                    progress(chunk.done, chunk.total)

    def _ahead(self) -> Request:
        """What the next turn begins with, as far as that is known, and no reply."""
        planner = self.planner_for(self._planner_name())
        messages = tuple(planner.opening(self.services, self.conversation))
        return redact_request(Request(messages, max_tokens=0, fixed=1), self.services.redactor)

    def window(self) -> Window:
        """What fills the model's window: the last request with its reply or, where there was none
        or the conversation has changed since, what the next one begins with.

        Raises as a model's `count`.
        """
        ahead = self._ahead()
        exchange = self._turn.ledger.exchange if self._turn else None
        if exchange is None or _messages(ahead) > _messages(exchange.request) + 1:
            parts = [part for m in self.conversation if m.asked for part in m.asked.parts]
            exchange = Exchange(ahead, self.services.model, texts=kinds_of(parts))
        return window_of(exchange, self.services)

    def _forget_exchange(self, event: Event) -> None:
        """What the model was last shown is not what the conversation is any more."""
        switched = isinstance(event, ModelSwitched) and event.role == MAIN
        if self._turn and (switched or isinstance(event, ConversationReplaced | Rewound)):
            self._turn.ledger.exchange = None

    def undo(
        self, which: str | None = None, *, force: bool = False, again: bool = False
    ) -> Generator[Event, None, UndoResult]:
        """Take back what a turn changed (`which` as for `journal.undo`; default: the last that
        changed something here), or, `again`, make it once more. The conversation is told.

        Raises UsageError, WorkspaceError.
        """
        done = (self.undoing.redo if again else self.undoing.undo)(which, force)
        yield from self._recorded(self._undone(done, again))
        return done

    def _undone(self, done: UndoResult, again: bool) -> Iterator[Event]:
        yield from self._opening()
        files = [change.path for change in done.changed]
        yield ChangesUndone(done.session, done.turn, files, again)
        if self.conversation and files:
            name = "react/done-again" if again else "react/undone"
            text = self.services.prompts.render(name, files=", ".join(files))
            yield MessageAdded("user", text)

    def rewind(self, turn: int | None = None) -> Generator[Event, None, TurnStart]:
        """Go back to before a turn (default: the last): files as they were then, the conversation
        cut there. Returns the turn that was gone back over.

        Raises UsageError for a turn that is not part of the conversation (any more), and
        WorkspaceError where a file was changed by somebody else since; nothing has changed then.
        """
        turns = self.talk.turns
        if not turns:
            raise UsageError("there is no turn to go back to")
        begun = turns[-1] if turn is None else next((t for t in turns if t.turn == turn), None)
        if begun is None:
            known = ", ".join(str(t.turn) for t in turns)
            raise UsageError(f"there is no turn {turn} to go back to", f"there are: {known}")
        done = self.undoing.back_to(begun.turn)
        names = [f"{one.session}:{one.turn}" for one in done]
        yield from self._recorded(self._rewound(begun.turn, names))
        return begun

    def _rewound(self, turn: int, undone: list[str]) -> Iterator[Event]:
        yield from self._opening()
        yield Rewound(turn, undone)

    def compact(self) -> Generator[Event, None, bool]:
        """Shorten the conversation, as the planner does where it no longer fits; False where there
        is nothing to leave out."""
        planner = self.planner_for(self._planner_name())
        tasks = [turn.at for turn in self.talk.turns if turn.kind not in ("command", "check")]
        shorter = planner.compact(self.services, self.conversation, tasks[-1] if tasks else 0)
        if shorter is None:
            return False
        yield from self.replace_conversation(
            [{"role": m.role, "content": m.content} for m in shorter]
        )
        return True

    def replace_conversation(self, messages: list[dict[str, str]]) -> _Events:
        """Go on from these messages instead; see `ConversationReplaced`."""
        yield from self._recorded(self._replaced(messages))

    def _replaced(self, messages: list[dict[str, str]]) -> Iterator[Event]:
        yield from self._opening()
        yield ConversationReplaced(messages)

    def switch(self, model_id: str) -> ModelInfo:
        """Go on with another model of the lock: at once, or after the turn that runs.

        The conversation is kept, as messages; the new model's own template renders them. Raises
        UsageError for an unknown id and, where no turn runs, ModelNotInstalled and BackendError;
        the old model stays then.
        """
        if self._running:
            info = self.models.known(model_id)
            self._wanted = model_id
            return info
        return self.models.switch(model_id)

    def _switch_now(self) -> Iterator[Event]:
        """Carry out what `switch` was asked for during the last turn."""
        wanted, self._wanted = self._wanted, ""
        if wanted:
            try:
                self.models.switch(wanted)
            except LocalAgentError as error:
                yield Warned(f"{error.message}; {self.models.current()} stays")

    def _switched(self) -> list[Event]:
        """The changes of models since the last event, once SessionStarted was said."""
        made = self.models.drain_switches() if self._announced else []
        return [
            ModelSwitched(s.role, s.info.id, s.info.sha256, self._planner_name(), s.why)
            for s in made
        ]

    def _mode_changed(self) -> list[Event]:
        """The change of the mode since the last event, once SessionStarted was said."""
        mode = self.mode
        if not self._announced or mode == self._mode:
            return []
        self._mode = mode
        return [ModeChanged(mode)]

    @property
    def mode(self) -> Mode:
        """How much may be done without asking. `services.gate` changes it."""
        return self.services.gate.mode

    def _refused(self) -> list[Event]:
        """What the egress lock and the sandbox refused since the last event, for the audit log and
        for people."""
        found: list[Event] = []
        for blocked in BLOCKED.drain() if self._announced else ():
            found.append(Blocked("network", f"{blocked.action} {blocked.target}", blocked.origin))
            found.append(Warned(f"the {blocked.guard} refused to {blocked}"))
        return found

    def _planner_name(self) -> str:
        return self.planner or self.models.info(MAIN).profile.planner

    def write_title(self) -> str:
        """After the first turn, a title by the model of the role "small", recorded; "" where that
        role has no model of its own, or its model does not manage.

        Without such a model a session goes by its first task, in the user's own words: main's
        model would lose what it has read, and the user would wait for a worse text.
        """
        wanted = self.turns == 1 and self.models.has_model("small")
        if self._turn is None or self._turn.stop.is_set() or not wanted:
            return ""
        try:
            small = self.models.model("small")  # itself: no other one is to do it in its place
            if self.models.current("small") == self.models.current():
                return ""
            title = write_title(
                small,
                self.services.prompts,
                self._turn.prompt,
                TITLE_SECONDS,
                self.recorder.aside,
            )
            if title:
                self.recorder.append(SessionTitled(title))
        except LocalAgentError:
            return ""
        return title

    def answer(
        self,
        question: int,
        allowed: bool,
        reason: str = "",
        *,
        remember: bool = False,
        edited: str = "",
    ) -> None:
        """Answer a `Question` before the next event is pulled; see `agent.turn.Answer`."""
        if self._turn is not None:
            self._turn.answers[question] = Answer(allowed, reason, remember, edited)

    def remembers(self, question: int) -> tuple[str, ...]:
        """What "remember" would allow for an open question, one line each; nothing where it cannot
        be remembered."""
        asked = None if self._turn is None else self._turn.questions.get(question)
        return self.services.gate.rememberable(*asked) if asked else ()

    def cancel(self) -> None:
        """Stop the running turn, or the next one where none runs; it ends with the outcome
        "interrupted"."""
        self._stop.set()
        self.models.cancel()

    def go_on(self) -> None:
        """What was stopped while no turn ran does not stop the next one."""
        self._stop = threading.Event()

    def close(self) -> None:
        """Free the models, the sandbox, the workspace's lock and the transcript."""
        try:
            self.models.close()
            self.services.index.close()
            self.services.sandbox.close()
            for event in self._refused():  # what nobody pulls any more is recorded all the same
                self.recorder.append(event)
        finally:
            self.leave()
            if self.lock is not None:
                self.lock.release()

    def leave(self) -> None:
        """Finish the transcript only: another session goes on with the models, the sandbox, the
        index and the workspace's lock. One in which nothing was said leaves nothing behind."""
        if self._announced or self.started.resumed:
            self.recorder.close()
        else:
            self.recorder.discard()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _messages(request: Request) -> int:
    """How many messages a prompt has."""
    return 1 if isinstance(request.prompt, Infill) else len(request.prompt)
