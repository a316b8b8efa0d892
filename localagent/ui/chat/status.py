"""How things stand in a session, followed event by event, for the status line."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from localagent.core.events import (
    CheckFinished,
    CheckStarted,
    Event,
    ModelAsked,
    ModelReading,
    ModelReplied,
    Step,
    TextDelta,
    ToolCalled,
    ToolReturned,
    TurnFinished,
    TurnStarted,
)
from localagent.models.base import ModelInfo
from localagent.ui.view.format import tests

BRANCH_SECONDS = 2.0
"""Between two looks at which branch is checked out."""


@dataclass
class StatusTracker:
    """Takes note of events with `see`; read from other threads without a lock, as each field is
    replaced as a whole."""

    window_used: int = 0
    reused: int = 0
    tokens_per_second: float = 0.0
    check: str = ""
    doing: str = ""
    reading: float | None = None
    seconds_left: float | None = None
    _began: float | None = None
    _took: float = 0.0
    _prompt_tokens: int = 0
    _written: dict[int, int] = field(default_factory=dict)
    _writing_since: float = 0.0

    @property
    def seconds(self) -> float:
        """How long the running turn has taken, or the last one took."""
        return self._took if self._began is None else time.monotonic() - self._began

    def see(self, event: Event) -> None:
        """Take note of one event."""
        if isinstance(event, TurnStarted):
            self._began, self.doing = time.monotonic(), "working"
        elif isinstance(event, Step):
            self.doing = event.detail or event.name
        elif isinstance(event, ToolCalled):
            self.doing = event.tool
        elif isinstance(event, ToolReturned):
            self.doing = "working"
        elif isinstance(event, CheckStarted):
            self.doing = f"checking: {event.command}"
        elif isinstance(event, CheckFinished):
            counted = tests(event.tests_passed, event.tests_failed)
            self.check = counted or ("passed" if event.ok else f"exit code {event.exit_code}")
            self.doing = "working"
        elif isinstance(event, TurnFinished):
            self.rest()
        else:
            self._see_model(event)

    def warming(self, done: int, total: int) -> None:
        """The model is loaded, or reads what comes first."""
        if self._began is None:
            self._began = time.monotonic()
        self.doing = "reading ahead" if total else "loading the model"
        self.reading = done / total if total > done else None

    def warmed(self) -> None:
        """That is done; it counts for no turn."""
        self._began, self.doing, self.reading = None, "", None

    def rest(self) -> None:
        """Nothing runs any more."""
        if self._began is not None:
            self._took = time.monotonic() - self._began
        self._began, self.doing = None, ""
        self.reading = self.seconds_left = None

    def _see_model(self, event: Event) -> None:
        if isinstance(event, ModelAsked):
            if event.stream == 0:
                self._written, self._writing_since = {}, 0.0
            self.reading = None
        elif isinstance(event, ModelReading):
            self._prompt_tokens, self.reused = event.total, event.reused
            self.window_used = event.done
            done = event.done >= event.total
            self.reading = None if done else event.done / event.total
            self.seconds_left = None if done else event.seconds_left
        elif isinstance(event, TextDelta):
            self._see_text(event.stream)
        elif isinstance(event, ModelReplied):
            self.window_used = event.prompt_tokens + event.completion_tokens
            self.reused = event.reused_tokens
            if event.decode_seconds > 0:
                self.tokens_per_second = event.completion_tokens / event.decode_seconds

    def _see_text(self, stream: int) -> None:
        """A piece of a reply is about a token."""
        now = time.monotonic()
        if not self._writing_since:
            self._writing_since = now
        self._written[stream] = self._written.get(stream, 0) + 1
        self.window_used = self._prompt_tokens + self._written[stream]
        if now - self._writing_since > 0.5:
            self.tokens_per_second = sum(self._written.values()) / (now - self._writing_since)


def where_it_runs(info: ModelInfo) -> str:
    """Where a model runs: "gpu" or "cpu", or the backend where that is not known."""
    if info.backend != "llamacpp":
        return info.backend
    from localagent.models.llamacpp.process import backends

    return "gpu" if backends() else "cpu"


class Branch:
    """The branch that is checked out in a workspace, looked up in git's own file now and then."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known = ""
        self._looked = float("-inf")

    def name(self) -> str:
        """Its name, the beginning of a commit's id where none is checked out, or ""."""
        now = time.monotonic()
        if now - self._looked > BRANCH_SECONDS:
            self._looked = now
            self._known = _branch(self._root)
        return self._known


def _branch(root: Path) -> str:
    for folder in (root, *root.parents):
        git = folder / ".git"
        try:
            if git.is_file():  # a work tree or submodule: "gitdir: PATH"
                told = git.read_text(encoding="utf-8", errors="replace")
                git = folder / told.removeprefix("gitdir:").strip()
            head = (git / "HEAD").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            continue
        return head.removeprefix("ref: refs/heads/") if head.startswith("ref: ") else head[:8]
    return ""
