"""Record of blocked connections, which the egress lock, the egress proxy or a sandbox refused.

Libraries often catch the error of a refused connection and continue, so every refusal is recorded
here first. The session then warns the user of the refusal, and the audit log stores it. Other
processes, such as the egress proxy, report through sources, which are read together with the
record.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_CAPACITY = 1000


@dataclass(frozen=True, slots=True)
class BlockedConnection:
    """One refused attempt to reach the network.

    `action` is "connect to", "look up", "bind", "send to" or "open a socket of". `target` is the
    address or name as text ("192.0.2.7:443"). `caller` is the place in the code that made the
    attempt, outside of the standard library ("plugin.py:12"), or the command. `thread` is the
    thread's name, "" for a command. `at` is in seconds since the epoch. `guard` names the part of
    localagent that refused the attempt.
    """

    action: str
    target: str
    thread: str
    caller: str
    at: float
    guard: str = "egress lock"

    def __str__(self) -> str:
        """Return text such as "connect to 192.0.2.7:443 (plugin.py:12, thread MainThread)"."""
        return f"{self.action} {self.target} ({self.origin})"

    @property
    def origin(self) -> str:
        """The caller and the caller's thread: "plugin.py:12, thread MainThread"."""
        return f"{self.caller}, thread {self.thread}" if self.thread else self.caller


Listener = Callable[[BlockedConnection], None]

Source = Callable[[], Iterable[BlockedConnection]]
"""A function that returns the blocked connections since its last call."""


class BlockedConnections:
    """The last thousand blocked connections of this process, oldest first."""

    def __init__(self) -> None:
        self._entries: deque[tuple[int, BlockedConnection]] = deque(maxlen=_CAPACITY)
        self._numbers = itertools.count(1)
        self._listeners: list[Listener] = []
        self._sources: list[Source] = []
        self._last_drained = 0
        self._lock = threading.Lock()

    def record(self, connection: BlockedConnection) -> None:
        """Store a blocked connection, and call the listeners in this thread."""
        with self._lock:
            self._entries.append((next(self._numbers), connection))
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener(connection)

    def add_source(self, source: Source) -> None:
        """Add a source of blocked connections, which every read of the record also reads."""
        with self._lock:
            self._sources.append(source)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` for each new blocked connection; the result unsubscribes `listener`."""
        with self._lock:
            self._listeners.append(listener)

        def unsubscribe() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return unsubscribe

    def entries(self) -> tuple[BlockedConnection, ...]:
        """Return all stored blocked connections."""
        self._read_sources()
        with self._lock:
            return tuple(connection for _, connection in self._entries)

    def drain(self) -> tuple[BlockedConnection, ...]:
        """Return the blocked connections since the last call."""
        self._read_sources()
        with self._lock:
            new = tuple(each for number, each in self._entries if number > self._last_drained)
            if self._entries:
                self._last_drained = self._entries[-1][0]
            return new

    def _read_sources(self) -> None:
        with self._lock:
            sources = tuple(self._sources)
        for source in sources:
            for connection in source():
                self.record(connection)


BLOCKED = BlockedConnections()
"""The blocked connections of this process."""
