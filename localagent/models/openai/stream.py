"""The events of a stream as pieces of a reply: text, thoughts, tool calls, progress, the end."""

from __future__ import annotations

import json
from collections.abc import Iterator

from localagent.core.errors import ServerError
from localagent.models.base import Reading
from localagent.models.openai.messages import call_head, call_tail
from localagent.models.openai.protocol import (
    CallDelta,
    PromptProgress,
    ReplyChoice,
    StreamEvent,
    TokenUsage,
)
from localagent.models.server.request import ReplyPiece


class EventReader:
    """Turns events into pieces. The end comes with `finish`, after the counts.

    `server` names the server in errors.
    """

    def __init__(self, server: str) -> None:
        self._server = server
        self._call = -1  # the number of the open tool call
        self._bare = False  # whether that call has no arguments yet
        self._spoke = False
        self._read = 0
        self._reason = ""
        self._usage: TokenUsage | None = None
        self._last = StreamEvent()

    def take(self, event: StreamEvent) -> Iterator[ReplyPiece]:
        """The pieces of an event. Raises ServerError for several replies in one."""
        if event.prompt_progress:
            yield self._progress(event.prompt_progress)
            return
        if event.usage:
            self._usage = event.usage
        if event.timings or event.stop:
            self._last = event
        if len(event.choices or ()) > 1:
            raise ServerError(f"{self._server} sends more than one reply", "look at its log")
        for choice in event.choices or ():
            yield self._choice(choice)
        if event.content is not None:
            yield ReplyPiece(event.content)
        if event.stop:
            self._reason = "length" if event.stop_type == "limit" else "stop"
        elif not event.choices and not event.usage and event.content is None:
            yield ReplyPiece()  # so that empty events count, too

    def finish(self) -> ReplyPiece | None:
        """The last piece, with the counts; None for a stream that ended without a reason."""
        if not self._reason:
            return None
        usage, timings = self._usage, self._last.timings
        details = usage.prompt_tokens_details if usage else None
        prompt = usage.prompt_tokens if usage else self._last.tokens_evaluated
        done = usage.completion_tokens if usage else self._last.tokens_predicted
        return ReplyPiece(
            text=self._closed_call(),
            end="length" if self._reason == "length" else "stop",
            prompt_tokens=prompt or None,
            cached_tokens=(details.cached_tokens or 0) if details else 0,
            completion_tokens=done or 0,
            prefill_seconds=timings.prompt_ms / 1e3 if timings else 0.0,
            decode_seconds=timings.predicted_ms / 1e3 if timings else 0.0,
        )

    def _progress(self, progress: PromptProgress) -> ReplyPiece:
        """Progress in reading; a server that repeats itself makes no progress."""
        if progress.processed <= self._read:
            return ReplyPiece()
        self._read = progress.processed
        return ReplyPiece(reading=Reading(progress.processed, progress.total, progress.cache))

    def _choice(self, choice: ReplyChoice) -> ReplyPiece:
        if choice.finish_reason:
            self._reason = choice.finish_reason
        delta = choice.delta
        if delta is None:
            return ReplyPiece(choice.text or "")
        calls = "".join(map(self._call_text, delta.tool_calls or ()))
        text = (delta.content or "") + calls
        self._spoke = self._spoke or bool(text)
        return ReplyPiece(text, delta.reasoning_content or delta.reasoning or "")

    def _call_text(self, delta: CallDelta) -> str:
        """A part of a tool call as text."""
        text, function = "", delta.function
        if delta.index != self._call and function.name:
            text = self._closed_call() + ("\n" if self._spoke else "") + call_head(function.name)
            self._call, self._bare, self._spoke = delta.index, True, True
        arguments = function.arguments
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments, ensure_ascii=False)
        if arguments:
            self._bare = False
        return text + (arguments or "")

    def _closed_call(self) -> str:
        """The end of the open call. A cut off call stays open."""
        if self._call < 0 or self._reason == "length":
            return ""
        return ("{}" if self._bare else "") + call_tail()
