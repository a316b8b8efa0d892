"""The agent loop, which runs one turn from its request to its last event.

A turn yields TurnStarted, then the events of its work, then exactly one TurnFinished. The work is
that of a planner (`run_turn`), a command that the user entered (`run_command`), the project's check
(`run_project_check`), or none (`run_nothing`). Only a planner asks a model.

A LocalAgentError ends the turn with that error's exit code. Any other exception is a bug in
localagent and passes through.
"""

from __future__ import annotations

import time
from collections.abc import Generator

from localagent.agent.checks.baseline import project_check
from localagent.agent.checks.runner import CheckResult, run_check
from localagent.agent.checks.start_failures import start_failure
from localagent.agent.limits import LOOP
from localagent.agent.missing_mentions import missing_mentions
from localagent.agent.planners.base import Planner, Result
from localagent.agent.repair.localize import creates_files
from localagent.agent.tool_calls import dispatch
from localagent.agent.turn import BestChange, Turn
from localagent.core.errors import (
    BackendError,
    Interrupted,
    LimitReached,
    LocalAgentError,
    OutsideWorkspace,
    RefusedError,
    UsageError,
    WorkspaceError,
)
from localagent.core.events import (
    Blocked,
    Event,
    Failed,
    MessageAdded,
    Outcome,
    TurnFinished,
    TurnStarted,
    Warned,
)
from localagent.core.messages import ToolCall

# 0: done and checked, or nothing needed a check; 1: not solved. Errors carry their own exit code.
EXIT_CODES: dict[Outcome, int] = {"solved": 0, "answered": 0, "unverified": 1, "unsolved": 1}

NOTHING = "nothing to do; send a task or a question, for example: fix the failing test"
"""The answer to a request that asks for nothing."""

_OUTCOMES: tuple[tuple[type[LocalAgentError], Outcome], ...] = (
    (RefusedError, "refused"),
    (BackendError, "failed"),
    (LimitReached, "limit"),
    (Interrupted, "interrupted"),
)

Work = Generator[Event, None, Result]
"""Yields the events of a turn's work, and returns how the turn ended."""


def run_turn(turn: Turn, planner: Planner) -> Generator[Event, None, None]:
    """Run the request of `turn` with `planner`, and yield the turn's events."""
    return _run(turn, _checked(turn, planner), MessageAdded("user", turn.prompt))


def _checked(turn: Turn, planner: Planner) -> Generator[Event, None, Result]:
    """Plan the turn, unless its task names a file with "@" that does not exist.

    A small model would invent the content of such a file. A task that creates files may name them.
    """
    if missing := missing_mentions(turn.services, turn.typed):
        if not creates_files(turn.typed):
            raise UsageError(missing, "name an existing file, or leave out the @")
        yield Warned(missing)
    return (yield from planner.plan(turn))


def run_command(turn: Turn, *, share: bool) -> Generator[Event, None, None]:
    """Run the turn's prompt as a shell command; `share` adds its output to the conversation."""
    return _run(turn, _command(turn, share))


def run_project_check(turn: Turn, *, share: bool) -> Generator[Event, None, None]:
    """Run the project's check; `share` adds a failing check's output to the conversation.

    The turn fails with UsageError if the project has no check or the check cannot start, and with
    RefusedError if a rule denies the check.
    """
    return _run(turn, _project_check(turn, share))


def run_nothing(turn: Turn) -> Generator[Event, None, None]:
    """Answer a request such as "thanks", which asks for nothing, with one sentence."""
    return _run(turn, _nothing())


def run_best(turn: Turn, best: BestChange) -> Generator[Event, None, None]:
    """Apply the best change of an earlier search.

    The turn fails with WorkspaceError if one of the files has changed since.
    """
    return _run(turn, _best(turn, best))


def _run(turn: Turn, work: Work, *first: Event) -> Generator[Event, None, None]:
    request, ledger = turn.request, turn.ledger
    yield TurnStarted(request.number, request.prompt, request.check, request.kind)
    yield from first
    try:
        result = yield from work
        code = EXIT_CODES[result.outcome]
    except LocalAgentError as error:
        if isinstance(error, OutsideWorkspace):
            yield Blocked("path", "a path of the task", error.message)
        yield Failed(type(error).__name__, error.message, error.hint)
        outcome: Outcome = next((o for cls, o in _OUTCOMES if isinstance(error, cls)), "error")
        result, code = Result(outcome, error.message), error.exit_code
    yield TurnFinished(
        turn=request.number,
        outcome=result.outcome,
        exit_code=code,
        summary=result.summary,
        check=result.check,
        how=result.how,
        changed=list(turn.changed),
        seconds=round(time.monotonic() - ledger.started - ledger.waited, 3),
        prompt_tokens=ledger.usage.prompt_tokens,
        reused_tokens=ledger.usage.reused_tokens,
        completion_tokens=ledger.usage.completion_tokens,
        sources=list(result.sources),
    )


def _nothing() -> Work:
    yield from ()
    return Result("answered", NOTHING)


def _best(turn: Turn, best: BestChange) -> Work:
    for change, before in best:
        if turn.services.workspace.content(change.path) != before:
            raise WorkspaceError(
                f"{change.path} has changed since the search", "git apply PATCH may still work"
            )
    yield from dispatch.commit(turn, "edit", [change for change, _ in best])
    names = " and ".join(change.path for change, _ in best)
    return Result("unverified", f"changed {names}; some tests still fail")


def _command(turn: Turn, share: bool) -> Work:
    call = ToolCall("shell", {"body": turn.prompt})
    result = yield from dispatch.act(turn, call, entered=True)
    turn.ensure_within_limits()
    if share:
        yield _output_message(turn, turn.prompt, result.for_model)
    summary = result.for_model.partition("\n")[0]
    return Result("answered" if result.ok else "unsolved", summary)


def _project_check(turn: Turn, share: bool) -> Work:
    check = project_check(turn)
    if not check:
        raise UsageError(
            "no check was found in this project",
            "--check CMD, or /check CMD in a session, names one",
        )
    allowed = yield from dispatch.permit(turn, "check", "execute", check, check, entered=True)
    if not allowed.allowed:
        raise dispatch.refusal(allowed)
    result = yield from run_check(turn, check)
    if error := start_failure(turn, result):
        raise error
    if result.timed_out:
        return Result("unsolved", f"the check did not end within {result.seconds:.0f} s", check)
    if result.ok:
        return Result("answered", "the check passes", check)
    if share:
        yield _output_message(turn, check, _output_tail(result))
    return Result("unsolved", "the check fails", check)


def _output_message(turn: Turn, command: str, output: str) -> MessageAdded:
    text = turn.services.prompts.render("react/command", command=command, result=output)
    return MessageAdded("user", text)


def _output_tail(result: CheckResult) -> str:
    tail = "\n".join(result.output.splitlines()[-LOOP.shared_lines :])
    return f"exit code {result.exit_code}\n{tail[-LOOP.output_chars :]}"
