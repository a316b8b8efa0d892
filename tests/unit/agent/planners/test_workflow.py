"""The workflow planner with a scripted model and sandbox: what it decides, and what it asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from localagent.agent.loop import run_turn
from localagent.agent.planners.base import Result
from localagent.agent.planners.workflow import Workflow
from localagent.agent.turn import Answer, Ledger, Turn
from localagent.core.events import Event, Failed, MessageAdded, Question, Step, TurnFinished, Warned
from localagent.core.messages import Message
from localagent.models.scripted import ScriptedReply
from localagent.sandbox.base import CommandResult
from tests.doubles.scripted_sandbox import ScriptedSandbox, completed, python_check
from tests.doubles.scripted_turn import Permission, run_events, scripted_turn

WRONG = "def add(a, b):\n    return a - b\n"
RIGHT = "def add(a, b):\n    return a + b\n"
CASES = {"test_small": ("add(0, 0)", 0), "test_add": ("add(2, 30)", 32)}


def turn_in(
    folder: Path,
    prompt: str = "Fix calc.py so that the tests pass",
    replies: Sequence[str | ScriptedReply] = (),
    code: str = WRONG,
    **more: Any,
) -> Turn:
    (folder / "calc.py").write_text(code)
    sandbox = more.pop("sandbox", None) or ScriptedSandbox(python_check("calc.py", CASES))
    request = {"check": "pytest", **more.pop("request", {})}
    return scripted_turn(folder, prompt, replies=replies, sandbox=sandbox, request=request, **more)


def plan(turn: Turn) -> tuple[list[Event], Result]:
    return run_events(Workflow(20).plan(turn))


def prompts(turn: Turn) -> list[str]:
    return turn.services.model.prompts  # type: ignore[attr-defined]


def test_a_slip_is_fixed_without_the_model(tmp_path: Path) -> None:
    turn = turn_in(
        tmp_path, replies=[ScriptedReply("def add(a, b):\n    return b - a\n", repeat=True)]
    )
    _, result = plan(turn)
    assert (result.outcome, result.check) == ("solved", "pytest")
    assert (tmp_path / "calc.py").read_text() == RIGHT
    assert turn.changed == ["calc.py"]
    assert len(prompts(turn)) <= 1


@pytest.mark.parametrize(("check", "asked"), [("pytest", False), ("", True)])
def test_a_request_with_a_check_is_a_change_if_its_words_do_not_say(
    check: str, asked: bool, tmp_path: Path
) -> None:
    replies = [ScriptedReply("edit", when="Is it a question"), ScriptedReply(RIGHT, repeat=True)]
    turn = turn_in(tmp_path, "The right sum in calc.py", replies, request={"check": check})
    _, result = plan(turn)
    assert result.outcome == ("unverified" if asked else "solved")
    assert any("Is it a question" in prompt for prompt in prompts(turn)) == asked


def test_the_reply_becomes_the_file(tmp_path: Path) -> None:
    turn = turn_in(tmp_path, replies=[RIGHT], code="def add(a, b):\n    pass\n")
    events, result = plan(turn)
    assert (result.outcome, result.how) == ("solved", "file 1")
    assert (tmp_path / "calc.py").read_text() == RIGHT
    (said,) = [e for e in events if isinstance(e, MessageAdded)]
    assert said.content.startswith("changed calc.py; the check passes\n```diff\n")
    assert "-    pass\n+    return a + b\n```" in said.content


def test_a_check_that_passes_needs_no_change(tmp_path: Path) -> None:
    turn = turn_in(tmp_path, code=RIGHT)
    _, result = plan(turn)
    assert (result.outcome, turn.changed, prompts(turn)) == ("solved", [], [])


def test_nothing_changes_where_no_candidate_passes(tmp_path: Path) -> None:
    code = "def add(a, b):\n    return None\n"
    wrong = ScriptedReply("def add(a, b):\n    return [a, b]\n", repeat=True)
    turn = turn_in(tmp_path, replies=[wrong], code=code)
    _, result = run_events(Workflow(0.2).plan(turn))
    assert result.outcome == "unsolved"
    assert (tmp_path / "calc.py").read_text() == code


@pytest.mark.parametrize(
    ("code", "outcome", "summary"),
    [
        (RIGHT, "unverified", "the check passes, but no test runs the change"),
        ("add = 0\n", "solved", "the check passes"),  # the failing tests pass because of it
    ],
)
def test_a_change_that_no_test_runs_is_unverified(
    tmp_path: Path, code: str, outcome: str, summary: str
) -> None:
    more = f"{RIGHT}\n\ndef double(a):\n    return a + a.x\n"
    turn = turn_in(tmp_path, "Add a function double to calc.py", [more], code)
    _, result = plan(turn)
    assert (result.outcome, result.summary) == (outcome, f"changed calc.py; {summary}")
    assert (tmp_path / "calc.py").read_text() == more


def test_code_that_was_asked_for_and_is_missing_is_unverified(tmp_path: Path) -> None:
    """The failing tests pass because of the change, but they are not what was asked for."""
    turn = turn_in(tmp_path, "Add a function double to calc.py", [RIGHT], "add = 0\n")
    _, result = plan(turn)
    missing = "the check passes, but the change does not define double"
    assert (result.outcome, result.summary) == ("unverified", f"changed calc.py; {missing}")


def test_a_change_that_ends_the_check_before_its_tests_does_not_pass(tmp_path: Path) -> None:
    checked = python_check("calc.py", CASES)

    def ends_early(line: str, files: Mapping[str, str]) -> CommandResult:
        return completed() if "_exit" in files["calc.py"] else checked(line, files)

    ending = "import os\n\nos._exit(0)\n"
    turn = turn_in(tmp_path, replies=[ending, RIGHT], code="def add(a, b):\n    pass\n")
    turn.services = replace(turn.services, sandbox=ScriptedSandbox(ends_early))
    _, result = plan(turn)
    assert result.outcome == "solved"
    assert (tmp_path / "calc.py").read_text() == RIGHT


OFFLINE = "ConnectionError: Failed to resolve 'example.org' (Temporary failure in name resolution)"
FIXTURE = "fixture 'mocker' not found"


@pytest.mark.parametrize(
    ("code", "outcome", "summary"),
    [
        (WRONG, "unverified", "changed calc.py; all tests pass but those that cannot run here"),
        (RIGHT, "unsolved", "only tests that cannot run here fail"),
    ],
)
@pytest.mark.parametrize(
    ("error", "need"),
    [(OFFLINE, "need a network"), (FIXTURE, "need pytest-mock, which is not installed,")],
)
def test_tests_that_cannot_run_here_do_not_count(
    tmp_path: Path, code: str, outcome: str, summary: str, error: str, need: str
) -> None:
    cases = {**CASES, "test_fetch": ("fetch()", 0)}
    fetch = f"\n\ndef fetch():\n    raise OSError({error!r})\n"
    sandbox = ScriptedSandbox(python_check("calc.py", cases))
    turn = turn_in(
        tmp_path, "Fix the failing tests", [RIGHT + fetch], code + fetch, sandbox=sandbox
    )
    events, result = plan(turn)
    assert (result.outcome, result.summary) == (outcome, summary)
    assert (tmp_path / "calc.py").read_text() == RIGHT + fetch
    warned = [e.text for e in events if isinstance(e, Warned)]
    assert warned == [f"failing tests that {need} do not count: 1"]


@pytest.mark.parametrize(
    ("task", "check", "outcome"),
    [
        ("Fix test_add", "", "solved"),
        ("Fix the failing tests", "", "unsolved"),
        ("Fix test_add", "pytest", "unsolved"),
    ],
)
def test_failing_tests_beside_those_that_the_task_names_do_not_count(
    task: str, check: str, outcome: str, tmp_path: Path
) -> None:
    (tmp_path / "test_calc.py").write_text("def test_add():\n    assert add(2, 30) == 32\n")
    sandbox = ScriptedSandbox(python_check("calc.py", {**CASES, "test_other": ("other", 1)}))
    wrong = ScriptedReply(WRONG, repeat=True)
    turn = turn_in(tmp_path, task, [wrong], sandbox=sandbox, request={"check": check})
    events, result = run_events(Workflow(1).plan(turn))
    assert result.outcome == outcome
    warned = [e.text for e in events if isinstance(e, Warned)]
    if outcome == "solved":
        assert warned == ["failing tests that the task is not about do not count: 1"]
        named = "all tests pass but 1 that failed before and that the task is not about"
        assert result.summary == f"changed calc.py; {named}"
        assert (tmp_path / "calc.py").read_text() == RIGHT
    else:
        assert warned == []


def test_a_failing_test_that_the_change_repairs_too_is_no_exception(tmp_path: Path) -> None:
    (tmp_path / "test_calc.py").write_text("def test_add():\n    assert add(2, 30) == 32\n")
    cases = {"test_add": ("add(2, 30)", 32), "test_more": ("add(2, 2)", 4), "test_no": ("0", 0)}
    sandbox = ScriptedSandbox(python_check("calc.py", cases))
    replies = [ScriptedReply(WRONG, repeat=True)]
    turn = turn_in(tmp_path, "Fix test_add", replies, sandbox=sandbox, request={"check": ""})
    _, result = plan(turn)
    assert (result.outcome, result.summary) == ("solved", "changed calc.py; the check passes")


def test_a_task_for_docs_changes_no_code_for_failing_tests(tmp_path: Path) -> None:
    (tmp_path / "test_calc.py").write_text("def test_add():\n    assert add(2, 30) == 32\n")
    (tmp_path / "README.md").write_text("It ads.\n")
    turn = turn_in(
        tmp_path,
        "fix the typo in README.md",
        [ScriptedReply("It adds.\n", repeat=True)],
        request={"check": ""},
    )
    _, result = run_events(Workflow(2).plan(turn))
    assert (tmp_path / "README.md").read_text() == "It adds.\n"
    assert (tmp_path / "calc.py").read_text() == WRONG
    said = ("answered", "changed README.md; tests say nothing about a text")
    assert (result.outcome, result.summary) == said


def test_a_task_for_a_test_is_not_verified_without_one(tmp_path: Path) -> None:
    turn = turn_in(tmp_path, "Add a test for zero to calc.py", [RIGHT])
    _, result = plan(turn)
    summary = "changed calc.py; the check passes, but no test was added"
    assert (result.outcome, result.summary) == ("unverified", summary)


def test_a_task_for_a_test_alone_changes_no_other_code(tmp_path: Path) -> None:
    turn = turn_in(tmp_path, "Please add a test for zero to calc.py", code=RIGHT)
    _, result = plan(turn)
    assert (result.outcome, prompts(turn)) == ("unsolved", [])
    assert result.summary.startswith("the planner workflow writes no tests")


@pytest.mark.parametrize(
    ("step", "writes"),
    [("In test_calc.py: add a test for zero", False), ("In calc.py: add a test mode", True)],
)
def test_a_step_for_a_test_changes_no_other_code(tmp_path: Path, step: str, writes: bool) -> None:
    (tmp_path / "test_calc.py").write_text("from calc import add\n")
    turn = turn_in(tmp_path, step, [f"{RIGHT}MODE = 1\n"], code=RIGHT, request={"kind": "step"})
    _, result = plan(turn)
    assert bool(prompts(turn)) == writes
    assert result.summary.startswith("the planner workflow writes no tests") != writes


def test_without_a_check_the_change_is_unverified(tmp_path: Path) -> None:
    turn = turn_in(tmp_path, replies=[RIGHT], request={"check": ""})
    events, result = plan(turn)
    assert result.outcome == "unverified"
    assert any("no check was found" in e.text for e in events if isinstance(e, Warned))


def test_a_check_that_cannot_run_is_the_user_s_mistake(tmp_path: Path) -> None:
    sandbox = ScriptedSandbox(lambda _line, _files: CommandResult(127, "sh: pytst: not found", 0.1))
    turn = turn_in(tmp_path, sandbox=sandbox)
    events = list(run_turn(turn, Workflow(20)))
    (failed,) = [e for e in events if isinstance(e, Failed)]
    assert failed.message.startswith("the check cannot start: sh: pytst: not found; pytst is not")
    assert isinstance(events[-1], TurnFinished)
    assert events[-1].exit_code != 0


def test_a_refusal_comes_before_any_work(tmp_path: Path) -> None:
    turn = turn_in(tmp_path, request={"check": ""}, verdict=Permission("deny", "rule", "no edits"))
    events = list(run_turn(turn, Workflow(20)))
    assert isinstance(events[-1], TurnFinished)
    assert events[-1].outcome == "refused"
    assert prompts(turn) == []


def answered(turn: Turn, *reasons: str | None) -> list[Event]:
    """The events of a turn whose edits are refused with these reasons; None allows, as for all
    other questions."""
    turn.services = replace(turn.services, interactive=True)
    left, events = list(reasons), []
    for event in run_turn(turn, Workflow(20)):
        events.append(event)
        if isinstance(event, Question):
            reason = left.pop(0) if event.tool == "edit" else None
            turn.answers[event.id] = Answer(reason is None, reason or "")
    assert not left, "fewer questions than answers"
    return events


def test_the_search_goes_on_with_the_reason_of_a_refusal(tmp_path: Path) -> None:
    """The refused change is not offered again, and the model reads the user's words."""
    by_sum = ScriptedReply("def add(a, b):\n    return sum((a, b))\n", when="was refused")
    code = "def add(a, b):\n    pass\n"
    mirrored = RIGHT.replace("a + b", "b + a")
    replies = [RIGHT, ScriptedReply(mirrored, when="was refused"), by_sum]
    turn = turn_in(tmp_path, replies=replies, code=code, verdict=Permission("ask"))
    events = answered(turn, "use sum() instead", None)
    assert isinstance(events[-1], TurnFinished) and events[-1].outcome == "solved"
    assert (tmp_path / "calc.py").read_text() == "def add(a, b):\n    return sum((a, b))\n"
    assert "A change was refused: use sum() instead" in prompts(turn)[-1]


def test_a_change_that_was_refused_without_a_reason_is_not_offered_again(tmp_path: Path) -> None:
    reply = ScriptedReply(RIGHT, repeat=True)
    turn = turn_in(tmp_path, replies=[reply], verdict=Permission("ask"))
    events = answered(turn, "")
    assert isinstance(events[-1], TurnFinished) and events[-1].outcome == "refused"
    assert (tmp_path / "calc.py").read_text() == WRONG
    again = [e for e in answered(replace(turn, ledger=Ledger())) if isinstance(e, Question)]
    assert [e.tool for e in again] == ["check"]


def test_a_question_is_answered_from_the_code(tmp_path: Path) -> None:
    turn = turn_in(tmp_path, "What does add in calc.py do?", ["It subtracts."])
    events, result = plan(turn)
    assert (result.outcome, result.summary) == ("answered", "It subtracts.")
    assert "return a - b" in prompts(turn)[0]
    (said,) = [e for e in events if isinstance(e, MessageAdded)]
    assert said.asked is not None
    assert turn.changed == []


def test_a_question_after_a_change_reads_the_changed_file(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("def that():\n    pass\n")
    summary = "changed calc.py; the check passes\n```diff\n+    return a + b\n```"
    talk = (Message("user", "fix it"), Message("assistant", summary))
    request = {"conversation": talk}
    turn = turn_in(tmp_path, "Why did you change that?", ["It subtracted."], request=request)
    plan(turn)
    assert "+    return a + b" in prompts(turn)[0]
    assert "def add(a, b)" in prompts(turn)[0]


def test_the_model_decides_where_words_do_not(tmp_path: Path) -> None:
    turn = turn_in(tmp_path, "calc.py please", ["answer", "It adds."], request={"check": ""})
    _, result = plan(turn)
    assert result.outcome == "answered"
    assert len(prompts(turn)) == 2


def test_the_file_comes_from_the_lines_that_failing_tests_run(tmp_path: Path) -> None:
    (tmp_path / "aaa_other.py").write_text("def sub(a, b):\n    return a - b\n")
    turn = turn_in(tmp_path, "Fix the failing test", [ScriptedReply("nothing", repeat=True)])
    events, result = plan(turn)
    assert result.outcome == "solved"
    assert turn.changed == ["calc.py"]
    located = next(e for e in events if isinstance(e, Step) and e.name == "localise")
    assert located.detail == "running the tests again to see which code they run"


@pytest.mark.parametrize("kind", ["step", "last-step"])
def test_a_step_may_leave_the_check_failing(tmp_path: Path, kind: str) -> None:
    """It adds what the step asks for, and no test fails that passed before."""
    reply = ScriptedReply("a):\n    return 2 * a\n", repeat=True)
    turn = turn_in(tmp_path, "In calc.py: add a function `double`", [reply], request={"kind": kind})
    _, result = plan(turn)
    assert result.outcome == "unverified"
    done = WRONG + "\n\ndef double(a):\n    return 2 * a\n"
    assert (tmp_path / "calc.py").read_text() == done
