"""A session: one conversation in one workspace, as a stream of events.

    with open_session(Project.open(directory)) as session:
        for event in session.run("fix the failing test"):
            if isinstance(event, Question):
                session.answer(event.id, allowed=True)

`run` records each event in the transcript before it yields the event. Of all methods, only `cancel`
may be called from another thread or a signal handler.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain

from localagent.agent.intent import classify
from localagent.agent.loop import (
    run_best,
    run_command,
    run_nothing,
    run_project_check,
    run_turn,
)
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
    Question,
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
from localagent.models.base import Infill, ModelInfo, RawText, Reading, Request
from localagent.models.router import MAIN, Router
from localagent.project.project import Project
from localagent.session.recorders import Recorders, WorkspaceUndo

TITLE_SECONDS = 20.0  # time limit for writing a title


_Events = Generator[Event, None, None]


@dataclass
class Session:
    """One conversation in one workspace; `session.factory.open_session` builds a session.

    `journal_for` makes the journal of the turn with a given number. `planner` is the name of the
    planner; "" means the planner in the model's profile. `warnings` are shown before the first
    turn. `lock` is None if another session holds the workspace. `unfinished` is the prompt of the
    last turn if that turn did not finish, or "". `steering` returns the messages that the user has
    sent since its last call. `task_files` are the files from which the next task's text was taken,
    each with its SHA-256.
    """

    project: Project
    started: SessionStarted
    services: Services
    models: Router
    planner: str
    planner_for: Callable[[str], Planner]
    recorder: Recorders
    journal_for: Callable[[int], Journal]
    undoing: WorkspaceUndo
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
    task_files: list[tuple[str, str]] = field(default_factory=list)
    _turn: Turn | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _announced: bool = False
    _running: bool = False
    _requested_model: str = ""
    _mode: Mode = "ask"  # the mode of the last recorded event
    _refused: set[tuple[str, str]] = field(default_factory=set)  # as in Turn

    @property
    def id(self) -> str:
        """The session's id."""
        return self.started.session

    @property
    def resumable(self) -> bool:
        """Whether the transcript has events; without any, it is deleted when the session ends."""
        return self._announced or self.started.resumed

    @property
    def conversation(self) -> list[Message]:
        """The messages so far."""
        return self.talk.messages

    def run(self, prompt: str, typed: str = "") -> Iterator[Event]:
        """Run one turn, which ends with TurnFinished; `typed` is as in `TurnRequest`.

        "run the tests" runs the project's check, and "thanks" runs nothing; both ask no model.
        """
        kind = classify(prompt)
        if kind == "check":
            return self.run_check(prompt, share=True)
        if kind == "nothing" and not self._asks_user():
            return self._carried_out(prompt, run_nothing, "task")
        return self._carried_out(prompt, self._with_planner, "task", typed)

    def _asks_user(self) -> bool:
        """Whether the last message asks the user, so that "ok" is an answer."""
        last = self.conversation[-1:]
        return any(m.role == "assistant" and m.content.rstrip().endswith("?") for m in last)

    def run_command(self, line: str, *, share: bool = True) -> Iterator[Event]:
        """Run the user's command in the sandbox, as a turn without a model.

        Undo also takes back the command's changes. With `share`, the command's output is added to
        the conversation.
        """
        return self._carried_out(line, partial(run_command, share=share), "command")

    def run_check(self, line: str, *, share: bool = False) -> Iterator[Event]:
        """Run the project's check, as a turn without a model; `line` is the user's input.

        With `share`, the output of a failing check is added to the conversation.
        """
        return self._carried_out(line, partial(run_project_check, share=share), "check")

    def apply_best(self, line: str) -> Iterator[Event]:
        """Apply the best change of the last turn's search, as a turn; `line` is the user's input.

        Raises UsageError if the last turn has none.
        """
        best = self._turn.ledger.best if self._turn else ()
        if not best:
            raise UsageError(
                "the last turn left no best change",
                "a search leaves one that fixes some failing tests, but not all",
            )
        return self._carried_out(line, partial(run_best, best=best), "task")

    def run_step(self, prompt: str, *, last: bool) -> Iterator[Event]:
        """Run a step of a plan. After the `last` step, the check must pass.

        After any other step, all tests that passed before must still pass.
        """
        kind: TurnKind = "last-step" if last else "step"
        return self._carried_out(prompt, self._with_planner, kind)

    def run_plan(self, task: str) -> Iterator[Event]:
        """Write a plan for a task, as a turn that changes no file."""
        return self._carried_out(task, partial(run_turn, planner=MakePlan()), "plan")

    def _with_planner(self, turn: Turn) -> _Events:
        """Run `turn` with the session's planner."""
        return run_turn(turn, self.planner_for(self._planner_name()))

    @property
    def plan(self) -> PlanChanged | None:
        """The present plan, or None."""
        return self.talk.plan

    def set_plan(self, task: str, steps: Sequence[PlanStep]) -> Iterator[Event]:
        """Replace the plan, or the states of its steps."""
        return self._recorded(chain(self._opening(), [PlanChanged(task, list(steps))]))

    def _carried_out(
        self, prompt: str, carry_out: Callable[[Turn], _Events], kind: TurnKind, typed: str = ""
    ) -> _Events:
        self._running = True
        try:
            yield from self._recorded(self._events(prompt, carry_out, kind, typed))
        finally:
            self._running = False
            self._stop = threading.Event()

    def _recorded(self, events: Iterator[Event]) -> _Events:
        """Record and yield each event, preceded by events that other parts have caused since."""
        for event in events:
            before = (*self._switched(), *self._mode_changed(), *self._blocked())
            for each in (*before, event):
                self.recorder.append(self._without_secrets(each))
                self.talk.record(each)
                self._forget_exchange(each)
                yield each

    def _without_secrets(self, event: Event) -> Event:
        """The event as the records keep it: the user sees the exact preview of a question."""
        if isinstance(event, Question):
            return replace(event, preview=self.services.redactor.redact(event.preview))
        return event

    def begin(self) -> Iterator[Event]:
        """Start the session without a turn. If it has already started, there is no event."""
        return self._recorded(self._opening())

    def _opening(self) -> Iterator[Event]:
        """Yield SessionStarted and the warnings, unless an earlier call did so."""
        if not self._announced:
            yield self.started
            self._announced = True
            yield from (Warned(text) for text in (*self.warnings, *self.extension_warnings))

    def _events(
        self, prompt: str, carry_out: Callable[[Turn], _Events], kind: TurnKind, typed: str
    ) -> Iterator[Event]:
        yield from self._opening()
        yield from self._switch_now()
        self.turns += 1
        if kind != "command":
            self.services.index.refresh()
            if warning := self.services.index.warning():
                yield Warned(warning)
        self._turn = Turn(
            services=replace(self.services, journal=self.journal_for(self.turns)),
            request=TurnRequest(
                self.turns, prompt, self.check, list(self.conversation), kind, self.seed, typed
            ),
            limits=self.limits,
            ledger=Ledger(exchange=self._turn.ledger.exchange if self._turn else None),
            stop=self._stop,
            steering=self.steering,
            refused=self._refused,
        )
        for path, digest in self.task_files:
            self._turn.ledger.record_file(path, digest)
        self.task_files.clear()
        yield from carry_out(self._turn)

    def warm_up(self, progress: Callable[[int, int], None] = lambda _done, _total: None) -> None:
        """Load the model and let it read the known beginning of the next prompt.

        Returns when the model has read the text, or after `models.cancel`. `progress` is called
        with the number of tokens read so far and the total. Raises the errors of a model's
        `generate`.
        """
        with contextlib.closing(self.services.model.generate_all([self._ahead()])) as chunks:
            for _, chunk in chunks:
                if isinstance(chunk, Reading):
                    progress(chunk.done, chunk.total)

    def _ahead(self) -> Request:
        """A request with the known beginning of the next prompt, and without a reply."""
        planner = self.planner_for(self._planner_name())
        messages = tuple(planner.opening(self.services, self.conversation))
        tools = planner.tools(self.services)
        request = Request(messages, max_tokens=0, fixed=1, tools=tools)
        return redact_request(request, self.services.redactor)

    def window(self) -> Window:
        """The contents of the model's context window: the last request with its reply.

        If the conversation has changed since that request, these are the contents of the known
        beginning of the next prompt. Raises the errors of a model's `count`.
        """
        ahead = self._ahead()
        exchange = self._turn.ledger.exchange if self._turn else None
        if exchange is None or _messages(ahead) > _messages(exchange.request) + 1:
            parts = [part for m in self.conversation if m.asked for part in m.asked.parts]
            exchange = Exchange(ahead, self.services.model, texts=kinds_of(parts))
        return window_of(exchange, self.services)

    def _forget_exchange(self, event: Event) -> None:
        """Drop the last exchange with the model if `event` makes it outdated."""
        switched = isinstance(event, ModelSwitched) and event.role == MAIN
        if self._turn and (switched or isinstance(event, ConversationReplaced | Rewound)):
            self._turn.ledger.exchange = None

    def undo(
        self, which: str | None = None, *, force: bool = False, again: bool = False
    ) -> Generator[Event, None, UndoResult]:
        """Undo a turn (default: the last turn with changes); with `again`, redo it.

        `which` selects the turn as in `checkpoints.undo.undo`. A message about the changed files is
        added to the conversation. Raises UsageError, WorkspaceError.
        """
        done = (self.undoing.redo if again else self.undoing.undo)(which, force)
        yield from self._recorded(chain(self._opening(), self._undone(done, again)))
        return done

    def _undone(self, done: UndoResult, again: bool) -> Iterator[Event]:
        files = [change.path for change in done.changed]
        yield ChangesUndone(done.session, done.turn, files, again)
        if self.conversation and files:
            name = "react/done-again" if again else "react/undone"
            text = self.services.prompts.render(name, files=", ".join(files))
            yield MessageAdded("user", text)

    def rewind(self, turn: int | None = None) -> Generator[Event, None, TurnStart]:
        """Restore files and conversation to their state before a turn (default: the last turn).

        Returns the start of that turn. Raises UsageError if the turn is not in the conversation.
        Raises WorkspaceError, and restores nothing, if one of the files has changed since.
        """
        start = self.start_of(turn)
        done = self.undoing.back_to(start.turn)
        rewound = Rewound(start.turn, [f"{each.session}:{each.turn}" for each in done])
        yield from self._recorded(chain(self._opening(), [rewound]))
        return start

    def start_of(self, turn: int | None = None) -> TurnStart:
        """The start of a turn in the conversation (default: the last turn). Raises UsageError."""
        turns = self.talk.turns
        if not turns:
            raise UsageError("no turn to go back to")
        start = turns[-1] if turn is None else next((t for t in turns if t.turn == turn), None)
        if start is None:
            known = ", ".join(str(t.turn) for t in turns)
            raise UsageError(f"cannot go back to turn {turn}", f"the possible turns are: {known}")
        return start

    def compact(self) -> Generator[Event, None, bool]:
        """Compact the conversation now. Returns False if the conversation is too short."""
        planner = self.planner_for(self._planner_name())
        tasks = [
            turn.at
            for turn in self.talk.turns
            if turn.kind not in ("command", "check") and turn.at < len(self.conversation)
        ]
        shorter = planner.compact(self.services, self.conversation, tasks[-1] if tasks else 0)
        if shorter is None:
            return False
        yield from self.replace_conversation(
            [{"role": m.role, "content": m.content} for m in shorter]
        )
        return True

    def replace_conversation(self, messages: list[dict[str, str]]) -> _Events:
        """Replace the whole conversation by `messages`, in the form of `ConversationReplaced`."""
        return self._recorded(chain(self._opening(), [ConversationReplaced(messages)]))

    def switch(self, model_id: str) -> ModelInfo:
        """Switch to another model in models.lock: now or, if a turn is running, after that turn.

        The conversation stays. Raises UsageError for an unknown id. If no turn is running, also
        raises ModelNotInstalled and BackendError. After an error, the old model stays in use.
        """
        if self._running:
            info = self.models.known(model_id)
            self._requested_model = model_id
            return info
        return self.models.switch(model_id)

    def _switch_now(self) -> Iterator[Event]:
        """Switch to the model that the user requested during the last turn, if any."""
        model_id, self._requested_model = self._requested_model, ""
        if model_id:
            try:
                self.models.switch(model_id)
            except LocalAgentError as error:
                yield Warned(f"{error.message}; the model is still {self.models.current()}")

    def _switched(self) -> list[Event]:
        """The model switches since the last event; none before the session has started."""
        made = self.models.drain_switches() if self._announced else []
        return [
            ModelSwitched(s.role, s.info.id, s.info.sha256, self._planner_name(), s.why)
            for s in made
        ]

    def _mode_changed(self) -> list[Event]:
        """The mode change since the last event; none before the session has started."""
        mode = self.mode
        if not self._announced or mode == self._mode:
            return []
        self._mode = mode
        return [ModeChanged(mode)]

    @property
    def mode(self) -> Mode:
        """The session's mode: which actions need no question. `services.gate` sets the mode."""
        return self.services.gate.mode

    def _blocked(self) -> list[Event]:
        """The connections that the egress lock and the sandbox blocked since the last event."""
        events: list[Event] = []
        for blocked in BLOCKED.drain() if self._announced else ():
            events.append(Blocked("network", f"{blocked.action} {blocked.target}", blocked.origin))
            events.append(Warned(f"the {blocked.guard} refused to {blocked}"))
        return events

    def _planner_name(self) -> str:
        return self.planner or self.models.info(MAIN).profile.planner

    def write_title(self) -> str:
        """Let the model of the role "small" write a title after the first turn, and record it.

        Returns "" if that role has no model of its own, or if the model fails. The list of sessions
        then shows the first task. The main model is not used, because it would lose its KV cache.
        """
        is_due = self.turns == 1 and self.models.has_model("small")
        if self._turn is None or self._turn.stop.is_set() or not is_due:
            return ""
        try:
            small = self.models.model("small")  # the model below must not be a fallback
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
        """Answer a `Question`. Call this before you take the next event from `run`."""
        if self._turn is not None:
            self._turn.answers[question] = Answer(allowed, reason, remember, edited)

    def remembers(self, question: int) -> tuple[str, ...]:
        """The grants that an answer with `remember` would store, in words; () if none."""
        asked = None if self._turn is None else self._turn.questions.get(question)
        return self.services.gate.rememberable(*asked) if asked else ()

    def cancel(self) -> None:
        """Stop the running turn or, if none runs, the next turn. Its outcome is "interrupted"."""
        self._stop.set()
        self.models.cancel()

    def go_on(self) -> None:
        """Withdraw a `cancel` that came between turns, so that the next turn runs."""
        self._stop = threading.Event()

    def close(self) -> None:
        """Close the models, index, sandbox and recorder, and release the workspace's lock."""
        try:
            self.models.close()
            self.services.index.close()
            self.services.sandbox.close()
            for event in self._blocked():  # those since the end of the last turn
                self.recorder.append(event)
        finally:
            self.leave()
            if self.lock is not None:
                self.lock.release()

    def leave(self) -> None:
        """Close only the recorder, because another session takes over all other parts.

        The transcript of a session without events is deleted.
        """
        if self.resumable:
            self.recorder.close()
        else:
            self.recorder.discard()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _messages(request: Request) -> int:
    """The number of messages in a request's prompt."""
    prompt = request.prompt
    return 1 if isinstance(prompt, Infill | RawText) else len(prompt)
