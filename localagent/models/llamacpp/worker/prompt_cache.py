"""The tokens of a prompt, chosen so that the KV cache holds as many as possible.

Tokenizing a text again need not give the tokens that the model wrote. A model that wrote "un" +
"able" would find "unable" in its next prompt, and would read everything after it again. So a
`Memory` keeps the tokens of written text. A prompt that begins with that text takes these tokens,
and only its rest is tokenized.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

Tokenize = Callable[[str, bool], list[int]]
"""Tokenizes a text; the flag says that the text begins the prompt."""


@dataclass(frozen=True, slots=True)
class TextCheckpoint:
    """A place in a text: its first `chars`, with the sha256 `digest`, are its first `tokens`.

    So the text itself need not be stored.
    """

    chars: int
    digest: str
    tokens: int


@dataclass
class Memory:
    """The tokens of one prompt and its reply, with checkpoints at the ends of replies.

    `text` is the text of both; None for a prompt that is no conversation.
    """

    tokens: list[int] = field(default_factory=list)
    checkpoints: list[TextCheckpoint] = field(default_factory=list)
    text: str | None = None

    def add_reply(
        self,
        tokens: Sequence[int],
        text: str,
        ends: Sequence[int | None],
        used: int,
        as_content: Callable[[str], str] = str,
    ) -> None:
        """Add the reply that was written after the prompt.

        `ends[i]` is the length of `text` after token i, or None inside a character. The caller's
        reply is the first `used` characters of `text`; `as_content` renders it as a later prompt
        does. There is a checkpoint at its end, and one before its last white space, because callers
        often strip replies.
        """
        stripped = len(text[:used].rstrip())
        kept = 0
        points: dict[int, int] = {}
        for index, end in enumerate(ends):
            if end is not None and end <= used:
                kept = index + 1
                if end >= stripped:
                    points[end] = kept
        if self.text is not None:
            before, count = self.text, len(self.tokens)
            for end, after in points.items():
                said = before + as_content(text[:end])
                self.checkpoints.append(TextCheckpoint(len(said), _digest(said), count + after))
            self.text = before + as_content(text[: max(points, default=0)])
        self.tokens += tokens[:kept]

    def first(self, count: int) -> Memory:
        """The memory of the first `count` tokens, without the text."""
        marks = [point for point in self.checkpoints if point.tokens <= count]
        return Memory(self.tokens[:count], marks)


def remember(known: Iterable[Memory], text: str, tokenize: Tokenize) -> Memory:
    """Make the memory of a prompt's text.

    Its longest beginning with a checkpoint in one of `known` takes the tokens of that one. The rest
    is tokenized.
    """
    best: tuple[int, Memory | None] = (0, None)
    for memory in known:
        for point in memory.checkpoints:
            if point.chars > best[0] and _digest(text[: point.chars]) == point.digest:
                best = (point.chars, memory)
    chars, source = best
    if source is None:
        return Memory(tokenize(text, True), [], text)
    marks = [point for point in source.checkpoints if point.chars <= chars]
    count = max(point.tokens for point in marks if point.chars == chars)
    return Memory(source.tokens[:count] + tokenize(text[chars:], False), marks, text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def common_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    """The number of tokens that two sequences share at their beginning."""
    for index, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return index
    return min(len(one), len(other))
