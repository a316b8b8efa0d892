"""Counts of tokens by a server that cannot be asked in advance: estimated, and compared later.

A server only reports the number of a prompt's tokens afterwards. `TokenEstimator` checks with it
that the server read the whole prompt.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import accumulate, pairwise

from localagent.core.errors import PromptTruncated
from localagent.models.base import TokenizedPrompt

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
                f"the server read {count} tokens of a prompt that has at least {least}",
                "name fewer or smaller files, or choose a larger window",
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
        """Make a prompt of `parts`; where its tokens end is estimated from the parts' lengths."""
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
