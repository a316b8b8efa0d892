"""`/plan`: made without a change, edited, carried out, and kept in the transcript."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.core.events import (
    FileChanged,
    ModeChanged,
    ModelRequested,
    PlanChanged,
    Question,
    Step,
    TurnStarted,
)
from localagent.history.sessions.replay import Difference
from localagent.project.project import Project
from localagent.session.replay import replay
from localagent.ui.chat.interface import Output, UIRequest
from tests.doubles.talk import Talk, of, outcomes

TASK = "Add a function double to calc.py and mend add"
LIST = "1. Change add in calc.py to add its numbers\n2. Add a function double to calc.py\n"
STEPS = ["Change add in calc.py to add its numbers", "Add a function double to calc.py"]
ADDS = "def add(a, b):\n    return a + b\n"
DOUBLES = f"{ADDS}\n\ndef double(a):\n    return 2 * a\n"


def wrote(text: str) -> list[str]:
    """What a model of the react planner says to write calc.py."""
    return [f"```write path=calc.py\n{text}```", "```done\nwritten\n```"]


def states(one: Talk) -> list[str]:
    plan = one.chat.session.plan
    return [step["state"] for step in plan.steps] if plan else []


def shown(items: list) -> str:
    return "\n".join(f"{s.title} {s.text} {s.hint} {s.rows}" for s in of(items, Output))


@pytest.mark.parametrize("planner", ["react", "workflow"])
def test_a_plan_is_made_and_nothing_changes(
    talk: Callable, workspace_dir: Path, planner: str
) -> None:
    before = (workspace_dir / "calc.py").read_text()
    one = talk(LIST, planner=planner)
    items = one.enter(f"/plan {TASK}")
    (made,) = of(items, PlanChanged)
    assert made.task == TASK
    assert made.steps == [{"text": text, "state": "left"} for text in STEPS]
    assert outcomes(items) == ["answered"]
    assert [e.kind for e in of(items, TurnStarted)] == ["plan"]
    assert [e.purpose for e in of(items, ModelRequested)] == ["plan"]
    assert "def add" in one.model.prompts[0]
    assert one.model.requests[0].grammar
    assert not of(items, FileChanged, Question)
    assert (workspace_dir / "calc.py").read_text() == before
    assert "/plan run" in shown(items)
    assert one.chat.session.conversation[-1].content == LIST.strip()
    assert one.shown("/plan").rows == (("1", "to do", STEPS[0]), ("2", "to do", STEPS[1]))


def test_it_is_carried_out_step_by_step(talk: Callable, workspace_dir: Path) -> None:
    one = talk(LIST, *wrote(ADDS), *wrote(DOUBLES))
    one.enter(f"/plan {TASK}")
    items = one.enter("/plan run")
    assert [e.prompt.split("\n")[0] for e in of(items, TurnStarted)] == STEPS
    assert outcomes(items) == ["solved", "unverified"]  # no test runs `double`
    assert [[s["state"] for s in e.steps] for e in of(items, PlanChanged)] == [
        ["done", "left"],
        ["done", "unverified"],
    ]
    assert "the plan is done: 2 steps" in shown(items)
    assert (workspace_dir / "calc.py").read_text() == DOUBLES
    assert "every step is done" in one.shown("/plan run").text


def test_a_step_that_fails_stops_it(talk: Callable, workspace_dir: Path) -> None:
    give_up = ["I do not know how."] * 3
    one = talk(LIST, *give_up, *wrote(ADDS), *wrote(DOUBLES))
    one.enter(f"/plan {TASK}")
    items = one.enter("/plan run")
    assert states(one) == ["failed", "left"]
    error = of(items, Output)[-1]
    assert (error.kind, error.text) == ("error", "step 1 of 2 failed (unsolved), 1 step to do")
    assert "/plan skip" in error.hint
    one.enter("/plan run")
    assert states(one) == ["done", "unverified"]


def test_a_step_is_skipped(talk: Callable) -> None:
    one = talk(LIST, "I do not know.", "I do not know.", "I do not know.", *wrote(DOUBLES))
    one.enter(f"/plan {TASK}")
    one.enter("/plan run")
    one.enter("/plan skip")
    assert states(one) == ["done", "left"]
    one.enter("/plan run")
    assert states(one) == ["done", "done"]
    assert "every step is done" in one.shown("/plan skip").text


def test_it_is_edited(talk: Callable) -> None:
    one = talk(LIST)
    one.enter(f"/plan {TASK}")
    one.handed.append(f"# {TASK}\n[x] the first\n2. another\n3. a third\n")
    items = one.enter("/plan edit")
    assert of(items, UIRequest)[0].text == f"# {TASK}\n[ ] {STEPS[0]}\n[ ] {STEPS[1]}\n"
    plan = one.chat.session.plan
    assert [(s["text"], s["state"]) for s in plan.steps] == [
        ("the first", "done"),
        ("another", "left"),
        ("a third", "left"),
    ]
    for handed in (None, "# nothing\n"):
        one.handed.append(handed)
        assert "stays as it was" in shown(one.enter("/plan edit"))
    assert len(one.chat.session.plan.steps) == 3


def test_it_survives_a_resumed_session(talk: Callable, workspace_dir: Path) -> None:
    one = talk(LIST, *wrote(ADDS), *["I do not know."] * 3)
    one.enter(f"/plan {TASK}")
    one.enter("/plan run")
    assert states(one) == ["done", "failed"]
    session = one.chat.session.id
    one.enter("/clear")
    assert one.chat.session.plan is None
    items = one.enter(f"/resume {session}")
    assert "1 of 2 steps of its plan are open" in shown(items)
    assert states(one) == ["done", "failed"]
    one.chat.close()
    again = talk(*wrote(DOUBLES), resume=session)
    again.enter("/plan run")
    assert states(again) == ["done", "unverified"]
    assert (workspace_dir / "calc.py").read_text() == DOUBLES


def test_going_back_over_a_step_takes_its_state_back(talk: Callable, workspace_dir: Path) -> None:
    one = talk(LIST, *wrote(ADDS), *wrote(DOUBLES))
    one.enter(f"/plan {TASK}")
    one.enter("/plan run")
    assert one.chat.rewind().startswith(STEPS[1])
    assert states(one) == ["done", "left"]
    assert (workspace_dir / "calc.py").read_text() == ADDS
    one.chat.rewind()
    assert one.chat.rewind() == f"/plan {TASK}"
    assert one.chat.session.plan is None


def test_stopped_in_a_step(talk: Callable) -> None:
    one = talk(LIST, *wrote(ADDS), *wrote(DOUBLES))
    one.enter(f"/plan {TASK}")
    items = []
    for item in one.chat.submit("/plan run"):
        items.append(item)
        if isinstance(item, TurnStarted):
            one.chat.cancel()
    assert outcomes(items) == ["interrupted"]
    assert "stopped at step 1" in shown(items)
    assert states(one) == ["left", "left"]
    one.enter("/plan run")
    assert states(one) == ["done", "unverified"]


def test_in_the_mode_plan_a_task_is_planned(talk: Callable, workspace_dir: Path) -> None:
    one = talk(LIST, "It subtracts.", *wrote(ADDS), *wrote(DOUBLES), mode="plan")
    items = one.enter(TASK)
    assert [e.kind for e in of(items, TurnStarted)] == ["plan"]
    items = one.enter("What does add do?")
    assert [e.kind for e in of(items, TurnStarted)] == ["task"]
    items = one.enter("/plan run")
    assert of(items, ModeChanged) == [ModeChanged("ask")]
    assert states(one) == ["done", "unverified"]


def test_steps_that_are_none_are_told_of(talk: Callable) -> None:
    more = f"{LIST}3. {STEPS[0]}\n4. Review the changes\n"
    items = talk(more).enter(f"/plan {TASK}")
    assert [len(e.steps) for e in of(items, PlanChanged)] == [2]
    (told,) = [e.detail for e in of(items, Step) if e.name == "plan"]
    assert told.startswith("dropped 2 of the model's steps")


def test_a_reply_that_is_no_plan(talk: Callable) -> None:
    items = talk("I would rather not.").enter(f"/plan {TASK}")
    assert outcomes(items) == ["unsolved"]
    assert not of(items, PlanChanged, Output)


@pytest.mark.parametrize("line", ["/plan", "/plan run", "/plan edit", "/plan skip"])
def test_without_a_plan(talk: Callable, line: str) -> None:
    error = talk().shown(line)
    assert (error.text, error.hint) == ("there is no plan", "/plan TASK makes a plan")


def test_it_is_replayed(talk: Callable, workspace_dir: Path) -> None:
    copy = shutil.copytree(workspace_dir, workspace_dir.parent / "copy")
    one = talk(LIST, *wrote(ADDS), *wrote(DOUBLES))
    one.enter(f"/plan {TASK}")
    one.enter("/plan run")
    again = list(replay(one.chat.session.id, Project.open(copy)))
    assert not of(again, Difference), of(again, Difference)
    assert (copy / "calc.py").read_text() == DOUBLES


TWO = """from calc import add, double


def test_add():
    assert add(2, 3) == 5


def test_double():
    assert double(4) == 8
"""
DIFFERS = "def add(a, b):\n    return a - b\n\n\ndef double(a):\n    return a + a\n"


@pytest.mark.parametrize("planner", ["react", "workflow"])
def test_the_check_need_not_pass_before_the_last_step(
    talk: Callable, workspace_dir: Path, planner: str
) -> None:
    (workspace_dir / "calc_test.py").write_text(TWO)
    (workspace_dir / "calc.py").write_text("def add(a, b):\n    return a - b\n")
    plan = "1. Add a function double to calc.py\n2. Change add in calc.py to add its numbers\n"
    texts = [DIFFERS, DIFFERS.replace("-", "+")]
    replies = [r for text in texts for r in wrote(text)]
    if planner == "workflow":  # the rest of the new function alone, then the whole file
        replies = ["a):\n    return a + a\n", texts[1]]
    one = talk(plan, *replies, planner=planner)
    one.enter(f"/plan {TASK}")
    items = one.enter("/plan run")
    assert outcomes(items) == ["unverified", "solved"]
    assert [e.kind for e in of(items, TurnStarted)] == ["step", "last-step"]
    assert states(one) == ["unverified", "done"]
    assert "('1', 'not verified'," in shown(items)
    assert (workspace_dir / "calc.py").read_text() == texts[1]


@pytest.mark.parametrize("planner", ["react", "workflow"])
def test_a_step_that_breaks_what_passed_fails(
    talk: Callable, workspace_dir: Path, planner: str
) -> None:
    (workspace_dir / "calc.py").write_text(ADDS)
    plan = "1. Change add in calc.py to subtract\n2. Add a function double to calc.py\n"
    breaks = ADDS.replace("+", "-")
    replies = wrote(breaks) if planner == "react" else [breaks]
    one = talk(plan, *replies, *["I do not know."] * 9, planner=planner)
    one.enter(f"/plan {TASK}")
    assert outcomes(one.enter("/plan run")) == ["unsolved"]
    assert states(one) == ["failed", "left"]


@pytest.mark.parametrize("planner", ["react", "workflow"])
def test_a_check_that_fails_for_something_else_is_told_of(
    talk: Callable, workspace_dir: Path, planner: str
) -> None:
    plan = "1. Add a function double to calc.py\n"
    replies = ["a):\n    return a + a\n"] if planner == "workflow" else wrote(DIFFERS)
    one = talk(plan, *replies, *["I do not know."] * 20, planner=planner)
    one.enter("/plan let it double numbers")
    items = one.enter("/plan run")
    assert outcomes(items) == ["unverified"]
    assert "the plan is done: 1 step, 1 not verified" in shown(items)
    assert "/check fix" in shown(items)
    assert states(one) == ["unverified"]
    assert (workspace_dir / "calc.py").read_text() == DIFFERS
