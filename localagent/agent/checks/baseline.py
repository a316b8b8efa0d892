"""The check as it is, before anything is changed: the same first step for every planner."""

from __future__ import annotations

from collections.abc import Generator

from localagent.agent.checks.runner import CheckResult, run_check
from localagent.agent.tool_calls import dispatch
from localagent.agent.turn import Turn
from localagent.context.builder import text_of
from localagent.core.errors import UsageError
from localagent.core.events import Event, Step, Warned
from localagent.project.build_commands import find_check


def project_check(turn: Turn) -> str:
    """The check that the user named, or else the one that the project's files tell of; or ""."""
    files = turn.services.index.files()
    return turn.request.check or find_check(
        files, lambda path: text_of(turn.services.workspace, path)
    )


def last_line(result: CheckResult) -> str:
    """The end of a check's output, which says why it could not run."""
    return (result.output.splitlines() or ["no output"])[-1].strip()


def check_as_it_is(turn: Turn) -> Generator[Event, None, tuple[str, CheckResult | None]]:
    """Find the check and run it on the workspace as it is.

    Raises UsageError where the user's own check command cannot run.
    """
    check = project_check(turn)
    if not check:
        yield Warned("no check was found, so the result cannot be verified (--check CMD names one)")
        return "", None
    allowed = yield from dispatch.permit(turn, "check", "execute", check, check)
    if not allowed.allowed:
        if turn.request.check:
            raise dispatch.refusal(allowed)
        yield Warned(f"the check {check!r} may not run, so the result cannot be verified")
        return "", None
    check = allowed.subject  # as the user may have changed it
    yield Step("check", "checking the workspace as it is")
    start = yield from run_check(turn, check)
    if not start.usable:
        last = last_line(start)
        if turn.request.check:
            raise UsageError(f"the check command cannot run: {last}", "correct --check")
        yield Warned(f"the check {check!r} cannot run ({last}), so the result is not verified")
        return "", None
    if start.timed_out:
        yield Warned(f"the check did not end within {start.seconds:.0f} s")
    return check, start
