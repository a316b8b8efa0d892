"""The search: strategies propose, the check judges, the best is kept.

Every step is an event, so that the user sees candidates being tried and a benchmark can say which
step solved what. The workspace is not touched here: candidates live in views.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

from localagent.agent.checks.baseline import hold_result
from localagent.agent.checks.runner import CheckResult, ends_well, run_check
from localagent.agent.model_calls import Reply, ask_all
from localagent.agent.planners.plan_steps import not_done, own_text
from localagent.agent.repair.candidates import Board, Candidate
from localagent.agent.repair.overfit import is_overfit
from localagent.agent.repair.problem import Problem
from localagent.agent.repair.strategies.base import Draft, Plan
from localagent.agent.turn import Turn
from localagent.code.file_kinds import is_test
from localagent.code.syntax_check import added_fault, syntax_error
from localagent.context.builder import text_of
from localagent.core.changes import Change, file_change
from localagent.core.errors import EditError, LimitReached
from localagent.core.events import CandidateProposed, CandidateRejected, Event
from localagent.edits.apply import replace_file
from localagent.edits.textfile import encode
from localagent.models.base import Usage

# A candidate may take this many times as long as the check took at the start, and at least
# MIN_CHECK_SECONDS: small models write endless loops.
SLOWER = 4.0
MIN_CHECK_SECONDS = 15.0
_USED_UP: list[Draft] = []
_NOTHING_ASKED = Reply("", "stop", Usage())
# Candidates in a row whose check did not end, before the check itself is taken to hang.
MAX_TIMEOUTS = 3


def search(
    turn: Turn, problem: Problem, board: Board, plan: Plan, seconds: float
) -> Generator[Event, None, Candidate | None]:
    """Try strategies until a candidate passes the check or `seconds` are over.

    Those that come first are used up one after another; the others then take turns, so that what is
    written anew is repaired before more is written. Returns the candidate that passed (see
    `ends_well`); without a check, the first that parses; otherwise None, with what was tried on
    the board. Raises LimitReached where the check itself seems to hang.
    """
    end = time.monotonic() + seconds
    for strategy in plan.first:
        for drafts in strategy(turn, problem, board):
            if not drafts:
                break
            found = yield from _try(turn, problem, board, drafts, end)
            if found is not None or time.monotonic() > end:
                return found
    repairs = [strategy(turn, problem, board) for strategy in plan.repairs]
    anew = [strategy(turn, problem, board) for strategy in plan.anew]
    idle = 0  # rounds without a question; in as many as they are, each of `anew` has its turn
    while idle <= len(anew):
        asked = False
        turns = [*anew[:1], *repairs] if plan.anew_first else [*repairs, *anew[:1]]
        for current in turns:
            went = yield from _turn_of(
                turn, problem, board, current, end, climbs=current in repairs
            )
            if went.found is not None or time.monotonic() > end:
                return went.found
            asked |= went.asked
        anew = [*anew[1:], *anew[:1]]
        idle = 0 if asked else idle + 1
    return None


@dataclass(frozen=True, slots=True)
class _Went:
    """How a strategy's turn went: what passed, and whether it asked or tried anything."""

    found: Candidate | None
    asked: bool


def _turn_of(
    turn: Turn,
    problem: Problem,
    board: Board,
    strategy: Iterator[Sequence[Draft]],
    end: float,
    *,
    climbs: bool,
) -> Generator[Event, None, _Went]:
    """One strategy's turn. One that `climbs` goes on as long as the best candidate gets better."""
    asked = False
    while drafts := next(strategy, _USED_UP):
        score = board.best_score
        found = yield from _try(turn, problem, board, drafts, end)
        asked = True
        goes_on = any(draft.leads_on for draft in drafts)
        if found is not None or time.monotonic() > end:
            return _Went(found, asked)
        if not goes_on and not (climbs and board.best_score > score):
            break
    return _Went(None, asked)


def _try(
    turn: Turn, problem: Problem, board: Board, drafts: Sequence[Draft], end: float
) -> Generator[Event, None, Candidate | None]:
    """Ask for drafts, side by side, and judge each as it comes; the first that passes ends it."""
    found: list[Candidate] = []

    def judged(place: int, reply: Reply) -> Generator[Event, None, bool]:
        candidate = yield from _judge_reply(turn, problem, board, asking[place], reply)
        found.extend([candidate] if candidate else [])
        return bool(found) or time.monotonic() > end

    asking = [draft for draft in drafts if draft.request is not None]
    for draft in drafts:
        if draft.request is None:
            turn.ensure_within_limits()
            candidate = yield from _judge_reply(turn, problem, board, draft, _NOTHING_ASKED)
            if candidate is not None:
                return candidate
    requests = [draft.request for draft in asking if draft.request is not None]
    if requests:
        yield from ask_all(turn, asking[0].strategy, requests, judged)
    _ensure_check_ends(problem, board)
    return found[0] if found else None


def _judge_reply(
    turn: Turn, problem: Problem, board: Board, draft: Draft, reply: Reply
) -> Generator[Event, None, Candidate | None]:
    """Judge what a reply makes of the file; the candidate, where the check passes."""
    number = turn.ledger.next("candidate")
    if reply.finish == "length" and not draft.may_be_cut:
        draft.cut(reply.text)
        yield CandidateRejected(number, "the reply was cut off or repeated itself")
        return None
    try:
        texts = draft.build(reply.text)
    except EditError as error:
        yield CandidateRejected(number, error.message)
        return None
    for place, text in enumerate(texts):
        number = turn.ledger.next("candidate") if place else number
        text = turn.services.redactor.restore(text, problem.text, turn.prompt)
        try:
            change = _change(turn, problem, board, text)
        except EditError as error:
            yield CandidateRejected(number, error.message)
            continue
        result = yield from _judge(turn, problem, draft.strategy, number, change)
        candidate = Candidate(number, draft.strategy, problem.path, text, change, result)
        board.add(candidate)
        if (
            result is None
            or problem.start is None
            or ends_well(turn.request.kind, problem.start, result)
        ):
            return candidate
    return None


def _change(turn: Turn, problem: Problem, board: Board, text: str) -> Change:
    """The change that gives the problem's file this text, in the file's own encoding.

    Raises EditError where the text is not worth checking.
    """
    change = file_change(problem.path, encode(replace_file(problem.old, text)))
    if mark := turn.services.redactor.first_placeholder(text, problem.text):
        raise EditError(f"it holds {mark} in the place of something that is hidden")
    fault = syntax_error(problem.path, text) or added_fault(problem.path, problem.text, text)
    if fault:
        raise EditError(fault)
    if not board.is_new(problem.path, text):
        raise EditError("it was tried before")
    if turn.request.is_step and (fault := not_done(own_text(turn.prompt), problem.text, text)):
        raise EditError(fault)
    if problem.path.endswith(".py"):
        tests = [text_of(turn.services.workspace, path) for path in problem.beside if is_test(path)]
        if is_overfit(text, tests) and not is_overfit(problem.text, tests):
            raise EditError("it answers the tests' own inputs one by one")
    return change


def _judge(
    turn: Turn, problem: Problem, strategy: str, number: int, change: Change
) -> Generator[Event, None, CheckResult | None]:
    planned = turn.services.model.info.profile.candidates if strategy == "file" else 0
    yield CandidateProposed(number, planned, strategy, [problem.path])
    if problem.start is None:
        return None
    start = problem.start
    if problem.lean:
        lean = _checked(turn, problem, start, number, change, lean=True)
        result, held = yield from hold_result(lean)
        if not ends_well(turn.request.kind, start, result):
            yield from held
            return result
    return (yield from _checked(turn, problem, start, number, change, lean=False))


def _checked(
    turn: Turn, problem: Problem, start: CheckResult, number: int, change: Change, *, lean: bool
) -> Generator[Event, None, CheckResult]:
    return (
        yield from run_check(
            turn,
            problem.check,
            [change],
            candidate=number,
            seconds=_check_seconds(turn, start.seconds, start.timed_out),
            trace=[problem.path] if problem.path.endswith(".py") else [],
            lean=lean,
        )
    )


def _check_seconds(turn: Turn, at_start: float, timed_out: bool) -> float:
    wanted = MIN_CHECK_SECONDS if timed_out else max(MIN_CHECK_SECONDS, SLOWER * at_start)
    return min(turn.services.check_seconds, wanted)


def _ensure_check_ends(problem: Problem, board: Board) -> None:
    if problem.start is None or not problem.start.timed_out:
        return
    last = [c.result for c in board.tried[-MAX_TIMEOUTS:]]
    if len(last) == MAX_TIMEOUTS and all(r is not None and r.timed_out for r in last):
        raise LimitReached(
            f"the check did not end in time, with or without changes: {problem.check}",
            "give a check that ends, or raise check_seconds in the settings",
        )
