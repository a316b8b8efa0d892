"""How long a server may be silent. An answer may take any time; only a silence has a limit."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from anyio import CancelScope

from localagent.core.errors import WorkerHung
from localagent.models.server.address import ServerAddress

T = TypeVar("T")

SILENCE = 120.0
"""Seconds of silence between two tokens after which the server counts as hung."""

PREFILL = 5
"""Silences before the first token: most servers say nothing while they load and read."""

SLOWEST = 10.0
"""Tokens a second; a slower reader, beyond `PREFILL`, counts as hung. Two cores read 50 to 75 with
a model of 1.5 billion parameters (on llama.cpp), so about 12 with 7 billion."""


class RequestGroup:
    """Requests that run side by side: a server that works on one of them is not silent."""

    def __init__(self) -> None:
        self.heard = time.monotonic()
        self.members: set[SilenceTimeout] = set()


class SilenceTimeout:
    """How long a silence of one request may last, in seconds.

    `first` counts until the answer begins, from the last sign of life of the `group`: the request
    may be waiting for the others to end. `later` counts between two parts of the answer.
    """

    def __init__(self, first: float, later: float, group: RequestGroup | None = None) -> None:
        self._first, self._later = first, later
        self._group = group or RequestGroup()
        self._heard: float | None = None
        self._begin = time.monotonic()
        self._scope = CancelScope()

    async def wait(self, answer: Awaitable[T], server: ServerAddress) -> T:
        """Return what `answer` comes to. Raises WorkerHung after too long a silence.

        Cancellation and silence close the connection of `answer`.
        """
        with CancelScope(deadline=self._deadline()) as self._scope:
            self._group.members.add(self)
            try:
                return await answer
            finally:
                self._group.members.discard(self)
        raise self._error(server)

    def tick(self) -> None:
        """Record a sign of life, which extends the time of the whole group."""
        self._heard = self._group.heard = time.monotonic()
        for member in self._group.members:
            member._scope.deadline = member._deadline()

    def _deadline(self) -> float:
        """When the silence has lasted too long, by the clock of the event loop."""
        if self._heard is not None:
            return self._heard + self._later
        return max(self._begin, self._group.heard) + self._first

    def _error(self, server: ServerAddress) -> WorkerHung:
        """The error for too long a silence."""
        if self._heard is None:
            return WorkerHung(
                f"{server} has not begun to answer for {self._first:.0f} s",
                "it may still be reading the prompt (raise silence_seconds), or hang (restart it)",
            )
        return WorkerHung(
            f"{server} stopped in the middle of a reply for {self._later:.0f} s",
            "restart it if that happens again",
        )


@dataclass(frozen=True, slots=True)
class SilenceLimits:
    """How long the server may be silent.

    That is `silence` seconds between two tokens. Before the first token it is `prefill` seconds
    plus the time for the prompt at `slowest` tokens a second, because the server says nothing then.
    """

    silence: float
    prefill: float
    slowest: float = SLOWEST

    @staticmethod
    def of(silence: float = SILENCE) -> SilenceLimits:
        """The limits for a setting of `silence` seconds."""
        return SilenceLimits(silence, PREFILL * silence)

    def timeout(self, tokens: int, group: RequestGroup) -> SilenceTimeout:
        """For a request of about `tokens` tokens."""
        return SilenceTimeout(self.prefill + tokens / self.slowest, self.silence, group)
