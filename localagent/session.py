"""A session: one conversation in one workspace, as a stream of events.

    with open_session(options) as session:
        for event in session.run("fix the failing test"):
            if isinstance(event, Question):
                session.answer(event.id, allowed=True)

`run` records every event in the transcript before it hands it out. `cancel` is the one method that
may be called from another thread or a signal handler.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from localagent.agent.loop import run_turn
from localagent.agent.planners.base import Planner
from localagent.agent.title import write_title
from localagent.agent.turn import Answer, Journal, Limits, Services, Turn
from localagent.errors import LocalAgentError
from localagent.events import (
    Blocked,
    Event,
    MessageAdded,
    Mode,
    ModeChanged,
    ModelSwitched,
    SessionStarted,
    SessionTitled,
    Warned,
)
from localagent.guard.attempts import ATTEMPTS
from localagent.journal.workspace_lock import WorkspaceLock
from localagent.messages import Message
from localagent.models.base import ModelInfo
from localagent.models.router import MAIN, Router

# A title is worth no more waiting than this, in seconds.
TITLE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the user asked for on the command line; None means: as the settings say.

    `scripted` names a file of scripted replies that takes the model's place.
    """

    workspace: Path
    model: str | None = None
    planner: str | None = None
    check: str | None = None
    yes: bool = False
    max_seconds: float | None = None
    max_tokens: int | None = None
    resume: str | None = None
    seed: int = 0
    sandbox: str | None = None
    interactive: bool = False
    scripted: Path | None = None
    mode: Mode | None = None


class Recorder(Protocol):
    """Where events are kept."""

    def append(self, event: Event) -> None:
        """Keep one event."""

    def close(self) -> None:
        """Finish writing."""


@dataclass
class Session:
    """One conversation. Built by `app.open_session`; `services.journal` is replaced each turn by
    what `journal_for` gives for the turn's number. `warnings` are said with the first turn.

    Each turn is planned by `planner`, or where that is "" as the profile of the model says.

    `lock` is the workspace's, None where another session holds it.
    `unfinished` is the prompt of a resumed session whose last turn did not end, or "".
    """

    started: SessionStarted
    services: Services
    models: Router
    planner: str
    planner_for: Callable[[str], Planner]
    recorder: Recorder
    journal_for: Callable[[int], Journal]
    on_close: Callable[[], None]
    lock: WorkspaceLock | None = None
    limits: Limits = field(default_factory=Limits)
    check: str = ""
    seed: int = 0
    turns: int = 0
    conversation: list[Message] = field(default_factory=list)
    unfinished: str = ""
    warnings: list[str] = field(default_factory=list)
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

    def run(self, prompt: str) -> Iterator[Event]:
        """Carry out one turn. The last event is TurnFinished, unless our own code fails."""
        self._running = True
        try:
            for event in self._events(prompt):
                before = (*self._switched(), *self._mode_changed(), *self._refused())
                for each in (*before, event):
                    self.recorder.append(each)
                    if isinstance(each, MessageAdded):
                        self.conversation.append(Message(each.role, each.content))
                    yield each
        finally:
            self._running = False
            # What stopped this turn does not stop the next one.
            self._stop = threading.Event()

    def _events(self, prompt: str) -> Iterator[Event]:
        if not self._announced:
            yield self.started
            self._announced = True
            yield from (Warned(text) for text in self.warnings)
        yield from self._switch_now()
        self.turns += 1
        self.services.index.refresh()
        if notice := self.services.index.notice():
            yield Warned(notice)
        self._turn = Turn(
            services=replace(self.services, journal=self.journal_for(self.turns)),
            number=self.turns,
            prompt=prompt,
            check=self.check,
            conversation=list(self.conversation),
            limits=self.limits,
            seed=self.seed,
            stop=self._stop,
        )
        yield from run_turn(self._turn, self.planner_for(self._planner_name()))

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
        made = self.models.switches() if self._announced else []
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
        """What the egress lock refused since the last event, for the audit log and for people."""
        found: list[Event] = []
        for attempt in ATTEMPTS.untold() if self._announced else ():
            asked = f"{attempt.code}, thread {attempt.thread}"
            found.append(Blocked("network", f"{attempt.what} {attempt.where}", asked))
            found.append(Warned(f"the egress lock refused to {attempt}"))
        return found

    def _planner_name(self) -> str:
        return self.planner or self.models.info(MAIN).profile.planner

    def write_title(self) -> str:
        """After the first turn, a title by the model of the role "small", recorded; "" where that
        role has no model of its own, or its model does not manage.

        Without such a model a session goes by its first task, in the user's own words: main's
        model would lose what it has read, and the user would wait for a worse text.
        """
        wanted = self.turns == 1 and self.models.has_own("small")
        if self._turn is None or self._turn.stop.is_set() or not wanted:
            return ""
        try:
            small = self.models.model("small")  # itself: no other one is to do it in its place
            if self.models.current("small") == self.models.current():
                return ""
            title = write_title(small, self.services.prompts, self._turn.prompt, TITLE_SECONDS)
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
        asked = None if self._turn is None else self._turn.asked.get(question)
        return self.services.gate.rememberable(*asked) if asked else ()

    def cancel(self) -> None:
        """Stop the running turn, or the next one where none runs; it ends with the outcome
        "interrupted"."""
        self._stop.set()
        self.models.cancel()

    def close(self) -> None:
        """Free the models, the sandbox, the workspace's lock and the transcript."""
        try:
            self.models.close()
            self.services.index.close()
            self.services.sandbox.close()
            for event in self._refused():  # what nobody pulls any more is recorded all the same
                self.recorder.append(event)
        finally:
            self.recorder.close()
            self.on_close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
