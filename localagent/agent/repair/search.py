"""The search: strategies propose candidates, the check judges them, and the best one is kept.

Every step is an event, so the user sees each candidate, and a benchmark knows which step solved a
task. The search writes candidates only to snapshots, never to the workspace.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

from localagent.agent.checks.runner import most_pass
from localagent.agent.limits import SEARCH
from localagent.agent.model_calls import Reply, ask_all
from localagent.agent.repair.candidates import Board, Candidate, Draft, best_text
from localagent.agent.repair.judge import NO_REPLY, SearchState, judge_reply
from localagent.agent.repair.problem import Problem
from localagent.agent.repair.small_changes import try_small_changes
from localagent.agent.repair.strategies import Schedule
from localagent.agent.turn import Turn
from localagent.core.errors import LimitReached
from localagent.core.events import Event

_EXHAUSTED: list[Draft] = []


@dataclass(frozen=True, slots=True)
class _Slot:
    """The outcome of a strategy's slot: the passed candidate, and whether anything was new.

    A slot whose replies all change nothing or were tried before counts like one without a draft.
    """

    passed: Candidate | None
    tried: bool


def search(
    turn: Turn,
    problem: Problem,
    board: Board,
    schedule: Schedule,
    seconds: float,
    patience: float = math.inf,
) -> Generator[Event, None, Candidate | None]:
    """Try strategies until a candidate passes the check or `seconds` have passed.

    It ends early if a candidate fixed some failing tests and none fixed more for `patience`
    seconds.

    The strategies in `schedule.first` run to their end, one after another. The other strategies
    alternate: the search repairs a candidate before it writes another. Returns the candidate that
    passes (see `ends_well`), or None; the board has all candidates. Without a check, returns the
    first candidate that parses. Raises LimitReached if the check itself seems to hang.
    """
    s = SearchState(turn, problem, board, time.monotonic() + seconds, patience)
    for strategy in schedule.first:
        for drafts in strategy(turn, problem, board):
            if not drafts:
                break
            passed = yield from _try(s, drafts)
            if passed is not None or s.over:
                return passed
    repairs = [strategy(turn, problem, board) for strategy in schedule.repairs]
    anew = [strategy(turn, problem, board) for strategy in schedule.anew]
    # rounds in a row without a new candidate; the search ends after one for each of `anew`
    idle = 0
    while idle <= len(anew):
        tried = False
        writes_first = schedule.anew_first and not _passes_most(s)
        slots = [*anew[:1], *repairs] if writes_first else [*repairs, *anew[:1]]
        for strategy_drafts in slots:
            slot = yield from _run_slot(s, strategy_drafts, climbs=strategy_drafts in repairs)
            if slot.passed is not None or s.over:
                return slot.passed
            tried |= slot.tried
        anew = [*anew[1:], *anew[:1]]
        idle = 0 if tried else idle + 1
    return None


def _passes_most(s: SearchState) -> bool:
    """Whether the best text passes most tests, so that repairs pay more than another file."""
    _, result = best_text(s.problem, s.board)
    return result is not None and most_pass(result)


def _run_slot(
    s: SearchState, strategy: Iterator[Sequence[Draft]], *, climbs: bool
) -> Generator[Event, None, _Slot]:
    """Run a strategy's slot. With `climbs`, it goes on while the best candidate improves."""
    tried = False
    while drafts := next(strategy, _EXHAUSTED):
        score, judged = s.board.best_score, s.judged
        passed = yield from _try(s, drafts)
        tried |= s.judged > judged
        if passed is not None or s.over:
            return _Slot(passed, tried)
        improved = climbs and s.board.best_score > score
        if not improved and not any(draft.keeps_slot for draft in drafts):
            break
    return _Slot(None, tried)


def _try(s: SearchState, drafts: Sequence[Draft]) -> Generator[Event, None, Candidate | None]:
    """Ask drafts side by side and judge each reply; a passing candidate ends the others."""
    passed: list[Candidate] = []
    questions = [draft for draft in drafts if draft.request is not None]

    def judge(place: int, reply: Reply) -> Generator[Event, None, bool]:
        candidate = yield from judge_reply(s, questions[place], reply)
        passed.extend([candidate] if candidate else [])
        return bool(passed) or s.over

    outcome = yield from try_small_changes(s, drafts)
    if outcome is not None:
        return outcome.passed
    for draft in drafts[: _most_slow(drafts)]:
        if draft.request is None:
            s.turn.ensure_within_limits()
            candidate = yield from judge_reply(s, draft, NO_REPLY)
            if candidate is not None:
                return candidate
    requests = [draft.request for draft in questions if draft.request is not None]
    if requests:
        yield from ask_all(s.turn, questions[0].strategy, requests, judge)
    _ensure_check_ends(s)
    return passed[0] if passed else None


def _most_slow(drafts: Sequence[Draft]) -> int:
    """How many of the drafts can be checked one by one: of many small changes, only the first."""
    base = drafts[0].base
    if base is None or len(drafts) == 1:
        return len(drafts)
    return int(SEARCH.mutation_seconds / max(base.result.seconds, SEARCH.mutation_check_seconds))


def _ensure_check_ends(s: SearchState) -> None:
    if s.problem.start is None or not s.problem.start.timed_out:
        return
    last = [c.result for c in s.board.tried[-SEARCH.timeouts :]]
    if len(last) == SEARCH.timeouts and all(r is not None and r.timed_out for r in last):
        raise LimitReached(
            f"the check did not end in time, with or without changes: {s.problem.check}",
            "use a check that ends, or raise check_seconds in the settings",
        )
