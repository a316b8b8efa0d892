"""One turn: the user's request, its limits, its services, and a ledger of the turn's usage.

The fields of `Services` are protocols; the composition root (`session.factory`) supplies their
implementations. A `Turn` is the one mutable object that the functions of `agent/` share. It exists
only during its turn.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from localagent.context.builder import text_of
from localagent.context.prompts import Prompts
from localagent.context.rules import PromptRules
from localagent.core.changes import Change
from localagent.core.errors import Interrupted, LimitReached
from localagent.core.events import Answer as Answer  # the effect of a Question
from localagent.core.events import FileChanged, FileRead, Mode, TurnKind, Warned
from localagent.core.messages import Message
from localagent.index.base import Index
from localagent.models.base import Model, Request, Usage
from localagent.redaction.redactor import Redactor
from localagent.sandbox.base import Sandbox
from localagent.tools.base import Effect, Tool
from localagent.workspace.workspace import Workspace


class GateVerdict(Protocol):
    """The verdict of the permission rules on one action."""

    @property
    def action(self) -> Literal["allow", "ask", "deny"]:
        """Whether the action is allowed, refused, or needs a question to the user."""

    @property
    def by(self) -> str:
        """Who decided: "rule", "flag", "named", "nobody", …"""

    @property
    def reason(self) -> str:
        """The reason for the verdict, in words for the user."""


class Gate(Protocol):
    """The permission rules, with the session's flags applied."""

    @property
    def mode(self) -> Mode:
        """The permission mode: how much the agent does without asking the user."""

    def set_mode(self, mode: Mode) -> None:
        """Change the mode, from any thread. Raises UsageError for an unavailable mode."""

    def possible(self) -> tuple[Mode, ...]:
        """The modes that are available in this workspace, the strictest first."""

    def decide(
        self,
        tool: str,
        effect: Effect,
        subject: str,
        named: frozenset[str],
        *,
        entered: bool = False,
    ) -> GateVerdict:
        """Whether `tool` may act on `subject`, a path or command; `named` are the task's paths.

        `entered` says that a command that the user entered causes the action, so the mode does not
        count.
        """

    def runs_later(self, path: str) -> bool:
        """Whether other programs run or obey the file at `path`."""

    def rememberable(self, effect: Effect, subject: str) -> tuple[str, ...]:
        """The rules that "remember" would add, one line each; empty if their effect is unclear."""

    def remember(self, effect: Effect, subject: str) -> None:
        """Allow exactly this action from now on in this workspace. Raises WorkspaceError."""


class Journal(Protocol):
    """The only way to change the workspace: a journal saves the old content, then writes."""

    def apply(self, changes: Sequence[Change]) -> list[FileChanged]:
        """Carry out `changes`; return one event for each change, in the same order."""

    def keep_patch(self, text: str) -> Path:
        """Store a patch with the session, and return its file. Raises WorkspaceError."""


BestChange = tuple[tuple[Change, bytes | None], ...]
"""Changes of files, each with the file's content before it; None means that there was no file."""


@dataclass(frozen=True, slots=True)
class Services:
    """The services that a turn uses, such as the model, the index and the tools.

    `planning` is the model that makes a planner's choices (default: `model`). `repairing` is a
    larger model for the end of a search that `model` has not solved, None without one. `redactor`
    replaces secrets in everything that the model reads.
    """

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
    repairing: Model | None = None
    redactor: Redactor = field(default_factory=Redactor)
    rules: PromptRules = field(default_factory=PromptRules)

    def files(self) -> Sequence[str]:
        """The workspace's files; an index that is still being built lists only some of them."""
        return self.index.files() if self.index.ready() else self.workspace.files()

    def fixed_rules(self) -> str:
        """The rules that begin every prompt, or ""."""
        info = self.model.info
        return self.rules.fixed(self.prompts, info.id, self.model.count, info.profile.window)

    def with_rules(self, system: str) -> str:
        """The system prompt, followed by the rules that begin every prompt."""
        rules = self.fixed_rules()
        return f"{system}\n\n{rules}" if rules else system

    def folder_rules(self, path: str) -> str:
        """The rules of the folder of the file at `path`, or ""."""
        info = self.model.info
        return self.rules.of(path, self.prompts, info.id, self.model.count, info.profile.window)


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """The user's request, as a turn receives it.

    `conversation` holds the session's messages before this turn. `check` is the user's own check
    command, or "". `typed` is the part of the prompt in the user's own words; "" means all of it.
    """

    number: int
    prompt: str
    check: str = ""
    conversation: Sequence[Message] = ()
    kind: TurnKind = "task"
    seed: int = 0
    typed: str = ""

    @property
    def is_step(self) -> bool:
        """Whether the request is a step of a plan."""
        return self.kind in ("step", "last-step")


@dataclass(frozen=True, slots=True)
class Limits:
    """The user's limits of a turn: wall-clock seconds and generated tokens; None means no limit."""

    seconds: float | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, its model, and its reply's usage. `texts` maps parts of the prompt to their
    kinds."""

    request: Request
    model: Model
    usage: Usage = field(default_factory=Usage)
    texts: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Ledger:
    """A record of the files that the model read in a turn, and of the turn's time and tokens.

    `waited` counts the seconds of waiting for the user's answers, which are no part of the turn's
    time. `read_rate` is in prompt tokens a second. `texts` maps parts of prompts to their kinds,
    for `agent.window_usage`. `exchange` is the last exchange, possibly of an earlier turn. `best`
    is the best change of a search without success.
    """

    started: float = field(default_factory=time.monotonic)
    waited: float = 0.0
    usage: Usage = field(default_factory=Usage)
    read_rate: float = 0.0
    exchange: Exchange | None = None
    texts: dict[str, str] = field(default_factory=dict)
    best: BestChange = ()
    _counters: dict[str, int] = field(default_factory=dict)
    _files: dict[tuple[str, str], bool] = field(default_factory=dict)  # True: already reported

    def next(self, counter: str) -> int:
        """The next number of the counter with this name, from 1."""
        self._counters[counter] = self._counters.get(counter, 0) + 1
        return self._counters[counter]

    def add(self, usage: Usage) -> None:
        """Add the token usage of one generation to the totals."""
        sums = self.usage
        self.usage = Usage(
            sums.prompt_tokens + usage.prompt_tokens,
            sums.reused_tokens + usage.reused_tokens,
            sums.completion_tokens + usage.completion_tokens,
            sums.prefill_seconds + usage.prefill_seconds,
            sums.decode_seconds + usage.decode_seconds,
        )

    def record_text(self, kind: str, text: str) -> None:
        """Record the kind of text that a part of a prompt is."""
        if text:
            self.texts[text] = kind

    def record_file(self, path: str, sha256: str) -> bool:
        """Record that a prompt contains (a part of) this file version; True the first time."""
        known = (path, sha256) in self._files
        self._files.setdefault((path, sha256), False)
        return not known

    def drain_reads(self) -> list[FileRead]:
        """An event for each recorded file that no earlier call has returned."""
        new = [key for key, reported in self._files.items() if not reported]
        self._files.update(dict.fromkeys(new, True))
        return [FileRead(path, digest) for path, digest in new]


@dataclass
class Turn:
    """One request of the user while the agent carries it out.

    `steering` returns the user's messages since its last call; planners call it between two steps.
    `questions` maps the id of each open question to the question's effect and subject; the front
    end puts the answers into `answers`. `task_paths` are the source files that the task names.
    `changed` are the paths that the turn has changed, `originals` their texts before. `unprobed`
    are the checks that cannot load the probe. `refused` are the changes that the user has refused
    in this session: each file's path and the `plain_sha256` of its new text. `excluded` are failing
    tests that do not count, by id, each with the reason; see `checks.relevant_failures`.
    `required` is code that a change has to add, as the user said at a refusal.
    """

    services: Services
    request: TurnRequest
    limits: Limits = field(default_factory=Limits)
    ledger: Ledger = field(default_factory=Ledger)
    stop: threading.Event = field(default_factory=threading.Event)
    steering: Callable[[], list[str]] = list
    questions: dict[int, tuple[Effect, str]] = field(default_factory=dict)
    answers: dict[int, Answer] = field(default_factory=dict)
    task_paths: frozenset[str] = frozenset()
    changed: list[str] = field(default_factory=list)
    originals: dict[str, str] = field(default_factory=dict)
    unprobed: set[str] = field(default_factory=set)
    refused: set[tuple[str, str]] = field(default_factory=set)
    excluded: Mapping[str, str] = field(default_factory=dict)
    required: str = ""

    @property
    def prompt(self) -> str:
        """The user's request in words."""
        return self.request.prompt

    @property
    def typed(self) -> str:
        """The part of the prompt in the user's own words, without text from a pipe."""
        return self.request.typed or self.request.prompt

    @property
    def conversation(self) -> Sequence[Message]:
        """The session's messages before this turn."""
        return self.request.conversation

    def record_read(self, path: str, sha256: str) -> None:
        """Record that the model reads this version of a file; the redactor learns its secrets."""
        if self.ledger.record_file(path, sha256):
            self.services.redactor.add(text_of(self.services.workspace, path))

    def drain_reads(self) -> list[FileRead]:
        """An event for each file, prompt file and rule file read since the last call."""
        for path, digest in (
            *self.services.prompts.drain_reads(),
            *self.services.rules.drain_reads(),
        ):
            self.ledger.record_file(path, digest)
        return self.ledger.drain_reads()

    def drain_redactions(self) -> list[Warned]:
        """A warning about the secrets redacted since the last call; empty if none were redacted."""
        redacted = self.services.redactor.drain()
        return [Warned(f"hidden from the model: {redacted}")] if redacted else []

    def folder_rules(self, path: str) -> str:
        """The rules of the folder of the file at `path`, or ""; the rules are recorded as read."""
        text = self.services.folder_rules(path)
        if text:
            self.ledger.record_file(*self.services.rules.file_of(path))
        return text

    def drain_rule_warnings(self, path: str = "") -> Iterator[Warned]:
        """New warnings about the fixed rules and about the folder rules for `path`, each once."""
        self.services.fixed_rules()
        if path:
            self.services.folder_rules(path)
        yield from (Warned(text) for text in self.services.rules.drain_warnings())

    def seconds_left(self) -> float | None:
        """Seconds until the user's time limit; negative after the limit, None without a limit."""
        if self.limits.seconds is None:
            return None
        return self.limits.seconds - (time.monotonic() - self.ledger.started)

    def tokens_left(self) -> int | None:
        """Tokens that the model may still generate, or None without a limit."""
        if self.limits.tokens is None:
            return None
        return self.limits.tokens - self.ledger.usage.completion_tokens

    def ensure_within_limits(self) -> None:
        """Raise Interrupted or LimitReached if the turn has to end now."""
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
