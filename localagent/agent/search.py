"""The search: strategies propose, the check judges, the best is kept.

Every step is an event, so that the user sees candidates being tried and a benchmark can say which
step solved what. The workspace is not touched here: candidates live in views.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence

from localagent.agent.ask import ask
from localagent.agent.candidates import Board, Candidate
from localagent.agent.problem import Problem
from localagent.agent.strategies.base import Draft, Strategy
from localagent.agent.turn import Turn
from localagent.agent.verify import run_check
from localagent.changes import Change, file_change
from localagent.edits.apply import replace_file
from localagent.edits.syntax import syntax_error
from localagent.edits.textfile import encode
from localagent.errors import LimitReached, ToolError
from localagent.events import CandidateProposed, CandidateRejected, Event

# A candidate may take this many times as long as the check took at the start, and at least
# MIN_CHECK_SECONDS: small models write endless loops.
SLOWER = 4.0
MIN_CHECK_SECONDS = 15.0
# Candidates in a row whose check did not end, before the check itself is taken to hang.
MAX_TIMEOUTS = 3


def search(
    turn: Turn,
    problem: Problem,
    board: Board,
    strategies: Sequence[Strategy],
    seconds: float,
) -> Generator[Event, None, Candidate | None]:
    """Try `strategies` in order until a candidate passes the check or `seconds` are over.

    Returns the candidate that passed; without a check, the first that parses; otherwise None, with
    what was tried on the board. Raises LimitReached where the check itself seems to hang.
    """
    end = time.monotonic() + seconds
    for strategy in strategies:
        for draft in strategy(turn, problem, board):
            found = yield from _try(turn, problem, board, draft)
            if found is not None:
                return found
            if time.monotonic() > end:
                return None
            _ensure_check_ends(problem, board)
    return None


def _try(
    turn: Turn, problem: Problem, board: Board, draft: Draft
) -> Generator[Event, None, Candidate | None]:
    """Ask for one draft and judge what comes back."""
    reply = yield from ask(turn, draft.strategy, draft.request)
    number = turn.next("candidate")
    if reply.finish == "length" and draft.strategy != "infill":
        yield CandidateRejected(number, "the reply was cut off or repeated itself")
        return None
    try:
        texts = draft.build(reply.text)
    except ToolError as error:
        yield CandidateRejected(number, error.message)
        return None
    for text in texts:
        reason = _unfit(problem, board, text)
        if reason:
            yield CandidateRejected(number, reason)
            continue
        candidate = yield from _judge(turn, problem, draft.strategy, number, text)
        board.add(candidate)
        if candidate.result is None or candidate.result.ok:
            return candidate
        number = turn.next("candidate") if text is not texts[-1] else number
    return None


def _unfit(problem: Problem, board: Board, text: str) -> str:
    """Why `text` is not worth checking, or ""."""
    if text.strip() == problem.text.strip():
        return "the file would stay as it is"
    fault = syntax_error(problem.path, text)
    if fault:
        return fault
    return "" if board.is_new(problem.path, text) else "it was tried before"


def _judge(
    turn: Turn, problem: Problem, strategy: str, number: int, text: str
) -> Generator[Event, None, Candidate]:
    change = change_to(problem, text)
    planned = turn.services.model.info.profile.candidates
    yield CandidateProposed(number, planned, strategy, [problem.path])
    result = None
    if problem.start is not None:
        result = yield from run_check(
            turn,
            problem.check,
            [change],
            candidate=number,
            seconds=_check_seconds(turn, problem.start.seconds, problem.start.timed_out),
            trace=[problem.path] if problem.path.endswith(".py") else [],
        )
    return Candidate(number, strategy, problem.path, text, change, result)


def change_to(problem: Problem, text: str) -> Change:
    """The change that gives the problem's file this text, in the file's own encoding."""
    return file_change(problem.path, encode(replace_file(problem.old, text)))


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
