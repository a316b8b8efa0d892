"""A run opens its workspace, its settings and the user's consent once each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from localagent.cli.main import main
from localagent.config import settings
from localagent.permissions.consent import Consent
from localagent.project import project
from localagent.workspace.workspace import Workspace

REPLIES = "--- reply repeat = true\n```done\nIt adds.\n```\n"


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each is opened, wherever in the package."""
    counter: Counter[str] = Counter()

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            counter[name] += 1
            return function(*arguments, **options)

        return call

    monkeypatch.setattr(Workspace, "open", counted("workspace", Workspace.open))
    monkeypatch.setattr(Consent, "__init__", counted("consent", Consent.__init__))
    load = counted("settings", settings.load)
    monkeypatch.setattr(settings, "load", load)
    monkeypatch.setattr(project, "load_settings", load)
    return counter


def test_a_run_opens_each_once(workspace_dir: Path, counts: Counter[str]) -> None:
    (workspace_dir / "AGENTS.md").write_text("Be brief.\n")
    script = workspace_dir.parent / "replies.txt"
    script.write_text(REPLIES)
    options = ["--scripted", str(script), "--planner", "react", "--sandbox", "none", "--json"]
    assert main(["run", "-C", str(workspace_dir), *options, "what does add do?"]) == 0
    assert counts == {"workspace": 1, "settings": 1, "consent": 1}


def test_a_command_of_the_project_shares_them(workspace_dir: Path, counts: Counter[str]) -> None:
    assert main(["prompts", "list", "-C", str(workspace_dir)]) == 0
    assert counts == {"workspace": 1, "settings": 1, "consent": 1}
