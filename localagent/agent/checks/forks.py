"""The fork server of a turn: started for the text that small changes are made to, and kept."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress

from localagent.agent.checks.fork_check import ForkCheck
from localagent.agent.checks.fork_server import ForkServer, Mode
from localagent.agent.checks.runner import CheckResult, report_blocked
from localagent.agent.limits import FORKS
from localagent.agent.turn import Turn
from localagent.core.changes import Change
from localagent.core.errors import SandboxError
from localagent.core.events import CheckStarted, Event


class Forks:
    """At most one fork server of each mode, for the workspace with at most one changed file.

    `judged` holds the hashes of the changes that forks have judged in this turn.
    """

    def __init__(self, turn: Turn, check: str, *, lean: bool) -> None:
        self.judged: set[int] = set()
        self._turn = turn
        self._check = check
        self._lean = lean
        self._failures: Counter[Mode] = Counter()
        self._running: dict[Mode, tuple[ForkServer, ForkCheck]] = {}
        self._launched: ForkServer | None = None

    @property
    def usable(self) -> bool:
        """Whether a server may work: it can fork, the probe loads, and no three servers failed."""
        return self._may_start("collected")

    @property
    def running(self) -> ForkCheck | None:
        """The fork check that runs now, the quicker mode first; its `base` says for which text."""
        checks = (self._running[mode][1] for mode in sorted(self._running))
        return next((c for c in checks if c.alive and self.usable), None)

    def launch(self, base: CheckResult) -> None:
        """Begin to start a server for the unchanged workspace, whose traced check still runs.

        `base` is the result of its check without traces; it says whether a server can help.
        """
        if not base.reported and _mode(base) == "collected" and self._may_start("collected"):
            with suppress(SandboxError):
                self._launched = ForkServer(
                    self._turn, self._check, [], "collected", lean=self._lean
                )

    def start(
        self, changes: Sequence[Change], base: CheckResult, mode: Mode | None = None
    ) -> Generator[Event, None, ForkCheck | None]:
        """The fork check for changes of the workspace with `changes`, whose check has the result
        `base`.

        Without a `mode`, the forks are fresh only if the tests cannot even be collected. None if
        no test fails in a fork, or if no server runs.
        """
        mode = mode or _mode(base)
        _, check = self._running.get(mode, (None, None))
        if check is not None and check.alive and check.base is base:
            return check
        if base.reported:  # the check loads no probe
            self.give_up()
        may_start = self._may_start(mode) and bool(base.failing)
        if not may_start or changes or mode != "collected":
            self._discard_launched()
        if not may_start:
            return None
        yield from self._end(mode)
        yield CheckStarted(self._check)
        with suppress(SandboxError):
            server = self._launched or ForkServer(
                self._turn, self._check, changes, mode, lean=self._lean
            )
            self._launched = None
            check = ForkCheck(server, base)
            self._running[mode] = server, check
            if check.prepare(FORKS.start_seconds + FORKS.start_slowdown * base.seconds):
                return check
            self._failures[mode] += 1 if check.is_ready else FORKS.starts
        yield from self._end(mode)
        return None

    def give_up(self) -> None:
        """Start no server for the rest of the turn: a real check refuted a verdict, for example."""
        self._failures.update(collected=FORKS.starts, fresh=FORKS.starts)

    def end(self) -> Iterator[Event]:
        """End the servers, and report what the sandbox refused to the changed code."""
        self._discard_launched()
        for mode in list(self._running):
            yield from self._end(mode)

    def close(self) -> None:
        """End the servers, without a report."""
        self._discard_launched()
        for server, _ in self._running.values():
            server.close()
        self._running.clear()

    def _discard_launched(self) -> None:
        if self._launched is not None:
            self._launched.close()
            self._launched = None

    def _may_start(self, mode: Mode) -> bool:
        return (
            sys.platform != "win32"
            and self._check not in self._turn.unprobed
            and self._failures[mode] < FORKS.starts
        )

    def _end(self, mode: Mode) -> Iterator[Event]:
        server, _ = self._running.pop(mode, (None, None))
        blocked = server.close() if server is not None else ""
        if blocked:
            yield from report_blocked(self._turn, blocked, f"small changes under {self._check}")


def _mode(base: CheckResult) -> Mode:
    """When forks are made for changes of a workspace with this result."""
    return "collected" if any("::" in test.id for test in base.failing) else "fresh"
