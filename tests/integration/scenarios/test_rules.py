"""AGENTS.md in whole sessions: used after consent alone, in both planners, prompts only growing."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from localagent.agent.model_calls import transcript_form
from localagent.core.events import Event, Warned
from localagent.models.base import Profile
from localagent.project.project import nearest_rules
from localagent.workspace.workspace import Workspace
from tests.doubles.agreed import agree

TASK = "Fix calc.py so that the tests in calc_test.py pass"
SOLUTION = "def add(a, b):\n    return a + b\n```"
READ = "I look at it.\n```read path=pkg/deep/x.py\n```"
LIST = "I look again.\n```read path=pkg/deep/x.py lines=1-1\n```"
DONE = "```done\nnothing to do\n```"


def warnings(events: list[Event]) -> str:
    return "\n".join(event.text for event in events if isinstance(event, Warned))


@pytest.fixture
def ruled(workspace_dir: Path, home: Path) -> Path:
    (workspace_dir / "AGENTS.md").write_text("Use plain functions.\n")
    (workspace_dir / "pkg" / "deep").mkdir(parents=True)
    (workspace_dir / "pkg" / "AGENTS.md").write_text("In pkg all is generated.\n")
    (workspace_dir / "pkg" / "deep" / "x.py").write_text("x = 1\n")
    own = home / ".config" / "localagent"
    own.mkdir(parents=True)
    (own / "AGENTS.md").write_text("Answer in English.\n")
    return workspace_dir


def test_without_consent_they_are_not_used_and_that_is_said(start: Callable, ruled: Path) -> None:
    run = start(ruled, [SOLUTION])
    said = warnings(run.turn(TASK))
    assert "AGENTS.md of this project is not used: you have not agreed" in said
    assert run.model.prompts
    for prompt in run.model.prompts:
        assert "plain functions" not in prompt
        assert "Answer in English." in prompt  # the user's own need no consent


def test_workflow_shows_them_after_the_systems_text(start: Callable, ruled: Path) -> None:
    agree(ruled)
    run = start(ruled, [SOLUTION])
    events = run.turn(TASK)
    assert "not used" not in warnings(events)
    system = run.model.requests[0].prompt[0]
    assert system.role == "system"
    places = [
        system.content.index(part)
        for part in ("You are an expert", "Answer in English.", "Use plain functions.")
    ]
    assert places == sorted(places)
    assert "all is generated" not in system.content  # calc.py is not in pkg


def test_workflow_shows_a_folders_rules_with_its_file(start: Callable, ruled: Path) -> None:
    agree(ruled)
    run = start(ruled, ["x = 2\n```"], check="grep -q 2 pkg/deep/x.py")
    run.turn("change pkg/deep/x.py so that x is 2")
    assert run.model.requests[-1].prompt[0].content.endswith("all is generated.\n</rules>")


def test_react_shows_a_folders_rules_once_with_the_first_result_there(
    start: Callable, ruled: Path
) -> None:
    agree(ruled)
    run = start(ruled, [READ, LIST, DONE, DONE], planner="react", check="true")
    run.turn("look at pkg/deep/x.py and say what is wrong, then fix it")
    texts = [transcript_form(request) for request in run.model.requests]
    assert "Use plain functions." in texts[0]
    assert "all is generated" not in texts[0]
    assert texts[1].count("all is generated") == texts[2].count("all is generated") == 1
    for before, after in pairwise(texts):
        assert after.startswith(before.removesuffix("<assistant>\n"))


def test_a_session_keeps_the_rules_that_it_began_with(start: Callable, ruled: Path) -> None:
    agree(ruled)
    run = start(ruled, [READ, DONE, READ, DONE], planner="react", check="true")
    run.turn("fix pkg/deep/x.py")
    (ruled / "AGENTS.md").write_text("Something else.\n")
    (ruled / "pkg" / "AGENTS.md").write_text("Something else.\n")
    run.turn("fix pkg/deep/x.py again")
    first, last = (run.model.requests[n].prompt[0] for n in (0, -1))
    assert first == last  # that prompts only grow is checked when the session is closed


def test_rules_that_are_too_long_are_cut_and_that_is_said(start: Callable, ruled: Path) -> None:
    (ruled / "AGENTS.md").write_text("".join(f"- rule {n} of many\n" for n in range(500)))
    agree(ruled)
    for planner, replies in (("workflow", [SOLUTION]), ("react", [DONE])):
        run = start(ruled, replies, planner=planner, profile=Profile(window=4096))
        assert "of AGENTS.md the model reads the first" in warnings(run.turn("fix calc.py"))
        assert "more lines of AGENTS.md are left out]" in run.model.prompts[-1]
        (ruled / "calc.py").write_text("def add(a, b):\n    return a - b\n")
        run.session.close()


def test_the_users_no_to_all_projects(start: Callable, ruled: Path, home: Path) -> None:
    agree(ruled)
    (home / ".config/localagent/config.toml").write_text('project_files = "never"\n')
    run = start(ruled, [READ, DONE], planner="react", check="true")
    said = warnings(run.turn("fix pkg/deep/x.py"))
    assert "AGENTS.md of this project is not used: project_files is never" in said
    assert all("plain functions" not in p and "generated" not in p for p in run.model.prompts)


def test_a_projects_prompts_are_used_after_consent(start: Callable, workspace_dir: Path) -> None:
    path = workspace_dir / ".localagent" / "prompts" / "workflow" / "system.md"
    path.parent.mkdir(parents=True)
    path.write_text("You write haiku.\n")
    # No change of one sign mends it, so the second turn has something to do, too.
    (workspace_dir / "calc.py").write_text("def add(a, b):\n    return bool(a)\n")
    first = start(workspace_dir, ["def add(a, b):\n    return 0\n```"] * 30, max_tokens=20)
    assert "prompts/workflow/system.md of this project is not used" in warnings(first.turn(TASK))
    assert "haiku" not in first.model.prompts[0]
    first.session.close()
    agree(workspace_dir)
    second = start(workspace_dir, [SOLUTION])
    second.turn(TASK)
    assert "You write haiku." in second.model.prompts[0]


def test_the_nearest_rules_above_a_path(ruled: Path) -> None:
    workspace = Workspace.open(ruled)
    found = {
        path: (file := nearest_rules(workspace, path)) and file.path
        for path in ("pkg/deep/x.py", "pkg", "pkg/new.py", "calc.py", "", "../x", "/etc/passwd")
    }
    assert found == {
        "pkg/deep/x.py": "pkg/AGENTS.md",
        "pkg": "pkg/AGENTS.md",
        "pkg/new.py": "pkg/AGENTS.md",
        **dict.fromkeys(["calc.py", "", "../x", "/etc/passwd"]),
    }
