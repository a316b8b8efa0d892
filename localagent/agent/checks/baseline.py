"""The first check, before any change: find the command, run it, and decide how to check candidates.

If a project has few tests, loading pytest's plug-ins takes most of a check's time: three quarters
of 0.9 s with hypothesis and xdist. A search runs dozens of checks, so the harness tries the check
once without plug-ins. If every test has the same result, candidates are checked without plug-ins. A
candidate that passes is checked again with the user's full command, and only that check decides.
"""

from __future__ import annotations

from collections.abc import Generator

from localagent.agent.checks.runner import CheckResult, run_check
from localagent.agent.checks.start_failures import start_failure
from localagent.agent.limits import SEARCH
from localagent.agent.tool_calls import dispatch
from localagent.agent.turn import Turn
from localagent.code.file_kinds import is_docs
from localagent.context.builder import text_of
from localagent.core.events import CheckFinished, Event, Step, Warned
from localagent.project.build_commands import find_check
from localagent.project.python_environment import find_environment


def project_check(turn: Turn) -> str:
    """The user's check command, else the command that the project's files imply, else ""."""
    files = turn.services.files()
    read = turn.services.workspace
    return turn.request.check or find_check(files, lambda path: text_of(read, path))


def baseline_check(turn: Turn) -> Generator[Event, None, tuple[str, CheckResult | None]]:
    """Find the check and run it on the unchanged workspace; return "" and None if that fails.

    Raises UsageError if the check cannot start. A check that the user did not name may be missing
    for a change of prose.
    """
    check = project_check(turn)
    if not check:
        yield Warned(
            "no check was found, so the result cannot be verified "
            "(name one: --check CMD, or /check CMD in a session)"
        )
        return "", None
    allowed = yield from dispatch.permit(turn, "check", "execute", check, check)
    if not allowed.allowed:
        if turn.request.check:
            raise dispatch.refusal(allowed)
        yield Warned(f"the check {check!r} was not allowed to run, so the result is not verified")
        return "", None
    check = allowed.subject  # the user may have edited the command
    environment = find_environment(turn.services.workspace.root)
    where = f" with the Python of {environment}" if environment else ""
    yield Step("check", f"checking the workspace as it is{where}")
    start = yield from run_check(turn, check)
    if error := start_failure(turn, start):
        is_prose = turn.task_paths and all(map(is_docs, turn.task_paths))
        if turn.request.check or not is_prose:
            raise error
        yield Warned(f"{error.message}; so the result is not verified")
        return "", None
    if start.timed_out:
        yield Warned(f"the check did not end within {start.seconds:.0f} s")
    return check, start


def may_be_lean(turn: Turn, start: CheckResult | None) -> Generator[Event, None, bool]:
    """Whether candidates may be checked without plug-ins; `start` is the result with plug-ins."""
    if start is None or not start.tests or start.timed_out:
        return False
    if not SEARCH.lean_seconds <= start.seconds <= SEARCH.lean_max_seconds:
        return False
    check = run_check(turn, start.command, seconds=SEARCH.lean_max_seconds, lean=True)
    lean, _ = yield from hold_result(check)
    return lean.seconds <= SEARCH.lean_gain * start.seconds and _outcomes(lean) == _outcomes(start)


def hold_result(
    check: Generator[Event, None, CheckResult],
) -> Generator[Event, None, tuple[CheckResult, list[Event]]]:
    """Pass on a check's events, but return its CheckFinished event together with the result."""
    held: list[Event] = []
    while True:
        try:
            event = next(check)
        except StopIteration as end:
            return end.value, held
        if isinstance(event, CheckFinished):
            held.append(event)
        else:
            yield event


def _outcomes(result: CheckResult) -> dict[str, tuple[str, str]]:
    return {test.id: (test.outcome, test.message) for test in result.tests}
