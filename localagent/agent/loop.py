"""The agent loop: one turn from its prompt to its last event.

    TurnStarted, what the planner yields, and exactly one TurnFinished, whatever happens.

Errors of the tree in `errors.py` end the turn with their exit code; any other exception is our own
mistake and passes through.
"""

from __future__ import annotations

import time
from collections.abc import Generator

from localagent.agent.planners.base import Planner, Result
from localagent.agent.turn import Turn
from localagent.core.errors import (
    BackendError,
    Interrupted,
    LimitReached,
    LocalAgentError,
    OutsideWorkspace,
    RefusedError,
)
from localagent.core.events import (
    Blocked,
    Event,
    Failed,
    MessageAdded,
    Outcome,
    TurnFinished,
    TurnStarted,
)

# 0 done and checked (or nothing needed checking), 1 not solved; errors carry their own code.
EXIT_CODES: dict[Outcome, int] = {"solved": 0, "answered": 0, "unverified": 1, "unsolved": 1}

_OUTCOMES: tuple[tuple[type[LocalAgentError], Outcome], ...] = (
    (RefusedError, "refused"),
    (BackendError, "failed"),
    (LimitReached, "limit"),
    (Interrupted, "interrupted"),
)


def run_turn(turn: Turn, planner: Planner) -> Generator[Event, None, None]:
    """Carry out `turn` with `planner`."""
    yield TurnStarted(turn.number, turn.prompt, turn.check, turn.kind)
    if turn.kind not in ("command", "check"):
        yield MessageAdded("user", turn.prompt)
    try:
        result = yield from planner.plan(turn)
        code = EXIT_CODES[result.outcome]
    except LocalAgentError as error:
        if isinstance(error, OutsideWorkspace):
            yield Blocked("path", "a path of the task", error.message)
        yield Failed(type(error).__name__, error.message, error.hint)
        outcome: Outcome = next((o for cls, o in _OUTCOMES if isinstance(error, cls)), "error")
        result, code = Result(outcome, error.message), error.exit_code
    yield _finished(turn, result, code)


def _finished(turn: Turn, result: Result, code: int) -> TurnFinished:
    return TurnFinished(
        turn=turn.number,
        outcome=result.outcome,
        exit_code=code,
        summary=result.summary,
        check=result.check,
        how=result.how,
        changed=list(turn.changed),
        seconds=round(time.monotonic() - turn.started - turn.waited, 3),
        prompt_tokens=turn.usage.prompt_tokens,
        reused_tokens=turn.usage.reused_tokens,
        completion_tokens=turn.usage.completion_tokens,
    )
