"""`/check`: the project's own check, for the user, and handed to the model."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.core.events import (
    CheckFinished,
    Failed,
    MessageAdded,
    ModelRequested,
    Question,
    TurnFinished,
    TurnStarted,
)
from localagent.core.paths import config_dir
from localagent.history.sessions.replay import Difference
from localagent.models.base import Profile
from localagent.models.scripted import ScriptedReply
from localagent.project.project import Project
from localagent.session.replay import replay
from localagent.ui.chat.interface import Output
from tests.doubles.talk import of, outcomes

RIGHT = "def add(a, b):\n    return a + b\n"


def test_a_failing_check_and_what_to_do(talk: Callable, workspace_dir: Path) -> None:
    one = talk()
    items = one.enter("/check")
    (checked,) = of(items, CheckFinished)
    assert (checked.command, checked.ok) == ("python -m pytest -q", False)
    assert (checked.tests_passed, checked.tests_failed) == (1, 1)
    assert outcomes(items) == ["unsolved"]
    assert "/check fix" in of(items, Output)[-1].text
    assert not of(items, ModelRequested, MessageAdded, Question)
    assert one.chat.status().check == "1 passed, 1 failed"
    (workspace_dir / "calc.py").write_text(RIGHT)
    items = one.enter("/check")
    assert of(items, CheckFinished)[0].ok
    assert outcomes(items) == ["answered"]
    assert not of(items, Output)


def test_the_check_that_was_named(talk: Callable, workspace_dir: Path) -> None:
    (checked,) = of(talk(check="test -f calc.py").enter("/check"), CheckFinished)
    assert (checked.command, checked.ok) == ("test -f calc.py", True)


def test_no_check(talk: Callable, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    items = talk(folder=tmp_path / "bare").enter("/check")
    assert "--check CMD" in of(items, Failed)[0].hint
    assert outcomes(items) == ["error"]


def test_a_check_that_cannot_run(talk: Callable) -> None:
    items = talk(check="no-such-checker-of-ours").enter("/check")
    assert "cannot start" in of(items, Failed)[0].message


def test_a_rule_that_denies_it(talk: Callable) -> None:
    config_dir().mkdir(parents=True)
    rule = '[[permissions]]\naction = "deny"\ntool = "check"\n'
    (config_dir() / "config.toml").write_text(rule)
    items = talk(check="false now").enter("/check")
    assert outcomes(items) == ["refused"]
    assert not of(items, CheckFinished)


def test_a_command_becomes_the_check_of_the_session(talk: Callable) -> None:
    one = talk()
    items = one.enter("/test test -f calc.py")
    assert of(items, CheckFinished)[0].command == "test -f calc.py"
    assert of(items, Output)[-1].text == "the check is test -f calc.py until you leave the session"
    assert of(one.enter("/check"), CheckFinished)[0].command == "test -f calc.py"


def test_a_command_that_cannot_start_does_not_become_the_check(talk: Callable) -> None:
    one = talk()
    items = one.enter("/check frob")
    assert "cannot start" in of(items, Failed)[0].message
    assert not of(items, Output)
    assert of(one.enter("/check"), CheckFinished)[0].command == "python -m pytest -q"


@pytest.mark.parametrize("planner", ["workflow", "react"])
def test_handed_to_the_model(talk: Callable, workspace_dir: Path, planner: str) -> None:
    edit = "```write path=calc.py\n" + RIGHT + "```"
    replies = (
        [edit, "```done\nmended\n```"]
        if planner == "react"
        else [
            ScriptedReply(RIGHT + "```", to="chat", repeat=True),
            ScriptedReply("", to="infill", repeat=True),
        ]
    )
    one = talk(*replies, planner=planner, yes=True)
    items = one.enter("/check fix")
    assert [e.kind for e in of(items, TurnStarted)] == ["check", "task"]
    assert outcomes(items) == ["unsolved", "solved"]
    told = of(items, MessageAdded)[0].content
    assert "python -m pytest -q" in told
    assert "test_add" in told
    if planner == "react":
        assert told in one.model.prompts[0]
    assert (workspace_dir / "calc.py").read_text() == RIGHT
    items = one.enter("/check fix")
    assert outcomes(items) == ["answered"]
    assert len(of(items, TurnStarted)) == 1


@pytest.mark.parametrize("planner", ["workflow", "react"])
def test_run_the_tests_runs_the_check_without_a_model(talk: Callable, planner: str) -> None:
    one = talk(planner=planner)
    items = one.enter("run the tests")
    assert of(items, CheckFinished)[0].tests_failed == 1
    assert outcomes(items) == ["unsolved"]
    assert "/check fix" in of(items, Output)[-1].text
    assert not of(items, ModelRequested)
    assert "test_add" in one.chat.session.conversation[-1].content


def test_thanks_ask_no_model_unless_they_are_an_answer(talk: Callable) -> None:
    one = talk("Shall I add a test?", "```done\nadded none\n```", profile=Profile(planner="react"))
    items = one.enter("thanks")
    assert outcomes(items) == ["answered"]
    assert not of(items, ModelRequested, MessageAdded)
    assert "nothing to do" in of(items, TurnFinished)[0].summary
    one.enter("What is tested?")
    assert of(one.enter("ok"), ModelRequested)


def test_it_is_gone_back_over_and_replayed(talk: Callable, workspace_dir: Path) -> None:
    one = talk("It adds.")
    one.enter("What does add do?")
    one.enter("/check")
    session = one.chat.session.id
    assert one.chat.rewind() == "/check"
    one.enter("/check")
    copy = shutil.copytree(workspace_dir, workspace_dir.parent / "copy")
    again = list(replay(session, Project.open(copy)))
    assert not of(again, Difference), of(again, Difference)
    assert [e.kind for e in of(again, TurnStarted)] == ["task", "check", "check"]


def test_the_best_change_of_a_search_is_applied_on_request(
    talk: Callable, workspace_dir: Path
) -> None:
    before = "def add(a, b):\n    return str(a)\n"
    half = "def add(a, b):\n    return 0 if not a else [a, b]\n"  # passes one of two tests
    (workspace_dir / "calc.py").write_text(before)
    replies = [half, ScriptedReply("nothing", repeat=True)]
    one = talk(*replies, planner="workflow", mode="auto")
    assert outcomes(one.enter("Fix calc.py so that the tests pass")) == ["unsolved"]
    assert (workspace_dir / "calc.py").read_text() == before
    items = one.enter("/best")
    assert (workspace_dir / "calc.py").read_text() == half
    assert outcomes(items) == ["unverified"]
    one.enter("/undo")
    assert (workspace_dir / "calc.py").read_text() == before


def test_there_may_be_no_best_change_or_an_old_one(talk: Callable, workspace_dir: Path) -> None:
    (workspace_dir / "calc.py").write_text("def add(a, b):\n    return str(a)\n")
    half = "def add(a, b):\n    return 0 if not a else [a, b]\n"
    replies = [half, ScriptedReply("nothing", repeat=True)]
    one = talk(*replies, planner="workflow", mode="auto")
    assert "the last turn left no best change" in one.shown("/best").text
    one.enter("Fix calc.py so that the tests pass")
    (workspace_dir / "calc.py").write_text(RIGHT)
    items = one.enter("/best")
    assert "calc.py has changed since the search" in of(items, Failed)[0].message
    assert (workspace_dir / "calc.py").read_text() == RIGHT
