"""How many threads to use, while other programs use the processor too.

The library's threads wait for each other after every operation of a step. With more threads than
free cores, one of them is not running while the others wait for it, and a step takes many times as
long as with one thread fewer. So the cores that other processes keep busy are left to them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

PERIOD = 0.5
"""Seconds between two looks. The kernel counts processor time in hundredths."""

_STAT = Path("/proc/stat")


def processors() -> set[int]:
    """The processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def busy_seconds() -> float | None:
    """Time that these processors have worked for any process since the system started, or None
    where the system does not tell. Waiting for the disk is not counted."""
    names = {f"cpu{number}" for number in processors()}
    ticks = 0
    try:
        for line in _STAT.read_text().splitlines():
            name, *fields = line.split()
            if name in names:
                user, nice, system, _idle, _wait, interrupts, soft = map(int, fields[:7])
                ticks += user + nice + system + interrupts + soft
        return ticks / os.sysconf("SC_CLK_TCK") if ticks else None
    except (OSError, ValueError, AttributeError):
        return None


def own_seconds() -> float:
    """Processor time that this process has used."""
    times = os.times()
    return times.user + times.system


class Neighbour:
    """Tells how many threads are good now, `most` on an idle machine; there are `cores` processors.

    A processor counts as taken when others used most of it since the last look.
    """

    def __init__(
        self,
        most: int,
        cores: int | None = None,
        *,
        busy: Callable[[], float | None] = busy_seconds,
        own: Callable[[], float] = own_seconds,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = self._now = most
        self._cores = cores or len(processors())
        self._busy, self._own, self._clock = busy, own, clock
        self._last: tuple[float, float, float] | None = None

    def __call__(self) -> int:
        """The number of threads to use from now on; a quick question between two looks."""
        now = self._clock()
        if self._last is not None and now - self._last[0] < PERIOD:
            return self._now
        busy = self._busy()
        if busy is None:
            return self._now
        seen = (now, busy, self._own())
        if self._last is not None:
            passed = now - self._last[0]
            others = (busy - self._last[1] - (seen[2] - self._last[2])) / passed
            # More than half of a core: then a thread there would wait more than it works.
            taken = int(others + 0.5)
            self._now = max(1, min(self._most, self._cores - taken))
        self._last = seen
        return self._now
