"""Bursts: minutes with many more lines than the hours before."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

WINDOW = 5
"""Minutes that are counted together: shorter windows find chance, longer ones blur the start."""

_BEFORE = 180
_FEWEST = 5
_FACTOR = 4.0


@dataclass(frozen=True, slots=True)
class Burst:
    """A burst: its first minute, the lines of its best five minutes, and the usual number."""

    start: int
    count: int
    usual: float


class Series:
    """Counts by minute, with fast sums."""

    def __init__(self, counts: Mapping[int, int]) -> None:
        self._minutes = sorted(counts)
        self._sums = [0, *accumulate(counts[minute] for minute in self._minutes)]

    def total(self, first: int, end: int) -> int:
        """The lines from minute `first` up to but without `end`."""
        low, high = bisect_left(self._minutes, first), bisect_left(self._minutes, end)
        return self._sums[high] - self._sums[low]

    def burst(self, begin: int) -> Burst | None:
        """The strongest burst; `begin` is the first minute of the whole log."""
        best: Burst | None = None
        strongest = 0.0
        for minute in self._minutes:
            count = self.total(minute, minute + WINDOW)
            usual = self._usual(minute, begin)
            if count < _FEWEST or count < _FACTOR * usual + _FEWEST - 1:
                continue
            strength = count / (usual + 1)
            if best is None or strength > strongest * 1.5:
                best, strongest = Burst(minute, count, usual), strength
        return best

    def _usual(self, minute: int, begin: int) -> float:
        """The lines of five minutes in the hours before."""
        first = max(begin, minute - _BEFORE)
        span = minute - first
        if span < 2 * WINDOW:  # nothing came before, so the mean of the whole log counts
            whole = max(self._minutes[-1] - begin + 1, WINDOW)
            return self._sums[-1] / whole * WINDOW
        return self.total(first, minute) / span * WINDOW
