"""Replay a recorded session with its recorded model replies; the tools really run.

`ReplayModel` repeats the recorded replies. `compare` finds the first observation that differs
between the recorded and the new run. An observation is the result of a tool, the result of a check,
or a changed file.
"""

from __future__ import annotations

import re
import tempfile
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from localagent.core import errors
from localagent.core.errors import BackendError, ContextOverflow
from localagent.core.events import (
    CheckFinished,
    Event,
    Failed,
    FileChanged,
    ModelReplied,
    ModelRequested,
    SessionStarted,
    Steered,
    Step,
    ToolReturned,
    TurnStarted,
    to_dict,
)
from localagent.models.base import (
    Chunk,
    Finish,
    FinishReason,
    ModelInfo,
    Reading,
    Request,
    Text,
    Thought,
    TokenizedPrompt,
    Usage,
)
from localagent.models.scripted import SCRIPTED, rendered, tokenize, tokens

# Patterns for text that differs between any two runs, such as times and temporary paths.
_NOISE = (
    (re.compile(r"\b\d+(?:\.\d+)? ?(?:s|ms|sec|secs|seconds?|minutes?)\b"), "<time>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z?"), "<time>"),
    (re.compile(r"\b\d\d:\d\d:\d\d(?:\.\d+)?\b"), "<time>"),
    (re.compile(r"\b0x[0-9a-fA-F]{4,16}\b"), "<address>"),
    (re.compile(r"\b\d{8}-\d{4}-[0-9a-z]{4}\b"), "<session>"),
    (re.compile(rf"(?:{re.escape(tempfile.gettempdir())}|/tmp|/var/tmp)/[^\s'\":,)]+"), "<temp>"),
    # pytest pads lines with these characters to the terminal's width; times change the padding.
    (re.compile(r"[=_-]{3,}"), "---"),
)
_IGNORED = {"call", "seconds", "for_person"}


@dataclass(frozen=True, slots=True)
class Difference:
    """The first observation that differs between two runs. `number` counts from 1.

    `recorded` or `new` is None if that run has no such observation. `field` names the field that
    differs; it is "" if the observations are of different kinds.
    """

    number: int
    field: str
    recorded: Event | None
    new: Event | None

    def __str__(self) -> str:
        """A headline, then one line for each run."""
        return (
            f"observation {self.number} differs{f' in {self.field}' if self.field else ''}\n"
            f"  recorded: {_format(self.recorded, self.field)}\n"
            f"  now:      {_format(self.new, self.field)}"
        )


class ReplayModel:
    """A `Model` that repeats the replies in `recorded`, in order.

    If a recorded request had no reply, the replayed request raises the error that ended the
    recorded turn. After the last reply, any further request raises BackendError.
    """

    def __init__(self, recorded: Iterable[Event], info: ModelInfo = SCRIPTED) -> None:
        self._answers = _answers(recorded)
        self._info = info
        self._next = 0
        self._cancelled = threading.Event()
        self.requests: list[Request] = []
        self.prompts: list[str] = []

    @property
    def info(self) -> ModelInfo:
        """The identity of the model."""
        return self._info

    def become(self, info: ModelInfo) -> None:
        """Take the identity of another model, as when the recorded session switched models."""
        self._info = info

    def count(self, text: str) -> int:
        """Count tokens as ScriptedModel does. A replay does not load the real tokenizer."""
        return len(tokens(text))

    def tokenize(self, request: Request) -> TokenizedPrompt:
        """Tokenize as ScriptedModel does."""
        return tokenize(request)

    def generate(self, request: Request) -> Iterator[Chunk]:
        """Stream the next recorded reply, with its recorded counts and times."""
        self._cancelled.clear()
        self.requests.append(request)
        self.prompts.append(rendered(request))
        if self._next >= len(self._answers):
            raise BackendError(
                f"the recording has only {len(self._answers)} replies, but another is needed",
                "the replay took a different course than the recorded session",
            )
        answer = self._answers[self._next]
        self._next += 1
        if isinstance(answer, Failed):
            raise _failure(answer)
        return self._stream(answer, request.reply_start)

    def generate_all(self, requests: Sequence[Request]) -> Generator[tuple[int, Chunk], None, None]:
        """Stream the next recorded replies, in the order in which the recorded ones finished."""
        for _ in requests:
            place = min(self._place(), len(requests) - 1)
            for chunk in self.generate(requests[place]):
                yield place, chunk

    def _place(self) -> int:
        """The index, in its batch, of the request that the next recorded reply answers."""
        answer = self._answers[self._next] if self._next < len(self._answers) else None
        return answer.stream if isinstance(answer, ModelReplied) else 0

    def _stream(self, answer: ModelReplied, reply_start: str) -> Iterator[Chunk]:
        usage = Usage(
            answer.prompt_tokens,
            answer.reused_tokens,
            answer.completion_tokens,
            answer.prefill_seconds,
            answer.decode_seconds,
            answer.thought_tokens,
        )
        yield Reading(answer.prompt_tokens, answer.prompt_tokens, answer.reused_tokens)
        if answer.thought:
            yield Thought(answer.thought)
        for piece in tokens(answer.text.removeprefix(reply_start)):
            if self._cancelled.is_set():
                yield Finish("cancelled", usage)
                return
            yield Text(piece)
        reasons: dict[str, FinishReason] = {"length": "length", "cancelled": "cancelled"}
        yield Finish(reasons.get(answer.finish, "stop"), usage)

    def cancel(self, place: int | None = None) -> None:  # noqa: ARG002 - one at a time
        """End the running generation."""
        self._cancelled.set()

    def close(self) -> None:
        """Do nothing: a replay holds no resources."""


def steered(events: Iterable[Event]) -> Iterator[list[str]]:
    """The user's messages during the present turn, as one list for each step of the turn."""
    texts: list[str] | None = None
    for event in events:
        if isinstance(event, TurnStarted):
            break
        if isinstance(event, Step) and event.name == "think":
            if texts is not None:
                yield texts
            texts = []
        elif isinstance(event, Steered) and texts is not None:
            texts.append(event.text)
    if texts is not None:
        yield texts


def compare(recorded: Iterable[Event], new: Iterable[Event]) -> Difference | None:
    """The first observation that differs between two runs, or None.

    The comparison ignores times, addresses, session ids, temporary paths, the workspace's path, the
    numbers of tool calls, and the text that a tool returns for the user.
    """
    pairs = zip_longest(_observations(recorded), _observations(new))
    for number, (old, now) in enumerate(pairs, 1):
        if old is None or now is None or type(old[0]) is not type(now[0]):
            return Difference(number, "", old and old[0], now and now[0])
        for name, value in old[1].items():
            if value != now[1].get(name):
                return Difference(number, name, old[0], now[0])
    return None


def _observations(events: Iterable[Event]) -> Iterator[tuple[Event, dict[str, Any]]]:
    """The observations of a session, each with the fields to compare; noise is replaced."""
    workspaces: list[str] = []
    for event in events:
        if isinstance(event, SessionStarted):
            workspaces = [event.workspace]
        elif isinstance(event, ToolReturned | CheckFinished | FileChanged):
            values = {k: v for k, v in to_dict(event).items() if k not in _IGNORED}
            yield event, {k: _plain(v, workspaces) for k, v in values.items()}


def _plain(value: Any, workspaces: Sequence[str]) -> Any:
    if not isinstance(value, str):
        return value
    for workspace in workspaces:
        value = value.replace(workspace, "<workspace>")
    for pattern, name in _NOISE:
        value = pattern.sub(name, value)
    return value


def _answers(recorded: Iterable[Event]) -> list[ModelReplied | Failed]:
    """The outcome of every request: its reply, or the failure if it got no reply."""
    answers: list[ModelReplied | Failed] = []
    waiting = False
    for event in recorded:
        if isinstance(event, ModelRequested):
            waiting = True
        elif isinstance(event, ModelReplied) or (isinstance(event, Failed) and waiting):
            answers.append(event)
            waiting = False
    return answers


def _failure(failed: Failed) -> BackendError:
    cls = getattr(errors, failed.kind, BackendError)
    if not issubclass(cls, BackendError) or cls is ContextOverflow:
        cls = BackendError
    error: BackendError = cls(failed.message, failed.hint)
    return error


def _format(event: Event | None, field: str) -> str:
    if event is None:
        return "no further observation"
    values = to_dict(event)
    kind = values.pop("type")
    text = repr(values[field]) if field in values else repr(values)
    return f"{kind} {text if len(text) <= 300 else text[:297] + '…'}"
