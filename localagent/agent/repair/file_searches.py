"""Search the files of a turn one after another; a change that helps stays while others are tried.

A fault, or a new feature, may span several files. The search of a file ends early once its best
change fixes some failing tests and nothing better comes. The next files are searched with that
change in place, and the whole is applied as one.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace

from localagent.agent.checks.runner import CheckResult, not_worse, run_check
from localagent.agent.limits import SEARCH
from localagent.agent.repair.candidates import Board, Candidate
from localagent.agent.repair.localize import sources_to_trace, suspects
from localagent.agent.repair.problem import Problem
from localagent.agent.repair.search import search
from localagent.agent.repair.strategies import quick_schedule, schedule_for
from localagent.agent.turn import Turn
from localagent.core.changes import Change
from localagent.core.errors import LocalAgentError
from localagent.core.events import BestCandidate, Event, Step, Warned
from localagent.edits.diff import unified


def search_files(
    turn: Turn, problems: Sequence[Problem], boards: dict[str, Board], seconds: float
) -> Generator[Event, None, Candidate | None]:
    """Search file by file; each file gets half of the remaining time.

    If several files may be at fault, a first round tries the cheapest changes in each. With a model
    for the role "repair", that model gets the second half of the time. Returns the candidate that
    won; `boards` gets the candidates of each path.
    """
    repairing = turn.services.repairing
    if repairing is not None and (left := turn.seconds_left()) is not None:
        seconds = min(seconds, left)
    end = time.monotonic() + seconds
    main_seconds = seconds if repairing is None else seconds * SEARCH.main_share
    latest = {problem.path: problem for problem in problems}
    boards.update({problem.path: Board(problem.start) for problem in problems})
    candidate = yield from _search_all(turn, latest, boards, main_seconds)
    if candidate is None and repairing is not None:
        problem = max(latest.values(), key=lambda each: boards[each.path].best_score)
        yield Step("repair", f"asking {repairing.info.id} to repair {problem.path}")
        larger = replace(turn, services=replace(turn.services, model=repairing))
        schedule = schedule_for(problem, is_step=turn.request.is_step)
        left = end - time.monotonic()
        candidate = yield from search(larger, problem, boards[problem.path], schedule, left)
    if candidate is not None and candidate.others:
        candidate = yield from _without_others(turn, latest[candidate.path], candidate)
    return candidate or _last_step_candidate(turn, list(boards.values()))


def keep_best(turn: Turn, boards: Iterable[Board], start: CheckResult | None) -> Iterator[Event]:
    """Keep the best change of a search without success as a patch, if it fixes tests and breaks
    none. `start` is the check's result before the search, None without a check."""
    if start is None:
        return
    helpful = [
        (candidate, result)
        for board in boards
        for candidate in board.tried
        if (result := candidate.result) is not None and start.passing < result.passing
    ]
    if not helpful:
        return
    best, result = max(helpful, key=lambda each: len(each[1].passing))
    changes = (*best.others, best.change)
    before = [turn.services.workspace.content(change.path) for change in changes]
    turn.ledger.best = tuple(zip(changes, before, strict=True))
    try:
        patch = "".join(_diff(*each) for each in turn.ledger.best)
        file = turn.services.journal.keep_patch(patch)
    except UnicodeDecodeError:
        return
    except LocalAgentError as error:
        yield Warned(f"the best change could not be kept: {error.message}")
        return
    yield BestCandidate(
        best.number,
        [change.path for change in changes],
        len(result.passing),
        len(result.failing),
        len(start.passing),
        str(file),
    )


def _diff(change: Change, before: bytes | None) -> str:
    """The diff of a file. Raises UnicodeDecodeError for a file that is not UTF-8."""
    return unified(change.path, None if before is None else before.decode(), change.data.decode())


def _search_all(
    turn: Turn, latest: dict[str, Problem], boards: dict[str, Board], seconds: float
) -> Generator[Event, None, Candidate | None]:
    """Search with the main model; `latest` and `boards` change where a file's change stays."""
    waiting = list(latest.values())
    candidate = None
    if len(waiting) > 1 and not turn.request.is_step:
        share = seconds / SEARCH.quick_part
        seconds -= share * len(waiting)
        for problem in waiting:
            yield from _begin(turn, problem)
            schedule = quick_schedule(problem, likeliest=problem is waiting[0])
            candidate = yield from search(turn, problem, boards[problem.path], schedule, share)
            if candidate is not None:
                return candidate
    stopped: list[Problem] = []  # ended early, so searched again if time is left
    while candidate is None and (waiting or (stopped and seconds > 0)):
        problem = (waiting or stopped).pop(0)
        begun, board = time.monotonic(), boards[problem.path]
        others = bool(waiting or stopped)  # the last file leaves time for those that were stopped
        yield from _begin(turn, problem)
        candidate = yield from search(
            turn,
            problem,
            board,
            schedule_for(problem, is_step=turn.request.is_step),
            seconds / 2 if others else seconds,
            SEARCH.next_file_seconds if others else seconds,
        )
        seconds -= time.monotonic() - begun
        helpful = board.best
        if candidate is None and waiting and helpful is not None and _helps(problem, helpful):
            waiting = yield from _with_change(turn, waiting, problem, helpful)
            latest.update({problem.path: problem for problem in waiting})
            boards.update({problem.path: Board(problem.start) for problem in waiting})
            stopped.append(problem)
    return candidate


def _begin(turn: Turn, problem: Problem) -> Generator[Event, None, None]:
    yield Step("propose", f"trying changes of {problem.path}")
    yield from turn.drain_rule_warnings(problem.path)


def _helps(problem: Problem, candidate: Candidate) -> bool:
    """Whether a candidate fixes some failing tests and breaks none."""
    start, result = problem.start, candidate.result
    return start is not None and result is not None and start.passing < result.passing


def _with_change(
    turn: Turn, waiting: Sequence[Problem], problem: Problem, helpful: Candidate
) -> Generator[Event, None, list[Problem]]:
    """The problems of the files that follow, with a helpful change in place."""
    assert problem.start is not None
    changes = (*problem.others, helpful.change)
    traced = sources_to_trace(turn, problem.start)
    start = yield from run_check(turn, problem.check, changes, trace=traced)
    functions = suspects(turn, start)
    return [
        replace(
            other,
            start=start,
            others=changes,
            functions=tuple(f.symbol.name for f in functions if f.symbol.path == other.path),
        )
        for other in waiting
    ]


def _without_others(
    turn: Turn, problem: Problem, candidate: Candidate
) -> Generator[Event, None, Candidate]:
    """The candidate without the changes of other files, if the check passes without them."""
    alone = yield from run_check(turn, problem.check, [candidate.change])
    return replace(candidate, others=()) if alone.ok else candidate


def _last_step_candidate(turn: Turn, boards: Sequence[Board]) -> Candidate | None:
    """The best candidate of a plan's last step, if no candidate passed the check.

    The check may fail for a reason that the plan does not address.
    """
    if turn.request.kind != "last-step":
        return None
    for board in boards:
        best, start = board.best, board.start
        if best is None or best.result is None or start is None or start.ok:
            continue
        if not_worse(start, best.result):
            return best
    return None
