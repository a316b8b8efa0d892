"""The react planner: tool calls in a loop, a growing conversation, an honest end."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from localagent.core.events import Event, ToolReturned, TurnFinished

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
