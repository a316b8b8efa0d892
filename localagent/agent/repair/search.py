"""The search: strategies propose candidates, the check judges them, and the best one is kept.

Every step is an event, so the user sees each candidate, and a benchmark knows which step solved a
task. The search writes candidates only to snapshots, never to the workspace.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

from localagent.agent.checks.baseline import hold_result
from localagent.agent.checks.runner import CheckResult, ends_well, run_check
from localagent.agent.intent import step_fault, step_text
from localagent.agent.limits import SEARCH
from localagent.agent.model_calls import Reply, ask_all
from localagent.agent.repair.candidates import Board, Candidate, Draft
from localagent.agent.repair.false_passes import is_overfit
from localagent.agent.repair.problem import Problem
from localagent.agent.repair.strategies import Schedule
from localagent.agent.turn import Turn
from localagent.code.file_kinds import is_test
from localagent.code.syntax_check import added_fault, syntax_error
from localagent.context.builder import text_of
from localagent.core.changes import Change, file_change
from localagent.core.errors import EditError, LimitReached
from localagent.core.events import CandidateProposed, CandidateRejected, Event
from localagent.edits.textfile import encode, replace_file
from localagent.models.base import Usage

_EXHAUSTED: list[Draft] = []
_NO_REPLY = Reply("", "stop", Usage())


@dataclass(frozen=True, slots=True)
class _Search:
    """The state that all steps of one search share; `end` is a monotonic time."""

    turn: Turn
    problem: Problem
    board: Board
    end: float

    @property
    def over(self) -> bool:
        return time.monotonic() > self.end


@dataclass(frozen=True, slots=True)
class _Slot:
    """The outcome of a strategy's slot: the passed candidate, and whether any was tried."""

    passed: Candidate | None
    tried: bool


def search(
    turn: Turn, problem: Problem, board: Board, schedule: Schedule, seconds: float
) -> Generator[Event, None, Candidate | None]:
    """Try strategies until a candidate passes the check or `seconds` have passed.

    The strategies in `schedule.first` run to their end, one after another. The other strategies
    alternate: the search repairs a candidate before it writes another. Returns the candidate that
    passes (see `ends_well`), or None; the board has all candidates. Without a check, returns the
    first candidate that parses. Raises LimitReached if the check itself seems to hang.
    """
    s = _Search(turn, problem, board, time.monotonic() + seconds)
    for strategy in schedule.first:
        for drafts in strategy(turn, problem, board):
            if not drafts:
                break
            passed = yield from _try(s, drafts)
            if passed is not None or s.over:
                return passed
    repairs = [strategy(turn, problem, board) for strategy in schedule.repairs]
    anew = [strategy(turn, problem, board) for strategy in schedule.anew]
    # rounds in a row without a draft; the search ends after one such round for each of `anew`
    idle = 0
    while idle <= len(anew):
        tried = False
        slots = [*anew[:1], *repairs] if schedule.anew_first else [*repairs, *anew[:1]]
        for strategy_drafts in slots:
            slot = yield from _run_slot(s, strategy_drafts, climbs=strategy_drafts in repairs)
            if slot.passed is not None or s.over:
                return slot.passed
            tried |= slot.tried
        anew = [*anew[1:], *anew[:1]]
        idle = 0 if tried else idle + 1
    return None


def _run_slot(
    s: _Search, strategy: Iterator[Sequence[Draft]], *, climbs: bool
) -> Generator[Event, None, _Slot]:
    """Run a strategy's slot. With `climbs`, it goes on while the best candidate improves."""
    tried = False
    while drafts := next(strategy, _EXHAUSTED):
        score = s.board.best_score
        passed = yield from _try(s, drafts)
        tried = True
        if passed is not None or s.over:
            return _Slot(passed, tried)
        improved = climbs and s.board.best_score > score
        if not improved and not any(draft.keeps_slot for draft in drafts):
            break
    return _Slot(None, tried)


def _try(s: _Search, drafts: Sequence[Draft]) -> Generator[Event, None, Candidate | None]:
    """Ask drafts side by side and judge each reply; a passing candidate ends the others."""
    passed: list[Candidate] = []
    questions = [draft for draft in drafts if draft.request is not None]

    def judge_reply(place: int, reply: Reply) -> Generator[Event, None, bool]:
        candidate = yield from _judge_reply(s, questions[place], reply)
        passed.extend([candidate] if candidate else [])
        return bool(passed) or s.over

    for draft in drafts:
        if draft.request is None:
            s.turn.ensure_within_limits()
            candidate = yield from _judge_reply(s, draft, _NO_REPLY)
            if candidate is not None:
                return candidate
    requests = [draft.request for draft in questions if draft.request is not None]
    if requests:
        yield from ask_all(s.turn, questions[0].strategy, requests, judge_reply)
    _ensure_check_ends(s)
    return passed[0] if passed else None


def _judge_reply(
    s: _Search, draft: Draft, reply: Reply
) -> Generator[Event, None, Candidate | None]:
    """Judge the file texts that a reply yields; return the first candidate that passes."""
    turn, problem = s.turn, s.problem
    number = turn.ledger.next("candidate")
    if reply.finish == "length" and not draft.may_be_cut:
        draft.on_cut(reply.text)
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
            change = _change(s, text)
        except EditError as error:
            yield CandidateRejected(number, error.message)
            continue
        result = yield from _judge(s, draft.strategy, number, change)
        candidate = Candidate(number, draft.strategy, problem.path, text, change, result)
        s.board.add(candidate)
        start = problem.start
        if result is None or start is None or ends_well(turn.request.kind, start, result):
            return candidate
    return None


def _change(s: _Search, text: str) -> Change:
    """The change that gives the problem's file this text, in the file's own encoding.

    Raises EditError if the text is not worth a check.
    """
    turn, problem = s.turn, s.problem
    change = file_change(problem.path, encode(replace_file(problem.old, text)))
    if mark := turn.services.redactor.first_placeholder(text, problem.text):
        raise EditError(f"it holds {mark} in place of a redacted secret")
    fault = syntax_error(problem.path, text) or added_fault(problem.path, problem.text, text)
    if fault:
        raise EditError(fault)
    if not s.board.is_new(problem.path, text):
        raise EditError("it was tried before")
    if turn.request.is_step:
        fault = step_fault(step_text(turn.prompt), problem.path, problem.text, text)
        if fault:
            raise EditError(fault)
    if problem.language.can("import_analysis"):
        tests = [text_of(turn.services.workspace, p) for p in problem.neighbors if is_test(p)]
        if is_overfit(text, tests) and not is_overfit(problem.text, tests):
            raise EditError("it hard-codes answers to the tests' inputs")
    return change


def _judge(
    s: _Search, strategy: str, number: int, change: Change
) -> Generator[Event, None, CheckResult | None]:
    """Check a candidate, first without plug-ins if `problem.lean`; None without a check."""
    total = s.turn.services.model.info.profile.candidates if strategy == "file" else 0
    yield CandidateProposed(number, total, strategy, [s.problem.path])
    start = s.problem.start
    if start is None:
        return None
    if s.problem.lean:
        result, held = yield from hold_result(_check(s, start, number, change, lean=True))
        if not ends_well(s.turn.request.kind, start, result):
            yield from held
            return result
    return (yield from _check(s, start, number, change, lean=False))


def _check(
    s: _Search, start: CheckResult, number: int, change: Change, *, lean: bool
) -> Generator[Event, None, CheckResult]:
    seconds = SEARCH.check_seconds
    if not start.timed_out:
        seconds = max(seconds, SEARCH.check_slowdown * start.seconds)
    return run_check(
        s.turn,
        s.problem.check,
        [change],
        candidate=number,
        seconds=min(s.turn.services.check_seconds, seconds),
        trace=[s.problem.path] if s.problem.language.can("tracing") else [],
        lean=lean,
    )


def _ensure_check_ends(s: _Search) -> None:
    if s.problem.start is None or not s.problem.start.timed_out:
        return
    last = [c.result for c in s.board.tried[-SEARCH.timeouts :]]
    if len(last) == SEARCH.timeouts and all(r is not None and r.timed_out for r in last):
        raise LimitReached(
            f"the check did not end in time, with or without changes: {s.problem.check}",
            "use a check that ends, or raise check_seconds in the settings",
        )
