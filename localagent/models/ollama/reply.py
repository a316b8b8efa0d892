"""One reply of Ollama: its lines become chunks, and its end is checked.

The text excludes the model's thinking, whether the server separates it or not. A `reply_start` that
comes back is removed, and a choice loses its quotes. `TokenEstimator` checks that the server read
the whole prompt: Ollama cannot count tokens in advance, and only reports the number afterwards.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Literal

from localagent.core.errors import ContextOverflow, PromptTruncated, ServerError
from localagent.models.base import (
    Chunk,
    Finish,
    FinishReason,
    Request,
    Text,
    Thought,
    TokenizedPrompt,
    Usage,
)
from localagent.models.ollama.pinning import not_elsewhere
from localagent.models.ollama.protocol import OllamaModel, StreamLine, limit, parts, thinks

FIRST = 3.0
"""UTF-8 bytes a token before the first count. Qwen2.5's tokenizer has 4.0 on average in this
project's Python files, 4.1 in its documents and 2.7 in the densest file. Fewer bytes mean more
tokens, which is the careful side."""

_RANGE = (2.0, 5.0)  # ratios outside come from unusual prompts
_MARGIN = 0.9  # texts differ, so the estimate stays above the measured ratio
_ENOUGH = 400  # bytes below which a prompt's own frame (roles, markers) would distort the ratio
_FRAME = 32  # tokens that a chat template may put around the reply's beginning

# Tokenizers cut before they merge: no token holds two words, or a word and a line break. So words
# and line breaks are a lower bound: 0.6 of Qwen2.5's tokens in this project's files, at most 0.87.
_CERTAIN = re.compile(r"[^\W\d_]+|\n\s*")
_DOUBT = 0.8  # some tokenizers merge across words

OPEN, CLOSE = "<think>", "</think>"

_BYTES = 256  # of text that a token can stand for: long runs of spaces do
_AGAIN = 30  # equal pieces in a row after which the server ends a reply without a last line


class ReplyReader:
    """Turns the lines of the reply to `request` into chunks; the last chunk is a `Finish`.

    `tokens` checks that the whole prompt was read, unless `counts_all` is False.
    """

    def __init__(
        self, target: OllamaModel, request: Request, tokens: TokenEstimator, counts_all: bool = True
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

    def take(self, piece: StreamLine) -> list[Chunk]:
        """Return the chunks of a line.

        Raises NotLocal, PromptTruncated, ContextOverflow; ServerError for a reply over its limit.
        """
        not_elsewhere(self._target.name, piece.remote)
        if self._pieces == 0:
            self._first = time.monotonic() - self._started
        self._count(piece)
        before = len(self.thinking)
        text = self._filtered(piece.text, piece.thought)
        thought = self.thinking[before:]
        chunks = [*([Thought(thought)] if thought else []), *self._texts(text)]
        if piece.done:
            self._check(piece)
            reason: FinishReason = "length" if piece.done_reason == "length" else "stop"
            chunks += [*self._rest(), self._finish(piece, reason)]
        elif self._too_much():
            chunks += [*self._rest(), self._finish(piece, "length")]
        return chunks

    def ended(self) -> Finish | None:
        """The end of a reply whose connection ended without a last line; None if that is an error.

        A server does so with a model that repeats one token for ever.
        """
        return self._finish(StreamLine(), "length") if self._same >= _AGAIN else None

    def cancelled(self) -> Finish:
        """The end of a cancelled reply."""
        return self._finish(StreamLine(), "cancelled")

    def _count(self, piece: StreamLine) -> None:
        self._pieces += 1
        said = piece.text + piece.thought
        self._bytes += len(said.encode("utf-8", "replace"))
        self._same = self._same + 1 if said.strip() == self._last and said else 0
        self._last = said.strip()
        most = limit(self._target, self._request)
        # One piece a token, one for the end, and a few more from parsers on the way.
        if self._pieces > 2 * most + 16 or self._bytes > _BYTES * (most + 16):
            raise ServerError(
                f"the Ollama server writes more than the {most} tokens that it was asked for",
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

    def _check(self, piece: StreamLine) -> None:
        count = piece.prompt_eval_count
        if piece.done_reason in ("load", "unload"):
            raise ServerError("Ollama found nothing to read in the prompt", "say more in the task")
        if count is None:
            if not self._counts_all:
                return
            raise ServerError(
                "Ollama does not say how much of the prompt it read, so it may have left out any",
                "a newer version says it",
            )
        window = self._target.window
        if self._counts_all:
            self._tokens.check(parts(self._request), count, window)
            self._tokens.record(parts(self._request), count)
        # A server that ignores `shift` forgets the prompt's middle when the window is full.
        if count + piece.eval_count > window + 1:
            raise ContextOverflow(count + piece.eval_count, window)

    def _finish(self, piece: StreamLine, reason: FinishReason) -> Finish:
        self.finished = True
        estimate = sum(map(self._tokens.estimate, parts(self._request)))
        seconds = time.monotonic() - self._started
        prefill = piece.prompt_eval_duration / 1e9 or self._first
        return Finish(
            reason,
            Usage(
                prompt_tokens=piece.prompt_eval_count or estimate,
                reused_tokens=min(
                    piece.prompt_eval_cached_count or 0, piece.prompt_eval_count or 0
                ),
                completion_tokens=piece.eval_count or self._written + self._thoughts,
                prefill_seconds=prefill,
                decode_seconds=piece.eval_duration / 1e9 or max(0.0, seconds - prefill),
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


class TokenEstimator:
    """Estimates the tokens of one model and one conversation; `record` improves it.

    It keeps a ratio from the counts of the server. Two facts need no estimate. A text has at least
    as many tokens as words and line breaks. A prompt that begins as an earlier one has at least as
    many tokens as that one.
    """

    def __init__(self) -> None:
        self._bytes_each = FIRST
        self._known = False
        self._before: tuple[tuple[str, ...], int] = ((), 0)

    def estimate(self, text: str) -> int:
        """Estimate the tokens of `text`, rather too high than too low."""
        return math.ceil(_size(text) / (self._bytes_each * _MARGIN)) if text else 0

    def check(self, parts: Sequence[str], count: int, window: int) -> None:
        """Raise PromptTruncated if `count` tokens cannot be all of the prompt's `parts`."""
        least = _certain(parts)
        before, were = self._before
        if before and tuple(parts[: len(before)]) == before:
            least = max(least, were - _FRAME + _certain(parts[len(before) :]))
        if count >= window:  # as for a prompt that was cut to fit
            least = max(least, window + 1)
        if count < least:
            raise PromptTruncated(
                f"Ollama read {count} tokens of a prompt that has at least {least}",
                "name fewer or smaller files, or choose a larger window; Ollama 0.12.6 and later "
                "refuse such prompts by themselves",
            )

    def record(self, parts: Sequence[str], count: int) -> None:
        """Take the server's count of a whole prompt into account."""
        self._before = tuple(parts), count
        size = sum(map(_size, parts))
        if size >= _ENOUGH and count > 0:
            seen = min(max(size / count, _RANGE[0]), _RANGE[1])
            # The smallest ratio of all prompts, so that the estimate stays on the careful side.
            self._bytes_each = min(self._bytes_each, seen) if self._known else seen
            self._known = True

    def spread(self, parts: Sequence[str]) -> TokenizedPrompt:
        """Make a prompt of `parts`, with its tokens spread evenly over their bytes."""
        before, were = self._before
        sizes = [_size(part) for part in parts]
        total = sum(sizes)
        count = were if before == tuple(parts) else sum(map(self.estimate, parts))
        ends = tuple(total * number // count for number in range(1, count + 1))
        firsts = [0, *accumulate(sizes)]
        places = tuple(pairwise(firsts))
        return TokenizedPrompt("".join(parts), ends, places, exact=False)


def _certain(parts: Sequence[str]) -> int:
    return int(_DOUBT * sum(len(_CERTAIN.findall(part)) for part in parts))


def _size(text: str) -> int:
    return len(text.encode("utf-8", "replace"))
