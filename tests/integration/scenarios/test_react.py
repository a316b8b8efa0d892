"""The react planner: tool calls in a loop, a growing conversation, an honest end."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from localagent.core.events import Event, Step, ToolReturned, TurnFinished
from localagent.models.base import Profile

READ = "I look at it.\n```read path=calc.py\n```"
EDIT = """```edit path=calc.py
<<<<<<< SEARCH
    return a - b
=======
    return a + b
>>>>>>> REPLACE
```"""
TEST = "```shell\npython -m pytest -q\n```"
DONE = "```done\nadd adds now\n```"
TASK = "Fix calc.py so that the tests in calc_test.py pass"


def finished(events: list[Event]) -> TurnFinished:
    assert isinstance(events[-1], TurnFinished)
    return events[-1]


def results(events: list[Event]) -> list[ToolReturned]:
    return [e for e in events if isinstance(e, ToolReturned)]


def test_read_edit_test_done(start: Callable, workspace_dir: Path) -> None:
    run = start(workspace_dir, [READ, EDIT, TEST, DONE], planner="react")
    events = run.turn(TASK)
    end = finished(events)
    assert (end.outcome, end.exit_code, end.summary) == ("solved", 0, "add adds now")
    assert [(r.tool, r.ok) for r in results(events)] == [
        ("read", True),
        ("edit", True),
        ("shell", True),
    ]
    assert "2 passed" in results(events)[2].for_model


def test_each_prompt_is_a_prefix_of_the_next(start: Callable, workspace_dir: Path) -> None:
    run = start(workspace_dir, [READ, EDIT, TEST, DONE, "```done\nit adds\n```"], planner="react")
    run.turn(TASK)
    run.turn("What does add do?")
    texts = [
        "".join(f"<{m.role}>{m.content}" for m in request.prompt) for request in run.model.requests
    ]
    assert len(texts) == 5
    for earlier, later in pairwise(texts):
        assert later.startswith(earlier)


def test_done_is_believed_only_when_the_check_passes(start: Callable, workspace_dir: Path) -> None:
    run = start(workspace_dir, [DONE, EDIT, DONE], planner="react")
    end = finished(run.turn(TASK))
    assert end.outcome == "solved"
    assert "the check fails" in run.model.prompts[1]


def test_claims_without_work_are_not_solved(start: Callable, workspace_dir: Path) -> None:
    run = start(workspace_dir, [DONE, DONE, DONE], planner="react")
    end = finished(run.turn(TASK))
    assert (end.outcome, end.exit_code, end.changed) == ("unsolved", 1, [])


def test_prose_is_told_what_a_call_looks_like(start: Callable, workspace_dir: Path) -> None:
    run = start(workspace_dir, ["I would fix it.", EDIT, DONE], planner="react")
    assert finished(run.turn(TASK)).outcome == "solved"
    assert "no tool call" in run.model.prompts[1]


def test_a_json_call_is_understood(start: Callable, workspace_dir: Path) -> None:
    call = '<tool_call>{"name": "read", "arguments": {"path": "calc.py"}}</tool_call>'
    run = start(workspace_dir, [call, EDIT, DONE], planner="react")
    events = run.turn(TASK)
    assert results(events)[0].ok
    assert finished(events).outcome == "solved"


def test_a_repeated_call_is_stopped(start: Callable, workspace_dir: Path) -> None:
    run = start(workspace_dir, [READ] * 6, planner="react")
    events = run.turn(TASK)
    assert finished(events).outcome == "unsolved"
    assert len(results(events)) == 1


def test_mistakes_say_what_would_be_right(start: Callable, workspace_dir: Path) -> None:
    broken = "```write path=calc.py\ndef add(a, b:\n    return a + b\n```"
    missing = "```read path=clac.py\n```"
    outside = "```read path=../secret.txt\n```"
    run = start(workspace_dir, [broken, missing, outside, EDIT, DONE], planner="react")
    events = run.turn(TASK)
    first, second, third = results(events)[:3]
    assert not first.ok and "line 1" in first.for_model
    assert not second.ok and "calc.py" in second.for_model
    assert not third.ok and "outside" in third.for_model
    assert finished(events).outcome == "solved"


def test_a_question_needs_no_tool(start: Callable, workspace_dir: Path) -> None:
    run = start(workspace_dir, ["It subtracts."] * 3, planner="react", check=None)
    assert finished(run.turn("What does add do?")).outcome == "answered"


def test_what_a_command_changed_can_be_undone(start: Callable, workspace_dir: Path) -> None:
    from localagent.project.project import Project
    from localagent.session.recorders import WorkspaceUndo

    before = {p.name: p.read_bytes() for p in workspace_dir.iterdir() if p.is_file()}
    shell = "```shell\nrm calc_test.py; echo x > new.txt; sed -i s/-/+/ calc.py\n```"
    run = start(workspace_dir, [shell, DONE], planner="react", check=None)
    run.turn("tidy up the folder")
    assert not (workspace_dir / "calc_test.py").exists()
    assert (workspace_dir / "new.txt").exists()
    run.session.close()
    WorkspaceUndo(Project.open(workspace_dir)).undo()
    after = {p.name: p.read_bytes() for p in workspace_dir.iterdir() if p.is_file()}
    assert after == before


def test_a_command_that_was_cut_off_is_not_run(start: Callable, workspace_dir: Path) -> None:
    endless = "```shell\n" + "".join(f"touch made-{n}\n" for n in range(2000))
    run = start(workspace_dir, [endless, EDIT, DONE], planner="react")
    assert finished(run.turn(TASK)).outcome == "solved"
    assert not list(workspace_dir.glob("made-*"))
    assert any("cut off" in m.content for m in run.session.conversation)


def test_room_is_made_where_the_conversation_no_longer_fits(
    start: Callable, workspace_dir: Path
) -> None:
    for n in range(6):
        (workspace_dir / f"long{n}.py").write_text(f"# {n}\n" + "value = 1\n" * 250)
    reads = [f"```read path=long{n}.py\n```" for n in range(6)]
    run = start(workspace_dir, [*reads, EDIT, DONE], planner="react", profile=Profile(window=8000))
    events = run.turn(TASK)
    assert finished(events).outcome == "solved"
    made = [e for e in events if isinstance(e, Step) and e.name == "compact"]
    assert made and "context compacted" in made[0].detail
    last = run.model.prompts[-1]
    assert "The result of read path=long0.py was left out" in last
    assert TASK in last


def test_a_conversation_that_cannot_be_made_to_fit_ends_plainly(
    start: Callable, workspace_dir: Path
) -> None:
    run = start(workspace_dir, [DONE], planner="react", profile=Profile(window=1300))
    end = finished(run.turn(TASK + "\n" + "and so on " * 900))
    assert end.outcome == "unsolved"
    assert "no longer fits the window" in end.summary
