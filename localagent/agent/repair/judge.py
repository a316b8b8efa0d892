"""Judge the candidates of one search: what is not worth a check is refused, the rest is checked."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace

from localagent.agent.checks.baseline import hold_result
from localagent.agent.checks.runner import CheckResult, ends_well, run_check
from localagent.agent.intent import step_fault, step_text
from localagent.agent.limits import FORKS, SEARCH
from localagent.agent.model_calls import Reply
from localagent.agent.repair.candidates import Board, Candidate, Draft
from localagent.agent.repair.false_passes import is_overfit
from localagent.agent.repair.problem import Problem
from localagent.agent.turn import Turn
from localagent.code.file_kinds import is_test
from localagent.code.syntax_check import added_fault, syntax_error
from localagent.context.builder import text_of
from localagent.core.changes import Change, file_change
from localagent.core.errors import EditError
from localagent.core.events import (
    CandidateProposed,
    CandidateRejected,
    CheckFinished,
    CheckStarted,
    Event,
)
from localagent.edits.textfile import encode, plain_sha256, replace_file
from localagent.models.base import Usage

NO_REPLY = Reply("", "stop", Usage())


@dataclass(slots=True)
class SearchState:
    """The state that all steps of one search share; `end` is a monotonic time.

    `patience` is the time in seconds after which a search ends that has fixed some failing tests,
    and has not come further since.
    """

    turn: Turn
    problem: Problem
    board: Board
    end: float
    patience: float
    _passed: int = 0
    _stuck_at: float = math.inf

    @property
    def over(self) -> bool:
        return time.monotonic() > min(self.end, self._stuck_at)

    @property
    def judged(self) -> int:
        """How many candidates were judged in this search, by forks also in earlier searches."""
        forks = self.problem.forks
        return len(self.board.tried) + (len(forks.judged) if forks is not None else 0)

    def record(self, candidate: Candidate) -> None:
        """Record a judged candidate, and whether it fixes more tests and breaks none."""
        self.board.add(candidate)
        start, result = self.problem.start, candidate.result
        if start is None or result is None or not start.passing < result.passing:
            return
        if len(result.passing) > self._passed:
            self._passed = len(result.passing)
            self._stuck_at = time.monotonic() + self.patience

    def text_of(self, result: CheckResult) -> str | None:
        """The file's text with the result `result` (that very object); None if there is none."""
        if result is self.problem.start:
            return self.problem.text
        return next((c.text for c in self.board.tried if c.result is result), None)


def judge_reply(
    s: SearchState, draft: Draft, reply: Reply, *, in_forks: bool = True
) -> Generator[Event, None, Candidate | None]:
    """Judge the file texts that a reply yields; return the first candidate that passes.

    `in_forks` lets a fork decide about a text that fails in the same way as the fork's own text.
    """
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
        known = _known_result(s, text) if in_forks else None
        result = yield from _judge(s, draft.strategy, number, change, known)
        candidate = Candidate(
            number, draft.strategy, problem.path, text, change, result, problem.others
        )
        s.record(candidate)
        start = problem.start
        if result is None or start is None or ends_well(turn.request.kind, start, result):
            return candidate
    return None


def _change(s: SearchState, text: str) -> Change:
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
    if (problem.path, plain_sha256(text)) in turn.refused:
        raise EditError("you refused it")
    if turn.required and not any(turn.required in line for line in _added(problem.text, text)):
        raise EditError(f"it does not use {turn.required}")
    if turn.request.is_step:
        fault = step_fault(step_text(turn.prompt), problem.path, problem.text, text)
        if fault:
            raise EditError(fault)
    if problem.language.can("import_analysis"):
        tests = [text_of(turn.services.workspace, p) for p in problem.neighbors if is_test(p)]
        if is_overfit(text, tests) and not is_overfit(problem.text, tests):
            raise EditError("it hard-codes answers to the tests' inputs")
    return change


def _added(old: str, new: str) -> Iterable[str]:
    """The lines of a text that the old text does not have."""
    return set(new.splitlines()).difference(old.splitlines())


def _judge(
    s: SearchState, strategy: str, number: int, change: Change, known: CheckResult | None
) -> Generator[Event, None, CheckResult | None]:
    """Check a candidate, first without plug-ins if `problem.lean`; None without a check.

    `known` is its result in a fork, which needs no check.
    """
    total = s.turn.services.model.info.profile.candidates if strategy == "file" else 0
    yield CandidateProposed(number, total, strategy, [s.problem.path])
    start, check = s.problem.start, s.problem.check
    if start is None:
        return None
    if known is not None:
        yield CheckStarted(check, number)
        passed, failed = known.passed, known.failed
        yield CheckFinished(check, number, False, 1, passed, failed, round(known.seconds, 3), "")
        return known
    if s.problem.lean:
        result, held = yield from hold_result(_check(s, start, number, change, lean=True))
        if not ends_well(s.turn.request.kind, start, result):
            yield from held
            return result
    return (yield from _check(s, start, number, change, lean=False))


def _known_result(s: SearchState, text: str) -> CheckResult | None:
    """The result of the text that the fork server runs, if `text` is no better in a fork.

    It fails in the same way. Or the fork runs the user's text, and `text` fixes no test, but breaks
    some or has a slow check. None if no server runs, or if a real check has to decide.
    """
    fork = s.problem.forks.running if s.problem.forks is not None else None
    before = s.text_of(fork.base) if fork is not None else None
    if fork is None or before is None:
        return None
    start = time.monotonic()
    for verdict in fork.judge(s.problem.path, before, [text]):
        slow = fork.base.seconds > FORKS.slow_check_seconds
        is_first = fork.base is s.problem.start and verdict.judged
        no_better = is_first and not verdict.fixed and (slow or bool(verdict.broken))
        if verdict.same or no_better:
            return replace(fork.base, seconds=time.monotonic() - start, output="")
    return None


def _check(
    s: SearchState, start: CheckResult, number: int, change: Change, *, lean: bool
) -> Generator[Event, None, CheckResult]:
    seconds = SEARCH.check_seconds
    if not start.timed_out:
        seconds = max(seconds, SEARCH.check_slowdown * start.seconds)
    return run_check(
        s.turn,
        s.problem.check,
        [*s.problem.others, change],
        candidate=number,
        seconds=min(s.turn.services.check_seconds, seconds),
        trace=[s.problem.path] if s.problem.language.can("tracing") else [],
        lean=lean,
    )
