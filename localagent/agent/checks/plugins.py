"""Checks of candidates without the plug-ins that pytest loads because they are installed.

Where a project has a few tests, loading plug-ins takes most of a check: three quarters of 0.9 s
with hypothesis and xdist beside pytest. A search runs dozens of checks. So the check is run once
without them; where every test says what it said with them, candidates are checked like that. One
that passes is checked once more as the user would, and only that decides.
"""

from __future__ import annotations

from collections.abc import Generator

from localagent.agent.checks.runner import CheckResult, run_check
from localagent.agent.turn import Turn
from localagent.core.events import CheckFinished, Event

LEAST_SECONDS = 0.5
MOST_SECONDS = 5.0
"""A shorter check has nothing to save, and of a longer one the tests are what takes long."""
GAIN = 0.7
"""The share of the time that it may take, to be worth it."""


def may_be_lean(turn: Turn, start: CheckResult | None) -> Generator[Event, None, bool]:
    """Whether candidates may be checked without plug-ins; `start` is the check's result with them,
    on the workspace as it is."""
    if start is None or not start.tests or start.timed_out:
        return False
    if not LEAST_SECONDS <= start.seconds <= MOST_SECONDS:
        return False
    check = run_check(turn, start.command, seconds=MOST_SECONDS, lean=True)
    result, _ = yield from result_held(check)
    return result.seconds <= GAIN * start.seconds and _said(result) == _said(start)


def result_held(
    events: Generator[Event, None, CheckResult],
) -> Generator[Event, None, tuple[CheckResult, list[Event]]]:
    """The events of a check without that of its result, which comes with the result."""
    held: list[Event] = []
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            return end.value, held
        if isinstance(event, CheckFinished):
            held.append(event)
        else:
            yield event


def _said(result: CheckResult) -> dict[str, tuple[str, str]]:
    return {test.id: (test.outcome, test.message) for test in result.tests}
