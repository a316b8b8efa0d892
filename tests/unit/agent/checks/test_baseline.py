"""Which checks may run without pytest's plug-ins; the real plug-ins are an integration test's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from localagent.agent.checks.baseline import (
    baseline_check,
    may_be_lean,
    project_check,
)
from localagent.agent.checks.runner import CheckResult, TestResult
from localagent.agent.limits import SEARCH
from localagent.core.events import CheckStarted, Warned
from localagent.sandbox.base import CommandResult
from localagent.workspace.workspace import Workspace
from tests.doubles.scripted_sandbox import ScriptedSandbox, completed
from tests.doubles.scripted_turn import Permission, PythonIndex, run_events, scripted_turn

FAILS = TestResult("a_test.py::test_a", "failed", "assert 1 == 2")
START = CheckResult("pytest", False, 1, False, 2.0, "", (FAILS,), 0, 1)


def lean_result(message: str, seconds: float) -> CommandResult:
    tests = {FAILS.id: {"outcome": "failed", "message": message}}
    output = "LOCALAGENT-PROBE " + json.dumps({"tests": tests, "lines": {}})
    return CommandResult(1, output, seconds)


@pytest.mark.parametrize(
    ("message", "seconds", "lean"),
    [
        (FAILS.message, 0.5, True),
        (FAILS.message, 1.9, False),
        ("fixture 'mocker' not found", 0.5, False),
    ],
    ids=["faster", "as slow", "another failure"],
)
def test_only_where_every_test_says_the_same_and_sooner(
    tmp_path: Path, message: str, seconds: float, lean: bool
) -> None:
    sandbox = ScriptedSandbox([lean_result(message, seconds)])
    events, result = run_events(may_be_lean(scripted_turn(tmp_path, sandbox=sandbox), START))
    assert result == lean
    assert [type(event) for event in events] == [CheckStarted]
    assert sandbox.environments[0]["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] == "1"


@pytest.mark.parametrize(
    "start",
    [
        None,
        replace(START, seconds=SEARCH.lean_seconds / 2),
        replace(START, seconds=SEARCH.lean_max_seconds * 2),
        replace(START, tests=()),
        replace(START, timed_out=True),
    ],
)
def test_not_where_there_is_nothing_to_save(tmp_path: Path, start: CheckResult | None) -> None:
    sandbox = ScriptedSandbox([])
    turn = scripted_turn(tmp_path, sandbox=sandbox)
    assert run_events(may_be_lean(turn, start)) == ([], False)
    assert sandbox.commands == []


@pytest.mark.parametrize(
    ("answer", "action", "warning"),
    [
        (CommandResult(-9, "", 30.0, timed_out=True), "allow", "did not end within 30 s"),
        (completed(), "deny", "was not allowed to run"),
    ],
)
def test_the_project_s_own_check_may_fail_to_run(
    tmp_path: Path, answer: CommandResult, action: str, warning: str
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_a.py").write_text("def test_a(): pass\n")
    verdict = Permission(action)  # type: ignore[arg-type]
    turn = scripted_turn(tmp_path, sandbox=ScriptedSandbox([answer]), verdict=verdict)
    events, (check, start) = run_events(baseline_check(turn))
    (warned,) = [event.text for event in events if isinstance(event, Warned)]
    assert warning in warned
    assert bool(check) == (start is not None) == answer.timed_out


def test_a_check_is_found_before_the_index_is_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "calc_test.py").write_text("def test_add(): pass\n")
    turn = scripted_turn(tmp_path)
    monkeypatch.setattr(PythonIndex, "ready", lambda _self: False)
    monkeypatch.setattr(PythonIndex, "files", lambda _self: [])
    monkeypatch.setattr(Workspace, "files", lambda _self: ["calc_test.py"])
    assert project_check(turn) == "python -m pytest -q"
