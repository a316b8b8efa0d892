"""A rule that denies reading holds for each way in which a model gets text of a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.core.events import ToolReturned
from localagent.models.base import ModelInfo, Profile
from localagent.models.scripted import ScriptedModel, ScriptedReply
from localagent.session.factory import open_session
from tests.doubles.opening import opening

RULES = (
    '[[permissions]]\naction = "allow"\nmatch = "private/public.py"\n'
    '[[permissions]]\naction = "deny"\nmatch = "private/**"\n'
    '[[permissions]]\ntool = "read"\naction = "deny"\nmatch = "unread/**"\n'
)
LINE = "2026-11-28 21:23:00 host app ERROR {}\n"


@pytest.fixture
def project(workspace_dir: Path, home: Path) -> Path:
    settings = home / ".config/localagent"
    settings.mkdir(parents=True)
    (settings / "config.toml").write_text(RULES)
    private = workspace_dir / "private"
    private.mkdir()
    (private / "plan.py").write_text("def merger_plan():\n    return 'contoso'\n")
    (private / "public.py").write_text("def merger_news():\n    return 'old'\n")
    (private / "a.log").write_text(LINE.format("contoso failed"))
    (workspace_dir / "b.log").write_text(LINE.format("all is fine"))
    return workspace_dir


def replies(project: Path, prompt: str, planner: str, *texts: str) -> tuple[list[str], list[str]]:
    """What the tools returned in a turn, and what the model read."""
    script: list[str | ScriptedReply] = list(texts)
    model = ScriptedModel(script, ModelInfo("scripted", "scripted", "", Profile()))
    session = open_session(*opening(project, planner=planner, yes=True), model)
    with session:
        events = list(session.run(prompt))
    return [e.for_model for e in events if isinstance(e, ToolReturned)], model.prompts


@pytest.mark.parametrize(
    "call",
    [
        "search pattern=contoso",
        "search pattern=contoso path=private/plan.py",
        "read path=private/plan.py",
        "list path=private",
        "logs path=.",
        'logs path="b.log private/a.log"',
    ],
)
def test_no_tool_shows_a_file(project: Path, call: str) -> None:
    (shown,), prompts = replies(
        project, "Look around", "react", f"```{call}\n```", "```done\nx\n```"
    )
    assert "return 'contoso'" not in shown and "contoso failed" not in shown
    assert "plan.py" not in shown or "denies" in shown or "refused" in shown
    assert not any("return 'contoso'" in prompt for prompt in prompts)


def test_an_earlier_rule_allows_a_file(project: Path) -> None:
    (shown,), _ = replies(
        project, "Look around", "react", "```search pattern=merger\n```", "```done\nx\n```"
    )
    assert "merger_news" in shown and "merger_plan" not in shown


def test_no_prompt_of_the_workflow_has_a_file(project: Path) -> None:
    question = "What does merger_plan in private/plan.py return?"
    _, prompts = replies(project, question, "workflow", "It is unknown.")
    assert prompts and not any("contoso" in prompt for prompt in prompts)


BLOCK = "<<<<<<< SEARCH\n    return 'cont0so'\n=======\n    return 1\n>>>>>>> REPLACE\n"


@pytest.fixture
def linked(project: Path) -> Path:
    """The project with links to files that rules deny, and with denied names of other files."""
    for folder, name in (("plain", "fabrikam"), ("unread", "contoso")):
        (project / folder).mkdir()
        (project / folder / "real.py").write_text(f"def {folder}():\n    return '{name}'\n")
    (project / "alias.py").symlink_to("private/plan.py")
    (project / "folder").symlink_to("private")
    (project / "second.py").symlink_to("alias.py")
    (project / "private/latest.py").symlink_to("../plain/real.py")
    (project / "third.py").symlink_to("private/latest.py")
    (project / ".env").symlink_to("plain/real.py")
    return project


@pytest.mark.parametrize(
    "path",
    [
        *("alias.py", "second.py", "folder/plan.py", "private/latest.py", "third.py"),
        *("private/plan.py", ".env", "./folder/../private/latest.py", "unread/real.py"),
    ],
)
@pytest.mark.parametrize("tool", ["read", "search", "edit", "logs"])
def test_no_tool_shows_a_file_through_a_link(linked: Path, tool: str, path: str) -> None:
    calls = {
        "read": f"```read path={path}\n```",
        "search": f"```search pattern=return path={path}\n```",
        "edit": f"```edit path={path}\n{BLOCK}```",
        "logs": f"```logs path={path} pattern=return\n```",
    }
    (shown,), prompts = replies(linked, "Look around", "react", calls[tool], "```done\nx\n```")
    for name in ("contoso", "fabrikam"):
        assert f"return '{name}'" not in shown
        assert not any(f"return '{name}'" in prompt for prompt in prompts)


@pytest.mark.parametrize("path", ["alias.py", "private/latest.py", "third.py", ".env"])
def test_no_tool_writes_through_a_link(linked: Path, path: str) -> None:
    call = f"```write path={path}\nnew = 1\n```"
    (shown,), _ = replies(linked, "Look around", "react", call, "```done\nx\n```")
    assert "denies" in shown or "refused" in shown or "secrets" in shown
    assert "return" in (linked / path).read_text()


@pytest.mark.parametrize("path", ["alias.py", "second.py", "folder/plan.py"])
def test_no_prompt_has_a_file_that_a_task_names_by_a_link(linked: Path, path: str) -> None:
    question = f"What does merger_plan in @{path} return?"
    _, prompts = replies(linked, question, "workflow", "It is unknown.")
    assert prompts and not any("contoso" in prompt for prompt in prompts)


def test_a_link_that_no_rule_denies_is_read(linked: Path) -> None:
    (linked / "open.py").symlink_to("plain/real.py")
    call = "```read path=open.py\n```"
    (shown,), _ = replies(linked, "Look around", "react", call, "```done\nx\n```")
    assert "fabrikam" in shown
