"""What a project brings, asked about inside a session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from localagent.core.events import TurnStarted, Warned
from localagent.ui.chat.interface import Output, UIRequest
from tests.doubles.talk import Talk, of

QUESTION = "What does add do?"
ANSWER = "It adds two numbers."
RULE = "Answer like a pirate."


def picks(items: list) -> list[str]:
    return [item.title for item in of(items, UIRequest) if item.kind == "pick"]


def begun(talk: Callable[..., Talk], *handed: str) -> Talk:
    one = talk(*[ANSWER] * 5, interactive=True)
    one.handed += handed
    return one


def test_it_is_used_after_a_yes_and_asked_once(talk: Callable, workspace_dir: Path) -> None:
    (workspace_dir / "AGENTS.md").write_text(RULE)
    one = begun(talk, "yes")
    items = one.enter(QUESTION)
    assert picks(items) == ["Use AGENTS.md?"]
    assert isinstance(items[0], Output)
    assert items[0].text == RULE
    assert RULE in one.model.prompts[0]
    assert not [w for w in of(items, Warned) if "AGENTS.md" in w.text]
    assert picks(one.enter(QUESTION)) == []


def test_not_now_holds_until_it_changes_or_is_asked_for(
    talk: Callable, workspace_dir: Path
) -> None:
    (workspace_dir / "AGENTS.md").write_text(RULE)
    one = begun(talk, "later", "no", "yes")
    items = one.enter(QUESTION)
    assert RULE not in one.model.prompts[0]
    assert [w for w in of(items, Warned) if "AGENTS.md" in w.text]
    assert picks(one.enter(QUESTION)) == []
    assert picks(one.enter("/trust")) == ["Use AGENTS.md?"]
    (workspace_dir / "AGENTS.md").write_text(f"{RULE}\nBe brief.\n")
    items = one.enter(QUESTION)
    assert picks(items) == ["Use AGENTS.md?"]
    assert isinstance(items[0], Output)
    assert items[0].kind == "text"  # after a no, the whole text has to be seen
    assert RULE in items[0].text and "Be brief." in items[0].text
    assert "Be brief." in one.model.prompts[-1]


def test_a_command_that_comes_in_mid_session(talk: Callable, workspace_dir: Path) -> None:
    one = begun(talk, "yes")
    one.enter(QUESTION)
    folder = workspace_dir / ".localagent/commands"
    folder.mkdir(parents=True)
    (folder / "explain.md").write_text("---\ndescription: explain\n---\nWhat does $1 do?\n")
    assert picks(one.enter("/trust")) == ["Use .localagent/commands/explain.md?"]
    (turn,) = of(one.enter("/explain sub"), TurnStarted)
    assert turn.prompt == "What does sub do?"


def test_nobody_is_asked_where_nobody_is_there(talk: Callable, workspace_dir: Path) -> None:
    (workspace_dir / "AGENTS.md").write_text(RULE)
    one = talk(ANSWER)
    assert picks(one.enter(QUESTION)) == []
    assert RULE not in one.model.prompts[0]
