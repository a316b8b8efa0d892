"""Which tokens a prompt becomes, so that as many as possible are still in the KV cache.

Tokenizing a text again need not give the tokens that the model wrote it with: a model that wrote
"un" + "able" would find "unable" in its next prompt, and everything after it would be read again.
So the text of what was written is remembered with its tokens: where a new prompt begins with that
text, the tokens are taken as they are, and only the rest is tokenized.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

Tokenize = Callable[[str, bool], list[int]]
"""The tokens of a text; the flag says that it is the beginning of the prompt."""


@dataclass(frozen=True, slots=True)
class TextCheckpoint:
    """The first `chars` of the text, whose sha256 is `digest`, are the first `tokens` of the
    tokens: the text itself need not be kept, also not on disk."""

    chars: int
    digest: str
    tokens: int


@dataclass
class Memory:
    """The tokens of one prompt and its reply, and where in their text a reply ended.

    `text` is what the prompt and reply were, None for a prompt that is no conversation.
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
        """Remember the reply that was written after the prompt.

        `ends[i]` is the length of `text` after token i, or None inside a character. The reply as
        the caller knows it is the first `used` characters of `text`; `as_content` is what a later
        prompt's text makes of it. Marks are set at its end and, as replies are often stripped,
        before the whitespace that it ends with.
        """
        stripped = len(text[:used].rstrip())
        kept = 0
        marks: dict[int, int] = {}
        for index, end in enumerate(ends):
            if end is not None and end <= used:
                kept = index + 1
                if end >= stripped:
                    marks[end] = kept
        if self.text is not None:
            before, count = self.text, len(self.tokens)
            for end, after in marks.items():
                said = before + as_content(text[:end])
                self.checkpoints.append(TextCheckpoint(len(said), _digest(said), count + after))
            self.text = before + as_content(text[: max(marks, default=0)])
        self.tokens += tokens[:kept]

    def first(self, count: int) -> Memory:
        """What is remembered of the first `count` tokens, without the text."""
        marks = [point for point in self.checkpoints if point.tokens <= count]
        return Memory(self.tokens[:count], marks)


def remember(known: Iterable[Memory], text: str, tokenize: Tokenize) -> Memory:
    """The memory of a prompt's text: the longest beginning that one of `known` has a mark for
    becomes the tokens of that one, the rest is tokenized."""
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
    """How many tokens two sequences begin with alike."""
    for index, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return index
    return min(len(one), len(other))
