"""One reply of a server: its pieces become chunks, and its end is checked.

The text excludes the model's thinking, whether the server separates it or not. A `reply_start` that
comes back is removed, and a choice loses its quotes. `TokenEstimator` checks that the server read
the whole prompt.
"""

from __future__ import annotations

import json
import time
from typing import Literal

from localagent.core.errors import ContextOverflow, ServerError
from localagent.models.base import (
    Chunk,
    Finish,
    FinishReason,
    Request,
    Text,
    Thought,
    Usage,
)
from localagent.models.server.request import ReplyPiece, RequestTarget, limit, parts, thinks
from localagent.models.server.tokens import TokenEstimator

OPEN, CLOSE = "<think>", "</think>"

_BYTES = 256  # of text that a token can stand for: long runs of spaces do
_AGAIN = 30  # equal pieces in a row after which the server ends a reply without a last line


class ReplyReader:
    """Turns the pieces of the reply to `request` into chunks; the last chunk is a `Finish`.

    `tokens` checks that the whole prompt was read, unless `counts_all` is False.
    """

    def __init__(
        self,
        target: RequestTarget,
        request: Request,
        tokens: TokenEstimator,
        counts_all: bool = True,
    ) -> None:
        self.thinking = ""
        """The model's thinking; never part of the text."""
        self.finished = False
        self._target, self._request = target, request
        self._tokens, self._counts_all = tokens, counts_all
        self._started = time.monotonic()
        self._first = 0.0  # seconds until the first piece
        self._pieces = self._written = self._thoughts = self._bytes = 0
        self._same, self._last = 0, ""
        self._filters = _Thoughts(), _Start(request.reply_start)
        self._choice = ""

    def begin(self) -> None:
        """Record that the request is sent now."""
        self._started = time.monotonic()

    def take(self, piece: ReplyPiece) -> list[Chunk]:
        """Return the chunks of a piece.

        Raises PromptTruncated, ContextOverflow; ServerError for a reply over its limit.
        """
        if piece.reading:
            return [piece.reading]
        if self._pieces == 0:
            self._first = time.monotonic() - self._started
        self._count(piece)
        before = len(self.thinking)
        text = self._filtered(piece.text, piece.thought)
        thought = self.thinking[before:]
        chunks = [*([Thought(thought)] if thought else []), *self._texts(text)]
        if piece.end:
            self._check(piece)
            chunks += [*self._rest(), self._finish(piece, piece.end)]
        elif self._too_much():
            chunks += [*self._rest(), self._finish(piece, "length")]
        return chunks

    def ended(self) -> Finish | None:
        """The end of a reply whose connection ended without a last line; None if that is an error.

        A server does so with a model that repeats one token for ever.
        """
        return self._finish(ReplyPiece(), "length") if self._same >= _AGAIN else None

    def cancelled(self) -> Finish:
        """The end of a cancelled reply."""
        return self._finish(ReplyPiece(), "cancelled")

    def _count(self, piece: ReplyPiece) -> None:
        self._pieces += 1
        said = piece.text + piece.thought
        self._bytes += len(said.encode("utf-8", "replace"))
        self._same = self._same + 1 if said.strip() == self._last and said else 0
        self._last = said.strip()
        # A server may repeat the beginning of the reply, by a token for each letter at most.
        most = limit(self._target, self._request) + len(self._request.reply_start)
        # One piece a token, one for the end, and a few more from parsers on the way.
        if self._pieces > 2 * most + 16 or self._bytes > _BYTES * (most + 16):
            raise ServerError(
                f"{self._target.server} writes more than the {most} tokens that it was asked for",
                "restart it, or look at its log",
            )

    def _filtered(self, text: str, thought: str) -> str:
        """The part of a piece that belongs to the reply; the rest is recorded as thinking."""
        thoughts, start = self._filters
        visible = thoughts.take(text)
        self.thinking += thought + thoughts.taken()
        if visible:
            self._written += 1
        elif text or thought:
            self._thoughts += 1
        return start.take(visible)

    def _texts(self, text: str) -> list[Chunk]:
        if self._request.choices:
            self._choice += text
            return []
        return [Text(text)] if text and self._request.max_tokens else []

    def _rest(self) -> list[Chunk]:
        """The text that was held back."""
        thoughts, start = self._filters
        rest = start.take(thoughts.rest()) + start.rest()
        if not self._request.choices:
            return self._texts(rest)
        return [Text(_choice(self._choice + rest))]

    def _too_much(self) -> bool:
        """Whether the model has reached its limit of thinking or of writing.

        The server has one limit for both together, which is enough for a model that does not think.
        """
        if not thinks(self._target, self._request):
            return False
        endless = self._thoughts > self._request.think and not self._written
        return endless or self._written >= self._request.max_tokens

    def _check(self, piece: ReplyPiece) -> None:
        count = piece.prompt_tokens
        if count is None:
            if not self._counts_all:
                return
            raise ServerError(
                f"{self._target.server} does not say how much of the prompt it read, so it may "
                "have left out any",
                "a newer version says it",
            )
        window = self._target.window
        if self._counts_all:
            self._tokens.check(parts(self._request), count, window)
            self._tokens.record(parts(self._request), count)
        # A server that shifts its window forgets the prompt's middle when the window is full.
        if count + piece.completion_tokens > window + 1:
            raise ContextOverflow(count + piece.completion_tokens, window)

    def _finish(self, piece: ReplyPiece, reason: FinishReason) -> Finish:
        self.finished = True
        estimate = sum(map(self._tokens.estimate, parts(self._request)))
        seconds = time.monotonic() - self._started
        prefill = piece.prefill_seconds or self._first
        return Finish(
            reason,
            Usage(
                prompt_tokens=piece.prompt_tokens or estimate,
                reused_tokens=min(piece.cached_tokens, piece.prompt_tokens or 0),
                completion_tokens=piece.completion_tokens or self._written + self._thoughts,
                prefill_seconds=prefill,
                decode_seconds=piece.decode_seconds or max(0.0, seconds - prefill),
                thought_tokens=self._thoughts,
            ),
        )


class _Thoughts:
    """Removes a leading `<think>…</think>` and the line breaks after it from text in pieces.

    Servers before 0.9 leave it there, and so do models that think against the request.
    """

    def __init__(self) -> None:
        self._state: Literal["start", "inside", "behind", "text"] = "start"
        self._held = self._taken = ""

    def take(self, text: str) -> str:
        """The visible part of the held text and `text`."""
        if self._state == "text":
            return text
        self._held += text
        if self._state == "start":
            begin = self._held.lstrip()
            if len(begin) < len(OPEN) and OPEN.startswith(begin):
                return ""
            self._state = "inside" if begin.startswith(OPEN) else "text"
            if self._state == "text":
                return self.rest()
            self._held = begin[len(OPEN) :]
        if self._state == "inside":
            self._find_end()
        if self._state == "behind" and (visible := self._held.lstrip("\n")):
            self._state, self._held = "text", ""
            return visible
        return ""

    def _find_end(self) -> None:
        thought, found, behind = self._held.partition(CLOSE)
        if found:
            self._state, self._held = "behind", behind
        else:  # the end may have begun
            cut = max(0, len(thought) - len(CLOSE) + 1)
            thought, self._held = thought[:cut], thought[cut:]
        self._taken += thought

    def taken(self) -> str:
        """The thinking since the last call."""
        thought, self._taken = self._taken, ""
        return thought

    def rest(self) -> str:
        """The text that was held back, without an unfinished thought."""
        held, self._held = self._held, ""
        return held if self._state in ("start", "text") else ""


class _Start:
    """Removes a `reply_start` from a reply that repeats it, as some templates make it do."""

    def __init__(self, start: str) -> None:
        self._start, self._held = start, ""

    def take(self, text: str) -> str:
        """The new part of the held text and `text`."""
        if not self._start:
            return text
        self._held += text
        if len(self._held) < len(self._start) and self._start.startswith(self._held):
            return ""
        return self.rest()

    def rest(self) -> str:
        """The text that was held back."""
        held, start, self._held, self._start = self._held, self._start, "", ""
        return held.removeprefix(start) if start else held


def _choice(text: str) -> str:
    """The choice without its JSON quotes; the text itself if the server ignored the schema."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, str) else text
