"""Prompt lookup: if the output copies the input, the next tokens are guessed and checked at once.

The last tokens are searched in the earlier ones; the tokens after the match are the draft
(A. Saxena, "Prompt Lookup Decoding", 2023). A step of several rows costs more than one of a single
row. So a draft is made only if it should gain. That depends on the measured time of a step of each
size, and on the rate of right drafts after a match of that length.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import pairwise

SIZES = (4, 8, 12, 16, 24, 32)
"""Rows of a step with a draft: multiples of four, in which the library's kernels work."""

# The share of right tokens in drafts after a match of so many tokens, before any measurement. A
# long match in copied code continues nearly always. A match under 8 is no sign of copying: drafts
# in prose gained nothing, and each may tip a choice between near equals.
_RIGHT = {32: 0.97, 16: 0.95, 8: 0.85}
_LENGTHS = tuple(_RIGHT)
_COST = 0.3  # of each further row, as a part of a single row's step, before it was measured
_NEW = 0.25  # weight of a new measurement
_GAIN = 1.1  # a draft must promise at least so much


class Drafter:
    """Makes drafts, and adapts to their results."""

    def __init__(self) -> None:
        self._right = dict(_RIGHT)
        self._times: dict[int, float] = {}
        self._match = _LENGTHS[-1]

    def draft(self, tokens: Sequence[int], room: int) -> Sequence[int]:
        """The probable next tokens, at most `room`; none if that does not pay."""
        found, length = _lookup(tokens)
        if not found or 1 not in self._times:
            return ()
        self._match = length
        size = self._best_size(self._right[self._match], min(room, len(tokens) - found) + 1)
        return tokens[found : found + size - 1]

    def adapt(self, checked: int, right: int) -> None:
        """Record the result of the last draft: `right` of `checked` tokens were right."""
        if checked:
            old = self._right[self._match]
            self._right[self._match] = min(0.99, old + _NEW * (right / checked - old))

    def record_step(self, rows: int, seconds: float) -> None:
        """Record the time of a step of so many `rows`."""
        if rows == 1 or rows in SIZES:
            old = self._times.get(rows, seconds)
            # A step that something else delayed is no measure of its size.
            self._times[rows] = old + _NEW * (min(seconds, 3 * old) - old)

    def forget_times(self) -> None:
        """Forget the times after a change of the number of threads."""
        self._times.clear()

    def _best_size(self, right: float, most: int) -> int:
        """The rows that give most tokens a second; 1 for no draft."""
        best, rate = 1, _GAIN / self._times[1]
        for size in SIZES:
            if size <= most:
                tokens = (1 - right**size) / (1 - right)
                if tokens / self._time(size) > rate:
                    best, rate = size, tokens / self._time(size)
        return best

    def _time(self, size: int) -> float:
        known = sorted(self._times)
        if size in self._times:
            return self._times[size]
        for low, high in pairwise(known):
            if low < size < high:
                part = (size - low) / (high - low)
                return self._times[low] + part * (self._times[high] - self._times[low])
        last = known[-1]
        return self._times[last] + (size - last) * _COST * self._times[1]


def _lookup(tokens: Sequence[int]) -> tuple[int, int]:
    """The place after the longest match of the last tokens, and the length of the match.

    The latest of equal matches counts; (0, 0) for no match.
    """
    words = array("i", tokens)
    data, size = words.tobytes(), words.itemsize
    for length in _LENGTHS:
        if length >= len(tokens):
            continue
        last = data[-length * size :]
        place = data.rfind(last, 0, len(data) - size)
        while place >= 0 and place % size:
            place = data.rfind(last, 0, place + len(last) - 1)
        if place >= 0:
            return place // size + length, length
    return 0, 0
