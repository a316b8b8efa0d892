"""Attempts to reach the network that were refused: kept, and told to whoever asked to hear of them.

A refusal alone is easily lost: libraries catch the error and go on. So each attempt is noted here
first. The session warns of it, and the audit log records it. What another process refused, such as
the door, is fetched from a source when attempts are asked for.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt that was refused.

    `what` is the action ("connect", "look up", "bind", "send", "socket"), `where` its target as
    text ("192.0.2.7:443", "example.org"), `thread` the thread's name, `code` the place in the code
    that asked, outside of the standard library ("plugin.py:12"), and `at` seconds since the epoch.
    Those by the programs of a command have no thread, and the command as `code`. `guard` is who
    refused it.
    """

    what: str
    where: str
    thread: str
    code: str
    at: float
    guard: str = "egress lock"

    def __str__(self) -> str:
        """ "connect 192.0.2.7:443 (plugin.py:12, thread MainThread)"."""
        return f"{self.what} {self.where} ({self.by})"

    @property
    def by(self) -> str:
        """ "plugin.py:12, thread MainThread"."""
        return f"{self.code}, thread {self.thread}" if self.thread else self.code


Listener = Callable[[Attempt], None]

Source = Callable[[], Iterable[Attempt]]
"""Gives those that it has not given before."""


class Attempts:
    """The attempts of this process, in their order; the last thousand are kept."""

    def __init__(self) -> None:
        self._made: deque[tuple[int, Attempt]] = deque(maxlen=_KEPT)
        self._numbers = itertools.count(1)
        self._listeners: list[Listener] = []
        self._sources: list[Source] = []
        self._told = 0
        self._lock = threading.Lock()

    def record(self, attempt: Attempt) -> None:
        """Keep an attempt, and tell the listeners, in the thread that made it."""
        with self._lock:
            self._made.append((next(self._numbers), attempt))
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener(attempt)

    def take_from(self, source: Source) -> None:
        """From now on keep what `source` gives, too."""
        with self._lock:
            self._sources.append(source)

    def _fetch(self) -> None:
        with self._lock:
            sources = tuple(self._sources)
        for source in sources:
            for attempt in source():
                self.record(attempt)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Have `listener` called with every attempt from now on; the result ends that."""
        with self._lock:
            self._listeners.append(listener)

        def leave() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return leave

    def seen(self) -> tuple[Attempt, ...]:
        """Those that are kept."""
        self._fetch()
        with self._lock:
            return tuple(attempt for _, attempt in self._made)

    def untold(self) -> tuple[Attempt, ...]:
        """Those that no earlier call of this has returned: each is told to the user once."""
        self._fetch()
        with self._lock:
            new = tuple(attempt for number, attempt in self._made if number > self._told)
            self._told = self._made[-1][0] if self._made else self._told
            return new


ATTEMPTS = Attempts()
"""Those of this process."""
