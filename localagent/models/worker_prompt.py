"""Which tokens a prompt becomes, so that as many as possible are still in the KV cache.

Tokenizing a text again need not give the tokens that the model wrote it with: a model that wrote
"un" + "able" would find "unable" in its next prompt, and everything after it would be read again.
So the text of what was written is remembered with its tokens: where a new prompt begins with that
text, the tokens are taken as they are, and only the rest is tokenized.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Tokenize = Callable[[str, bool], list[int]]
"""The tokens of a text; the flag says that it is the beginning of the prompt."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """The first `chars` of the text are the first `tokens` of the tokens, the reply's included."""

    chars: int
    tokens: int


class PromptCache:
    """The tokens of the last prompt and reply, and how many of them the KV cache holds."""

    def __init__(self) -> None:
        self._text: str | None = None  # of a prompt that was no conversation: None
        self._marks: list[_Mark] = []
        self.tokens: list[int] = []
        self.held = 0

    def prompt(self, text: str, tokenize: Tokenize) -> list[int]:
        """The tokens of a prompt's text. They become `tokens`; `held` is what can be reused."""
        known = self._text or ""
        while self._marks and not text.startswith(known[: self._marks[-1].chars]):
            self._marks.pop()
        mark = self._marks[-1] if self._marks else _Mark(0, 0)
        tokens = self.tokens[: mark.tokens] + tokenize(text[mark.chars :], mark.chars == 0)
        self._take(tokens)
        self._text = text
        return tokens

    def raw_prompt(self, tokens: list[int]) -> None:
        """Take a prompt that is no conversation, so that no later one continues its text."""
        self._take(tokens)
        self._text = None
        self._marks = []

    def forget(self) -> None:
        """Forget everything: the KV cache was emptied."""
        self.raw_prompt([])

    def reply(
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
        if self._text is not None:
            start, before = len(self._text), len(self.tokens)
            self._marks += [
                _Mark(start + len(as_content(text[:end])), before + count)
                for end, count in marks.items()
            ]
            self._text += as_content(text[: max(marks, default=0)])
        self.tokens += tokens[:kept]
        self.held = min(self.held, len(self.tokens))

    def _take(self, tokens: list[int]) -> None:
        self.held = common_prefix(self.tokens[: self.held], tokens)
        self.tokens = list(tokens)


def common_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences begin with alike."""
    for index, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return index
    return min(len(one), len(other))
