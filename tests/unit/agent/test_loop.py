"""Turns that ask no model: the user's commands and checks; and how errors end a turn."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.agent.checks.runner import run_check
from localagent.agent.loop import run_command, run_project_check, run_turn
from localagent.agent.planners.workflow import Workflow
from localagent.agent.turn import Limits, Turn, TurnRequest
from localagent.core.errors import Interrupted, LimitReached
from localagent.core.events import (
    Blocked,
    Event,
    Failed,
    MessageAdded,
    TurnFinished,
    TurnStarted,
    Warned,
)
from localagent.models.base import Usage
from localagent.sandbox.base import CommandResult
from localagent.tools.shell import Shell
from tests.doubles.scripted_sandbox import ScriptedSandbox, completed
from tests.doubles.scripted_turn import Permission, scripted_turn


def turn_in(
    folder: Path, answer: CommandResult, prompt: str = "make", check: str = "pytest", **more: object
) -> Turn:
    sandbox = ScriptedSandbox(lambda _line, _files: answer)
    turn = scripted_turn(
        folder,
        prompt,
        sandbox=sandbox,
        tools={"shell": Shell()},
        **more,  # type: ignore[arg-type]
    )
    turn.request = TurnRequest(1, prompt, check, kind="command")
    return turn


def end(events: list[Event]) -> TurnFinished:
    assert isinstance(events[0], TurnStarted)
    assert isinstance(events[-1], TurnFinished)
    return events[-1]


@pytest.mark.parametrize("share", [True, False])
def test_a_command_s_output_joins_the_conversation_if_shared(tmp_path: Path, share: bool) -> None:
    events = list(run_command(turn_in(tmp_path, completed("built\n", 0)), share=share))
    assert end(events).outcome == "answered"
    shared = [e.content for e in events if isinstance(e, MessageAdded)]
    assert len(shared) == share
    assert all("make" in text and "built" in text for text in shared)


def test_a_command_that_fails_is_not_done(tmp_path: Path) -> None:
    last = end(list(run_command(turn_in(tmp_path, completed("", 127)), share=False)))
    assert (last.outcome, last.summary, last.exit_code) == ("unsolved", "exit code 127", 1)


def test_a_task_about_a_missing_file_asks_no_model(tmp_path: Path) -> None:
    turn = turn_in(tmp_path, completed("", 0), "explain @lib/nothere.py")
    last = end(list(run_turn(turn, Workflow(1))))
    assert (last.outcome, last.exit_code) == ("error", 2)
    assert last.summary == "there is no file lib/nothere.py"


def test_a_task_may_create_the_file_that_it_names(tmp_path: Path) -> None:
    turn = turn_in(tmp_path, completed("", 0), "create @lib/new.py")
    first = next(e for e in run_turn(turn, Workflow(1)) if isinstance(e, Warned))
    assert first.text == "there is no file lib/new.py"


@pytest.mark.parametrize(
    ("answer", "outcome", "summary"),
    [
        (completed("3 passed", 0), "answered", "the check passes"),
        (completed("1 failed", 1), "unsolved", "the check fails"),
        (
            CommandResult(-9, "", 7.0, timed_out=True),
            "unsolved",
            "the check did not end within 7 s",
        ),
        (completed("sh: not found", 127), "error", "the check cannot start: sh: not found"),
    ],
)
def test_the_check(tmp_path: Path, answer: CommandResult, outcome: str, summary: str) -> None:
    events = list(run_project_check(turn_in(tmp_path, answer), share=True))
    assert (end(events).outcome, end(events).summary.split(";")[0]) == (outcome, summary)
    shared = [e.content for e in events if isinstance(e, MessageAdded)]
    assert len(shared) == (summary == "the check fails")


def test_a_project_without_a_check(tmp_path: Path) -> None:
    events = list(run_project_check(turn_in(tmp_path, completed(), check=""), share=False))
    (failed,) = [e for e in events if isinstance(e, Failed)]
    assert failed.hint == "--check CMD, or /check CMD in a session, names one"
    assert end(events).outcome == "error"


def test_blocked_tests_are_explained_once_a_turn(tmp_path: Path) -> None:
    refused = CommandResult(1, "1 failed", 0.1, blocked_connections=2)
    turn = turn_in(tmp_path, refused)
    events = [event for _ in range(2) for event in run_check(turn, "pytest")]
    assert len([e for e in events if isinstance(e, Blocked)]) == 2
    assert [e.text for e in events if isinstance(e, Warned)] == [
        "the sandbox refused to reach other machines (2 attempts) (the command pytest)",
        "tests that need the network fail in the sandbox; "
        "--check CMD, or /check CMD in a session, can leave them out",
    ]


def test_a_denied_check_does_not_run(tmp_path: Path) -> None:
    turn = turn_in(tmp_path, completed(), verdict=Permission("deny", "rule", "no"))
    assert end(list(run_project_check(turn, share=False))).outcome == "refused"
    assert turn.services.sandbox.commands == []  # type: ignore[attr-defined]


def test_limits_end_a_turn(tmp_path: Path) -> None:
    turn = turn_in(tmp_path, completed())
    turn.ensure_within_limits()
    turn.limits = Limits(tokens=10)
    turn.ledger.add(Usage(completion_tokens=10))
    with pytest.raises(LimitReached, match="10 generated tokens"):
        turn.ensure_within_limits()
    turn.limits = Limits(seconds=0.0)
    with pytest.raises(LimitReached, match="0 s"):
        turn.ensure_within_limits()
    turn.stop.set()
    with pytest.raises(Interrupted):
        turn.ensure_within_limits()


def test_a_file_is_reported_once(tmp_path: Path) -> None:
    turn = turn_in(tmp_path, completed())
    turn.record_read("a.py", "1")
    turn.record_read("a.py", "1")
    assert [e.path for e in turn.drain_reads()] == ["a.py"]
    turn.record_read("a.py", "1")
    turn.record_read("a.py", "2")
    assert [e.sha256 for e in turn.drain_reads()] == ["2"]
