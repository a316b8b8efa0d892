"""The commands after "/", over real sessions, files and processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.core.events import (
    ChangesUndone,
    ConversationReplaced,
    MessageAdded,
    ModeChanged,
    ModelReplied,
    TurnStarted,
)
from localagent.core.paths import config_dir
from localagent.history.sessions.transcript import read
from localagent.models.scripted import ScriptedReply
from localagent.ui.chat.commands import COMMANDS
from localagent.ui.chat.interface import Output, UIRequest
from tests.doubles.talk import of, outcomes

QUESTION = "What does add do?"
ANSWER = "It adds two numbers."


def text_of(items: list) -> str:
    """All texts and tables."""
    return "\n".join(f"{item.text} {item.rows}" for item in of(items, Output))


@pytest.mark.parametrize("command", [c for c in COMMANDS if not c.arguments and c.name != "init"])
def test_what_takes_nothing_says_so(talk: Callable, command) -> None:
    shown = talk().shown(f"/{command.name} nonsense")
    assert shown.kind == "error"
    assert "nonsense" in shown.text


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/modell", "/model or /models"),
        ("/perm", "/permissions? /help"),
        ("/nothing-like", "/help lists"),
        ("/sesions list", "/sessions"),
        ("/diff x", "turn's number"),
        ("/fork 9", "no turn 9"),
        ("/resume nothing-like-it", "nothing-like-it"),
        ("/mode fast", "auto-edit"),
        ("/think hard", "hard"),
        ("/planner nothing", "workflow, react"),
        ("/model no-such-model", "no-such-model"),
        ("/export", ".html"),
        ("/export notes.pdf", ".html"),
        ("/config shwo", "shwo"),
        ('/search "open', "quote"),
        ("/undo", "nothing to undo"),
        ("/redo 7", "7"),
        ("/resume", "no other session"),
    ],
)
def test_mistakes_are_said(talk: Callable, line: str, told: str) -> None:
    (shown,) = of(talk().enter(line), Output)
    assert shown.kind == "error"
    assert told in f"{shown.text} {shown.hint}"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/models", "qwen"),
        ("/permissions", ""),
        ("/config show planner", "planner"),
        ("/audit", ""),
        ("/index", "index"),
        ("/search def:add", "calc.py:1"),
    ],
)
def test_what_the_command_line_says(talk: Callable, line: str, told: str) -> None:
    items = talk().enter(line)
    assert not [i for i in of(items, Output) if i.kind == "error"]
    assert told in text_of(items).lower()


def test_help_tells_of_every_command(talk: Callable) -> None:
    rows = talk().shown("/help").rows
    told = {row[0].split(" ")[0] for row in rows}
    assert {f"/{command.name}" for command in COMMANDS} <= told


def test_think_and_planner_change_the_next_turns(talk: Callable) -> None:
    one = talk(ScriptedReply(ANSWER, thought="<think>hm</think>", repeat=True))
    assert "off" in one.shown("/think").text
    assert "up to 50 tokens" in one.shown("/think 50").text
    items = one.enter(QUESTION)
    assert of(items, ModelReplied)[-1].thought == "<think>hm</think>"
    assert [m.content for m in of(items, MessageAdded)] == [QUESTION, ANSWER]
    assert "before plans" in one.shown("/think plans").text
    assert of(one.enter(QUESTION), ModelReplied)[-1].thought == ""
    assert "workflow" in one.shown("/planner workflow").text
    assert "off" in one.shown("/think off").text


def test_undo_and_redo_tell_the_conversation(talk: Callable, workspace_dir: Path) -> None:
    one = talk(ANSWER)
    one.enter(QUESTION)
    one.enter("!echo x > made.txt")
    items = one.enter("/undo")
    assert not (workspace_dir / "made.txt").exists()
    assert of(items, ChangesUndone) == [ChangesUndone(one.chat.session.id, 2, ["made.txt"])]
    assert "made.txt" in of(items, MessageAdded)[0].content
    one.enter("/redo")
    assert (workspace_dir / "made.txt").read_text() == "x\n"


def test_diff_shows_what_a_turn_changed(talk: Callable) -> None:
    one = talk()
    assert one.shown("/diff").text == "nothing was changed"
    one.enter("!echo one > made.txt")
    one.enter("!true")
    shown = one.shown("/diff")
    assert (shown.kind, shown.title) == ("diff", "turn 1")
    assert "+one" in shown.text
    assert one.shown("/diff 2").text == "turn 2 changed nothing"
    one.enter("/undo")
    assert one.shown("/diff").title == "turn 1, undone: /redo redoes it"
    one.enter("/redo")
    assert one.shown("/diff").title == "turn 1"


def test_clear_begins_a_session_and_resume_goes_back(talk: Callable) -> None:
    one = talk(ANSWER, ANSWER)
    one.enter(QUESTION)
    first = one.chat.session
    items = one.enter("/clear")
    assert [item.kind for item in of(items, UIRequest)] == ["clear"]
    second = one.chat.session
    assert second.id != first.id
    assert second.conversation == []
    assert second.models is first.models
    assert not second.started.read_only
    assert outcomes(one.enter(QUESTION)) == ["answered"]
    assert first.id in {c.text for c in one.chat.complete("resume", "")}
    one.handed.append(first.id)
    items = one.enter("/resume")
    assert of(items, UIRequest)[0].choices[0].value == first.id
    assert one.chat.session.id == first.id
    assert one.chat.session.conversation[-1].content == ANSWER
    assert [e.prompt for e in read(second.id).events if isinstance(e, TurnStarted)] == [QUESTION]


def test_a_fork_goes_on_from_an_earlier_turn(talk: Callable) -> None:
    one = talk("First.", "Second.")
    one.enter("What is the first?")
    one.enter("What is the second?")
    before = one.chat.session.id
    one.enter("/fork 1")
    assert one.chat.session.id != before
    assert [m.content for m in one.chat.session.conversation] == ["What is the first?", "First."]
    assert len(read(before).messages()) == 4


def test_compact_leaves_out_what_is_old(talk: Callable, workspace_dir: Path) -> None:
    (workspace_dir / "long.txt").write_text("a line of no use\n" * 150)
    one = talk("```read path=long.txt\n```", ANSWER, ANSWER)
    assert one.shown("/compact").text == "nothing to compact: the conversation is short"
    one.enter(QUESTION)
    one.enter(QUESTION)
    items = one.enter("/compact")
    assert of(items, ConversationReplaced)
    assert read(one.chat.session.id).messages() == one.chat.session.conversation
    assert "a line of no use" not in str(one.chat.session.conversation)


@pytest.mark.parametrize(("name", "begins"), [("s.html", "<!"), ("s.md", "#"), ("s.json", "{")])
def test_export(talk: Callable, workspace_dir: Path, name: str, begins: str) -> None:
    one = talk(ANSWER)
    one.enter(QUESTION)
    one.enter(f"/export {name}")
    written = (workspace_dir / name).read_text()
    assert written.startswith(begins)
    assert ANSWER in written


def test_init_writes_only_on_request(talk: Callable, workspace_dir: Path) -> None:
    one = talk()
    one.handed.append("no")
    assert "python -m pytest" in text_of(one.enter("/init"))
    assert not (workspace_dir / "AGENTS.md").exists()
    one.handed.append("yes")
    one.enter("/init")
    assert (workspace_dir / "AGENTS.md").exists()


def test_a_command_of_ones_own_is_a_task_in_its_mode(talk: Callable) -> None:
    folder = config_dir() / "commands"
    folder.mkdir(parents=True)
    text = "---\ndescription: explain a thing\nmode: plan\narguments: WHAT\n---\nWhat does $1 do?\n"
    (folder / "explain.md").write_text(text)
    (folder / "quit.md").write_text("never")
    one = talk(ANSWER)
    told = {c.name: c for c in one.chat.commands()}
    assert told["explain"].help == "explain a thing"
    assert told["explain"].origin == str(folder / "explain.md")
    assert told["quit"].origin == "built in"
    items = one.enter("/explain add")
    assert [e.prompt for e in of(items, TurnStarted)] == [QUESTION]
    assert outcomes(items) == ["answered"]
    assert one.chat.mode == "ask"
    assert [e.mode for e in of(items, ModeChanged)] == ["plan"]
    assert "WHAT" in of(one.enter("/explain"), Output)[0].hint


def test_the_sandbox_is_told(talk: Callable) -> None:
    items = talk().enter("/sandbox")
    assert of(items, Output)[0].rows[0][0] == "kind"


def test_the_use_of_a_session(talk: Callable) -> None:
    one = talk("It adds two numbers.")
    assert dict(one.shown("/cost").rows)["turns"] == "0"
    (reply,) = of(one.enter("What does add do?"), ModelReplied)
    one.enter("!true")
    rows = dict(one.shown("/usage").rows)
    assert rows["turns"] == "1"
    assert rows["commands"] == "1, without the model"
    read = reply.prompt_tokens - reply.reused_tokens
    assert rows["tokens read"] == f"{read:,}, and {reply.reused_tokens:,} reused"
    assert rows["tokens written"] == f"{reply.completion_tokens:,}"
    assert rows["model time"].endswith(" s")


def test_a_command_does_not_hide_that_the_question_was_interrupted(talk: Callable) -> None:
    one = talk(ANSWER)
    for item in one.chat.submit(QUESTION):
        if isinstance(item, TurnStarted):
            one.chat.cancel()
    one.enter("!true")
    rows = of(one.enter("/sessions"), Output)[0].rows
    assert [row[1] for row in rows] == ["interrupted"]


def test_a_rule_joins_the_users_or_the_projects_rules(talk: Callable, workspace_dir: Path) -> None:
    one, rules = talk(ANSWER), workspace_dir / "AGENTS.md"
    one.handed += ["user", "project", "project", None]
    for word in ("one", "two", "three", "four"):
        one.enter(f"# {word}")
    assert (config_dir() / "AGENTS.md").read_text() == "- one\n"
    assert rules.read_text() == "- two\n- three\n"
    one.enter(QUESTION)
    assert "- three" in one.model.prompts[-1]
    rules.write_text("- of another\n")
    one.handed.append("project")
    assert "AGENTS.md is not in use" in text_of(one.enter("# five"))
    assert rules.read_text() == "- of another\n"
