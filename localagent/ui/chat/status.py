"""The status of a session, tracked event by event for the status line."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from localagent.core.events import (
    CheckFinished,
    CheckStarted,
    Event,
    ModelReading,
    ModelReplied,
    ModelRequested,
    Step,
    TextDelta,
    ThoughtDelta,
    ToolCalled,
    ToolReturned,
    TurnFinished,
    TurnStarted,
)
from localagent.models.base import ModelInfo
from localagent.ui.view.format import tests
from localagent.workspace.open_below import read_below

BRANCH_SECONDS = 2.0
"""Seconds between two reads of the current branch."""


@dataclass
class StatusTracker:
    """The status of the running turn, updated by `record`.

    Other threads may read the fields without a lock, because each field is replaced as a whole.
    """

    window_used: int = 0
    reused: int = 0
    tokens_per_second: float = 0.0
    check: str = ""
    doing: str = ""
    reading: float | None = None
    seconds_left: float | None = None
    _started: float | None = None
    _last_seconds: float = 0.0
    _prompt_tokens: int = 0
    _reply_tokens: dict[int, int] = field(default_factory=dict)
    _reply_started: float = 0.0

    @property
    def seconds(self) -> float:
        """The duration of the running turn or of the last turn."""
        return self._last_seconds if self._started is None else time.monotonic() - self._started

    def record(self, event: Event) -> None:
        """Update the status by one event."""
        if isinstance(event, TurnStarted):
            self._started, self.doing = time.monotonic(), "working"
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
            self.finish()
        else:
            self._record_model(event)

    def warming_up(self, done: int, total: int) -> None:
        """Note that the model loads, or that it reads the beginning of the prompt."""
        if self._started is None:
            self._started = time.monotonic()
        self.doing = "reading ahead" if total else "loading the model"
        self.reading = done / total if total > done else None

    def warmed_up(self) -> None:
        """Note that the warm-up is over; its duration counts for no turn."""
        self._started, self.doing, self.reading = None, "", None

    def finish(self) -> None:
        """Note that the turn is over."""
        if self._started is not None:
            self._last_seconds = time.monotonic() - self._started
        self._started, self.doing = None, ""
        self.reading = self.seconds_left = None

    def _record_model(self, event: Event) -> None:
        if isinstance(event, ModelRequested):
            if event.stream == 0:
                self._reply_tokens, self._reply_started = {}, 0.0
            self.reading = None
        elif isinstance(event, ModelReading):
            self._prompt_tokens, self.reused = event.total, event.reused
            self.window_used = event.done
            done = event.done >= event.total
            self.reading = None if done else event.done / event.total
            self.seconds_left = None if done else event.seconds_left
        elif isinstance(event, TextDelta | ThoughtDelta):
            self._record_text(event.stream)
        elif isinstance(event, ModelReplied):
            self.window_used = event.prompt_tokens + event.completion_tokens
            self.reused = event.reused_tokens
            if event.decode_seconds > 0:
                self.tokens_per_second = event.completion_tokens / event.decode_seconds

    def _record_text(self, stream: int) -> None:
        """Count a piece of a reply as a token."""
        now = time.monotonic()
        if not self._reply_started:
            self._reply_started = now
        self._reply_tokens[stream] = self._reply_tokens.get(stream, 0) + 1
        self.window_used = self._prompt_tokens + self._reply_tokens[stream]
        if now - self._reply_started > 0.5:
            self.tokens_per_second = sum(self._reply_tokens.values()) / (now - self._reply_started)


def where_it_runs(info: ModelInfo) -> str:
    """Return where a model runs: "gpu", "cpu", or for other backends the backend's name."""
    if info.backend != "llamacpp":
        return info.backend
    from localagent.models.llamacpp.process import backends

    return "gpu" if backends() else "cpu"


class Branch:
    """The current branch of a workspace, read from git's HEAD file at most every two seconds."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._name = ""
        self._read_at = float("-inf")

    def name(self) -> str:
        """Return the branch's name, the start of a detached commit's id, or ""."""
        now = time.monotonic()
        if now - self._read_at > BRANCH_SECONDS:
            self._read_at = now
            self._name = _read_branch(self._root)
        return self._name


_MAX_HEAD = 4096  # bytes of the file HEAD, which a repository may replace by a device


def _read_branch(root: Path) -> str:
    for folder in (root, *root.parents):
        git = folder / ".git"
        try:
            if git.is_file():  # a work tree or submodule: "gitdir: PATH"
                pointer = read_below(folder, ".git", _MAX_HEAD).decode("utf-8", "replace")
                git = folder / pointer.removeprefix("gitdir:").strip()
            head = read_below(git, "HEAD", _MAX_HEAD).decode("utf-8", "replace").strip()
        except OSError:
            continue
        return head.removeprefix("ref: refs/heads/") if head.startswith("ref: ") else head[:8]
    return ""
