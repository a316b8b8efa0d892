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
