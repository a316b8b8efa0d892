"""Answers to questions, and modes, through whole sessions."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.cli.main import main
from localagent.core.errors import UsageError
from localagent.core.events import (
    Decision,
    Event,
    ModeChanged,
    Question,
    ToolReturned,
    TurnFinished,
)
from localagent.history.sessions.transcript import read

TOUCH = "```shell\ntouch made.txt\n```"
WRITE = "```write path=new.py\nx = 1\n```"
DONE = "```done\nit is there\n```"
TASK = "Create what is missing."


def decisions(events: list[Event]) -> list[tuple[str, bool, str]]:
    return [(e.subject, e.allowed, e.by) for e in events if isinstance(e, Decision)]


def answered(run: object, prompt: str, **answer: object) -> list[Event]:
    """One turn in which every question gets this answer; also what could be remembered."""
    events: list[Event] = []
    for event in run.session.run(prompt):
        events.append(event)
        if isinstance(event, Question):
            run.remembers = run.session.remembers(event.id)
            run.session.answer(event.id, **answer)
    run.events += events
    return events


@pytest.fixture
def asking(start: Callable, workspace_dir: Path) -> Callable:
    """Sessions of the react planner in which everything is asked, in a folder without tests."""
    (workspace_dir / "calc_test.py").unlink()

    def begin(*replies: str, **options: object) -> object:
        given = {"planner": "react", "yes": False, "check": None, "interactive": True, **options}
        return start(workspace_dir, list(replies), **given)

    return begin


def test_a_reason_goes_to_the_model(asking: Callable, workspace_dir: Path) -> None:
    run = asking(TOUCH, DONE)
    events = answered(run, TASK, allowed=False, reason="use python for that")
    assert decisions(events) == [("touch made.txt", False, "user")]
    assert "use python for that" in run.model.prompts[1]
    assert not (workspace_dir / "made.txt").exists()


def test_the_time_that_a_turn_took_is_not_the_users(asking: Callable) -> None:
    run = asking(TOUCH, DONE)
    begun = time.monotonic()
    for event in run.session.run(TASK):
        if isinstance(event, Question):
            time.sleep(1.0)
            run.session.answer(event.id, allowed=True)
    assert isinstance(event, TurnFinished)
    assert event.seconds <= time.monotonic() - begun - 1.0


def test_an_edited_command_runs_and_it_is_told(asking: Callable, workspace_dir: Path) -> None:
    run = asking(TOUCH, DONE)
    events = answered(run, TASK, allowed=True, edited="touch other.txt")
    assert decisions(events) == [("touch other.txt", True, "user")]
    assert (workspace_dir / "other.txt").exists()
    assert not (workspace_dir / "made.txt").exists()
    said = run.model.prompts[1]
    assert "The user changed your command to this one, and it was run instead:\ntouch other" in said


def test_an_edited_command_is_bound_by_what_is_denied(
    asking: Callable, workspace_dir: Path, home: Path
) -> None:
    config = home / ".config/localagent/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[[permissions]]\naction = "deny"\ntool = "shell"\nmatch = "rm *"\n')
    run = asking(TOUCH, DONE)
    events = answered(run, TASK, allowed=True, edited="rm calc.py")
    assert decisions(events) == [("rm calc.py", False, "rule")]
    assert (workspace_dir / "calc.py").exists()


def test_remember_exactly_this(asking: Callable, workspace_dir: Path, capsys) -> None:
    run = asking(TOUCH, DONE, "```shell\nrm made.txt\n```", TOUCH, DONE)
    answered(run, TASK, allowed=True, remember=True)
    assert run.remembers == ("run touch made.txt",)
    events = answered(run, "Once more.", allowed=False)
    assert decisions(events) == [
        ("rm made.txt", False, "user"),
        ("touch made.txt", True, "remembered"),
    ]
    assert main(["permissions", "list", "-C", str(workspace_dir)]) == 0
    assert "1  run touch made.txt" in capsys.readouterr().out
    assert main(["permissions", "forget", "1", "-C", str(workspace_dir)]) == 0
    assert main(["permissions", "forget", "1", "-C", str(workspace_dir)]) == 2
    assert "nothing is remembered" in capsys.readouterr().err


def test_a_file_is_remembered(asking: Callable, workspace_dir: Path) -> None:
    run = asking(WRITE, DONE)
    answered(run, TASK, allowed=True, remember=True)
    assert run.remembers == ("change new.py",)
    run.session.close()
    again = asking(WRITE.replace("x = 1", "x = 2"), DONE)
    assert decisions(answered(again, TASK, allowed=False)) == [("new.py", True, "remembered")]
    assert (workspace_dir / "new.py").read_text() == "x = 2\n"


def test_modes_from_the_start(asking: Callable, workspace_dir: Path) -> None:
    run = asking(WRITE, TOUCH, DONE, mode="auto-edit")
    events = answered(run, TASK, allowed=False)
    assert isinstance(events[1], ModeChanged)
    assert decisions(events) == [("new.py", True, "mode"), ("touch made.txt", False, "user")]


def test_a_mode_changed_in_the_middle_of_a_turn(asking: Callable, workspace_dir: Path) -> None:
    run = asking(WRITE, TOUCH, DONE)
    events: list[Event] = []
    for event in run.session.run(TASK):
        events.append(event)
        if isinstance(event, Question):
            run.session.answer(event.id, allowed=True)
            run.session.services.gate.set_mode("auto")
    run.events += events
    assert decisions(events) == [("new.py", True, "user"), ("touch made.txt", True, "mode")]
    assert [e for e in read(run.session.id).events if isinstance(e, ModeChanged)] == [
        ModeChanged("auto")
    ]


def test_auto_without_a_sandbox_is_refused(asking: Callable) -> None:
    with pytest.raises(UsageError, match="needs a sandbox"):
        asking(DONE, mode="auto", sandbox="none")


def test_run_with_a_mode(workspace_dir: Path, tmp_path: Path, capsys) -> None:
    script = tmp_path / "script"
    script.write_text(f"--- reply\n{WRITE}\n--- reply\n{DONE}\n")
    (workspace_dir / "calc_test.py").unlink()
    flags = ["--planner", "react", "--scripted", str(script), "-C", str(workspace_dir), "--json"]
    assert main(["run", TASK, "--mode", "auto-edit", *flags]) == 1  # not verified
    assert '"mode_changed", "mode": "auto-edit"' in capsys.readouterr().out
    assert (workspace_dir / "new.py").exists()


def test_a_project_can_only_be_stricter(asking: Callable, workspace_dir: Path) -> None:
    settings = workspace_dir / ".localagent/config.toml"
    settings.parent.mkdir()
    settings.write_text('mode = "auto"\n')
    run = asking(DONE)
    assert run.session.mode == "ask"
    assert any("may only be stricter" in text for text in run.session.warnings)
    run.session.close()
    settings.write_text('mode = "plan"\n')
    strict = asking(WRITE, DONE)
    events = answered(strict, TASK, allowed=True)
    assert decisions(events) == [("new.py", False, "mode")]
    assert [e.ok for e in events if isinstance(e, ToolReturned)] == [False]
    assert isinstance(events[-1], TurnFinished)
