"""`/context`: its sum is what the engine reports, with every planner and before the first turn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.core.events import ModelReplied
from localagent.models.base import Profile
from localagent.models.scripted import ScriptedReply
from localagent.ui.chat.interface import Output
from tests.doubles.talk import Talk, of

QUESTION = "What does add do?"
LAST, NEXT = "the last prompt of the model", "the beginning of the next prompt"
READ = "I look at it.\n```read path=calc.py\n```"
DONE = "```done\nIt subtracts.\n```"
FIXED = "def add(a, b):\n    return a + b\n```\n"


def tokens(shown: Output) -> dict[str, int]:
    """The rows of `/context`; sums that it shows are right."""
    rows = {name: int(count.replace(",", "")) for name, count, _ in shown.rows}
    names = list(rows)
    parts = names[: names.index("the prompt")]
    assert sum(rows[name] for name in parts) == rows["the prompt"]
    whole = rows["the prompt"] + rows.get("last reply", 0) + rows["room left"]
    assert whole == rows["window"]
    return rows


def told(one: Talk, title: str) -> dict[str, int]:
    shown = one.shown("/context")
    assert shown.title == title
    return tokens(shown)


@pytest.mark.parametrize("planner", ["react", "workflow"])
def test_before_the_first_turn(talk: Callable, planner: str) -> None:
    one = talk(planner=planner)
    rows = told(one, NEXT)
    totals: list[int] = []
    one.chat.session.warm_up(lambda _done, total: totals.append(total))
    assert totals[-1] == rows["the prompt"]
    assert ("tools" in rows) == (planner == "react")
    assert one.chat.session.turns == 0


def test_each_step_of_the_react_planner(talk: Callable, workspace_dir: Path) -> None:
    (workspace_dir / "AGENTS.md").write_text("Write plain words.\n")
    one = talk(READ, DONE, "It adds.")
    replied = of(one.enter(QUESTION), ModelReplied)
    rows = told(one, LAST)
    assert rows["the prompt"] == replied[-1].prompt_tokens
    assert rows["last reply"] == replied[-1].completion_tokens
    assert rows["the prompt"] + rows["last reply"] == one.chat.status().window_used
    wanted = {"system prompt", "tools", "what you said", "tool calls", "results", "chat template"}
    assert wanted <= set(rows)
    assert rows["what you said"] == one.model.count(QUESTION)
    (last,) = of(one.enter(QUESTION), ModelReplied)
    assert told(one, LAST)["the prompt"] == last.prompt_tokens


def test_rules_are_told_apart(talk: Callable, home: Path) -> None:
    folder = home / ".config" / "localagent"
    folder.mkdir(parents=True)
    (folder / "AGENTS.md").write_text("Write plain words.\n")
    one = talk(planner="workflow")
    rows = told(one, NEXT)
    text = one.chat.session.services.rules.fixed(
        one.chat.session.services.prompts, "scripted", one.model.count, 8192
    )
    assert rows["rules"] == pytest.approx(one.model.count(text), abs=1)


def test_a_question_to_the_workflow_planner(talk: Callable) -> None:
    one = talk("It adds.", "Nobody.", planner="workflow")
    one.enter(QUESTION)
    (last,) = of(one.enter("And who calls add in calc.py?"), ModelReplied)
    rows = told(one, LAST)
    assert rows["the prompt"] == last.prompt_tokens
    assert {"code", "replies", "what you said"} <= set(rows)


def test_a_change_by_the_workflow_planner(talk: Callable) -> None:
    one = talk(
        ScriptedReply(FIXED, to="chat", repeat=True),
        ScriptedReply("", to="infill", repeat=True),
        planner="workflow",
        yes=True,
    )
    replied = of(one.enter("fix add in calc.py so that the tests pass"), ModelReplied)
    rows = told(one, LAST)
    assert rows["the prompt"] == replied[-1].prompt_tokens
    assert "code" in rows


@pytest.mark.parametrize("line", ["/compact", "!echo hello", "/clear", "rewind"])
def test_a_conversation_that_changed_since(talk: Callable, workspace_dir: Path, line: str) -> None:
    (workspace_dir / "long.txt").write_text("a line of no use\n" * 100)
    one = talk("```read path=long.txt\n```", "Read.", "Again.")
    one.enter(QUESTION)
    one.enter(QUESTION)
    before = told(one, LAST)
    if line == "rewind":
        one.chat.rewind()
    else:
        one.enter(line)
    rows = told(one, NEXT)
    totals: list[int] = []
    one.chat.session.warm_up(lambda _done, total: totals.append(total))
    assert totals[-1] == rows["the prompt"]
    if line == "!echo hello":
        assert rows["results"] > before["results"]
    else:
        assert rows["the prompt"] < before["the prompt"]


def test_what_is_hidden_is_counted_as_it_is_shown(talk: Callable) -> None:
    secret = "ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8"
    one = talk("Noted.")
    (last,) = of(one.enter(f"Why does {secret} not work in `{secret}`?"), ModelReplied)
    assert secret not in one.model.prompts[-1]
    assert told(one, LAST)["the prompt"] == last.prompt_tokens


def test_the_code_that_a_question_gets(talk: Callable) -> None:
    one = talk(planner="workflow", profile=Profile(window=4096))
    shown = one.shown("/context what does add do?")
    assert [row for row in shown.rows if row[1].startswith("calc.py")]
    assert "of at most 1,433 tokens" in shown.title
    assert one.model.prompts == []


def test_a_question_without_an_answer(talk: Callable, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    shown = talk(folder=tmp_path / "empty").shown("/context where is zymurgy?")
    assert (shown.kind, shown.text) == ("note", "no code matches the question")
