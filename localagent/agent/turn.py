"""One turn: what the user asked for, the services that carry it out, and the running tally.

`Services` are protocols; the composition root (`app`) fills them in. A `Turn` is the one mutable
thing that the functions of `agent/` share, and lives as long as the turn.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from localagent.context.builder import text_of
from localagent.context.prompts import Prompts
from localagent.context.rules import Rules
from localagent.core.changes import Change
from localagent.core.errors import Interrupted, LimitReached
from localagent.core.events import Answer as Answer  # of a Question
from localagent.core.events import FileChanged, FileRead, Mode, TurnKind, Warned
from localagent.core.messages import Message
from localagent.index.base import Index
from localagent.models.base import Model, Request, Usage
from localagent.redaction.redactor import Marks
from localagent.sandbox.base import Sandbox
from localagent.tools.base import Effect, Tool
from localagent.workspace.workspace import Workspace


class Verdict(Protocol):
    """What the permission rules say of one action, which rule, and why."""

    @property
    def action(self) -> Literal["allow", "ask", "deny"]:
        """What is to be done."""

    @property
    def by(self) -> str:
        """Who decided: "rule", "flag", "named", "nobody", …"""

    @property
    def reason(self) -> str:
        """Why, for a person."""


class Gate(Protocol):
    """The permission rules, with the session's flags already applied."""

    @property
    def mode(self) -> Mode:
        """How much may be done without asking."""

    def set_mode(self, mode: Mode) -> None:
        """Judge by another mode from now on; from any thread. Raises UsageError for one that is
        not possible here."""

    def possible(self) -> tuple[Mode, ...]:
        """The modes that are possible here, the strictest first."""

    def decide(self, tool: str, effect: Effect, subject: str, named: frozenset[str]) -> Verdict:
        """May `tool` act on `subject` (a path or a command)? `named` are the paths in the task."""

    def rememberable(self, effect: Effect, subject: str) -> tuple[str, ...]:
        """What exactly would be remembered of an action, one line each; nothing where it cannot
        be, as its effect cannot be told from the command."""

    def remember(self, effect: Effect, subject: str) -> None:
        """Do not ask for exactly this again in this workspace. Raises WorkspaceError."""


class Journal(Protocol):
    """The only way to change the workspace: keeps what was there, then writes."""

    def apply(self, changes: Sequence[Change]) -> list[FileChanged]:
        """Carry out `changes`; returns what changed in their order."""


@dataclass(frozen=True, slots=True)
class Services:
    """What a turn works with. `planning` makes the choices while the work is planned; None: as
    `model`. `marks` hides secrets from the model."""

    model: Model
    workspace: Workspace
    index: Index
    sandbox: Sandbox
    tools: Mapping[str, Tool]
    gate: Gate
    journal: Journal
    prompts: Prompts
    interactive: bool = False
    check_seconds: float = 120.0
    planning: Model | None = None
    marks: Marks = field(default_factory=Marks)
    rules: Rules = field(default_factory=Rules)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, which model it went to, and what it and the reply to it took. `shown` are texts
    that it was made of, and what they are."""

    request: Request
    model: Model
    usage: Usage = field(default_factory=Usage)
    shown: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Limits:
    """The user's limits: wall-clock seconds and generated tokens; None means no limit."""

    seconds: float | None = None
    tokens: int | None = None


@dataclass
class Turn:
    """One request of the user, and what it has cost so far.

    `asked` holds what the questions are about, `answers` the front end's answers, both by question
    id. `conversation` are the messages of the session up to this turn. `steering` gives what the
    user has said meanwhile, each text once; a planner that can takes it up between two steps.
    `check` is the command that the user named, or "". `kind` says what the user wants. `exchange`
    is the last one with a model, also of an earlier turn. `waited` are the seconds that the user
    took to answer, which a turn's time leaves out. `shown` are texts that its prompts are
    made of, and what they are.
    """

    services: Services
    number: int
    prompt: str
    check: str
    conversation: list[Message]
    limits: Limits = field(default_factory=Limits)
    seed: int = 0
    kind: TurnKind = "task"
    stop: threading.Event = field(default_factory=threading.Event)
    steering: Callable[[], list[str]] = list
    asked: dict[int, tuple[Effect, str]] = field(default_factory=dict)
    answers: dict[int, Answer] = field(default_factory=dict)
    named: frozenset[str] = frozenset()
    started: float = field(default_factory=time.monotonic)
    waited: float = 0.0
    usage: Usage = field(default_factory=Usage)
    changed: list[str] = field(default_factory=list)
    read_rate: float = 0.0
    counters: dict[str, int] = field(default_factory=dict)
    exchange: Exchange | None = None
    shown: dict[str, str] = field(default_factory=dict)
    _seen: dict[tuple[str, str], bool] = field(default_factory=dict)

    def next(self, counter: str) -> int:
        """The next number of a counter, from 1."""
        self.counters[counter] = self.counters.get(counter, 0) + 1
        return self.counters[counter]

    def saw(self, path: str, sha256: str) -> None:
        """Take down that the model is shown the file of this hash, or a part of it, which need not
        show the secrets in it by their form."""
        if (path, sha256) not in self._seen:
            self.read(path, sha256)
            self.services.marks.learn(text_of(self.services.workspace, path))

    def read(self, path: str, sha256: str) -> None:
        """Take down that a prompt is made of the file of this hash, or a part of it."""
        self._seen.setdefault((path, sha256), False)

    def shows(self, kind: str, text: str) -> None:
        """Take down what a part of a prompt is, for `agent.window`."""
        if text:
            self.shown[text] = kind

    def seen(self) -> list[FileRead]:
        """The files that the model is shown, as far as an earlier call has not told of them; the
        same content counts once a turn."""
        for path, digest in (*self.services.prompts.untold(), *self.services.rules.untold()):
            self.read(path, digest)
        new = [key for key, told in self._seen.items() if not told]
        self._seen.update(dict.fromkeys(new, True))
        return [FileRead(path, digest) for path, digest in new]

    def hidden(self) -> list[Warned]:
        """What to tell the user of what was hidden from the model since the last call."""
        told = self.services.marks.untold()
        return [Warned(f"hidden from the model: {told}")] if told else []

    def seconds_left(self) -> float | None:
        """Seconds until the user's limit, or None; may be negative."""
        if self.limits.seconds is None:
            return None
        return self.limits.seconds - (time.monotonic() - self.started)

    def tokens_left(self) -> int | None:
        """Tokens that may still be generated, or None."""
        if self.limits.tokens is None:
            return None
        return self.limits.tokens - self.usage.completion_tokens

    def ensure_within_limits(self) -> None:
        """Raise Interrupted or LimitReached where the turn has to end now."""
        if self.stop.is_set():
            raise Interrupted("stopped by the user")
        seconds = self.seconds_left()
        if seconds is not None and seconds <= 0:
            raise LimitReached(
                f"the time limit of {self.limits.seconds:g} s is reached",
                "raise --max-seconds, or ask for less at once",
            )
        tokens = self.tokens_left()
        if tokens is not None and tokens <= 0:
            raise LimitReached(
                f"the limit of {self.limits.tokens} generated tokens is reached",
                "raise --max-tokens, or ask for less at once",
            )

    def add(self, usage: Usage) -> None:
        """Add one generation to the tally."""
        mine = self.usage
        self.usage = Usage(
            mine.prompt_tokens + usage.prompt_tokens,
            mine.reused_tokens + usage.reused_tokens,
            mine.completion_tokens + usage.completion_tokens,
            mine.prefill_seconds + usage.prefill_seconds,
            mine.decode_seconds + usage.decode_seconds,
        )
