"""Lines in, items out: turns, commands of the user's, lines entered meanwhile, going back."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.agent.turn import Answer
from localagent.core.errors import UsageError, WorkspaceError
from localagent.core.events import (
    ChangesUndone,
    Decision,
    FileChanged,
    ModelRequested,
    Question,
    Rewound,
    Steered,
    Step,
    ToolReturned,
    TurnStarted,
)
from localagent.history.sessions.replay import Difference
from localagent.history.sessions.transcript import read, session_ids
from localagent.models.scripted import ScriptedReply
from localagent.project.project import Project
from localagent.session import recorders, replay
from localagent.ui.chat.interface import Item, Output, RewindPreview, UIRequest
from tests.doubles.talk import of, outcomes

ANSWER = "It adds two numbers."
QUESTION = "What does add do?"
READ = "```read path=calc.py\n```"
WRITE = "```write path=new.py\nx = 1\n```"
WRITE_TWO = "```write path=new.py\nx = 2\n```"
DONE = "```done\nit is there\n```"
YES = Answer(True)


def test_a_prompt_is_a_turn(talk: Callable) -> None:
    one = talk(ANSWER)
    assert outcomes(one.enter(QUESTION)) == ["answered"]
    status = one.chat.status()
    assert status.window_used > 0
    assert (status.doing, status.model, status.queued) == ("", "scripted", 0)


def test_a_cancelled_turn_does_not_end_the_session(talk: Callable) -> None:
    one = talk(ANSWER, ANSWER)
    items: list[Item] = []
    for item in one.chat.submit(QUESTION):
        items.append(item)
        if isinstance(item, TurnStarted):
            one.chat.cancel()
    assert outcomes(items) == ["interrupted"]
    assert outcomes(one.enter(QUESTION)) == ["answered"]


def test_a_turn_cancelled_while_the_model_loads_says_so(
    talk: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = talk(ANSWER)
    with monkeypatch.context() as loading:
        loading.setattr(one.chat, "finish_warm_up", one.chat.cancel)
        shown = Output("note", "interrupted before the model was asked")
        assert one.enter(QUESTION) == [shown]
        assert one.enter("/plan mend add") == [shown]
    assert outcomes(one.enter(QUESTION)) == ["answered"]


def test_cancelling_nothing_is_nothing(talk: Callable) -> None:
    one = talk(ANSWER)
    one.chat.cancel()
    assert outcomes(one.enter(QUESTION)) == ["answered"]


def test_a_mistyped_command_names_the_nearest(talk: Callable) -> None:
    shown = talk().shown("/hlep")
    assert shown == Output(
        "error", "unknown command /hlep", hint="did you mean /help? /help lists the commands"
    )


def test_a_path_is_no_command(talk: Callable) -> None:
    one = talk(ANSWER)
    assert of(one.enter("/etc/hosts is what?"), TurnStarted)


def test_an_empty_line_is_nothing(talk: Callable) -> None:
    assert talk().enter("   ") == []


def test_two_lines_at_a_time_are_a_mistake_of_the_front_end(talk: Callable) -> None:
    one = talk(ANSWER)
    running = one.chat.submit(QUESTION)
    next(running)
    with pytest.raises(RuntimeError, match="steer"):
        next(one.chat.submit(QUESTION))
    running.close()
    assert outcomes(one.enter(QUESTION)) == ["answered"]


# Lines entered meanwhile


def test_what_is_said_meanwhile_joins_at_the_next_step(talk: Callable) -> None:
    one = talk(READ, DONE)
    items: list[Item] = []
    for item in one.chat.submit("Look at calc.py."):
        items.append(item)
        if isinstance(item, ToolReturned):
            one.chat.steer("Be short.")
    assert of(items, Steered) == [Steered("Be short.")]
    assert one.model.prompts[1].endswith(
        "<user>\nThe user says meanwhile:\nBe short.\n<assistant>\n"
    )
    assert one.model.prompts[1].startswith(one.model.prompts[0])
    assert one.chat.status().queued == 0


def test_what_comes_too_late_is_the_next_turn(talk: Callable) -> None:
    one = talk(ANSWER, ANSWER)
    items: list[Item] = []
    for item in one.chat.submit(QUESTION):
        items.append(item)
        if isinstance(item, ModelRequested) and not of(items, Steered) and len(items) < 20:
            one.chat.steer("And where is add?")
    assert outcomes(items) == ["answered", "answered"]


def test_commands_wait_for_the_end_and_what_is_behind_them_too(
    talk: Callable, workspace_dir: Path
) -> None:
    one = talk(READ, DONE, ANSWER)
    items: list[Item] = []
    for item in one.chat.submit("Look at calc.py."):
        items.append(item)
        first = len(of(items, TurnStarted)) == 1
        if first and isinstance(item, Step) and item.detail == "step 1":
            one.chat.steer("!touch made.txt")
            one.chat.steer(QUESTION)
            assert one.chat.status().queued == 2
    started = [(e.kind, e.prompt) for e in of(items, TurnStarted)]
    assert started == [
        ("task", "Look at calc.py."),
        ("command", "touch made.txt"),
        ("task", QUESTION),
    ]
    assert not of(items, Steered)
    assert (workspace_dir / "made.txt").exists()


def test_lines_that_wait_are_kept_when_the_turn_is_cancelled(talk: Callable) -> None:
    one = talk(ANSWER)
    items: list[Item] = []
    for item in one.chat.submit(QUESTION):
        items.append(item)
        if isinstance(item, ModelRequested):
            one.chat.steer("And where is add?")
            one.chat.cancel()
    assert outcomes(items) == ["interrupted"]
    assert one.chat.take_queued() == ["And where is add?"]
    assert one.chat.status().queued == 0


# !command


def test_a_command_runs_in_the_sandbox_and_the_model_sees_its_output(
    talk: Callable, workspace_dir: Path
) -> None:
    one = talk(ANSWER)
    items = one.enter("!echo made > made.txt; echo seen")
    (returned,) = of(items, ToolReturned)
    assert returned.ok
    assert returned.for_person.startswith("seen\nexit code 0, ")
    assert [(e.allowed, e.by) for e in of(items, Decision)] == [(True, "user")]
    assert [e.path for e in of(items, FileChanged)] == ["made.txt"]
    one.enter(QUESTION)
    assert "I ran this command myself:\necho made > made.txt; echo seen\n" in one.model.prompts[0]
    one.chat.session.close()
    recorders.undo(workspace_dir)
    assert not (workspace_dir / "made.txt").exists()


def test_with_two_signs_the_model_does_not_see_it(talk: Callable) -> None:
    one = talk(ANSWER)
    assert of(one.enter("!!echo seen"), ToolReturned)
    one.enter(QUESTION)
    assert "echo seen" not in one.model.prompts[0]


def test_a_command_that_fails(talk: Callable) -> None:
    one = talk()
    items = one.enter("!exit 3")
    assert next(e.for_person for e in of(items, ToolReturned)).startswith("exit code 3")
    assert outcomes(items) == ["unsolved"]
    assert outcomes(one.enter("!no-such-command-here")) == ["unsolved"]


def test_a_command_may_change_files_in_plan_mode_as_the_user_entered_it(
    talk: Callable, workspace_dir: Path
) -> None:
    one = talk(mode="plan")
    one.enter("!touch made.txt")
    assert (workspace_dir / "made.txt").exists()


def test_a_rule_that_denies_holds_for_the_user_too(
    talk: Callable, workspace_dir: Path, home: Path
) -> None:
    config = home / ".config/localagent/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[[permissions]]\naction = "deny"\ntool = "shell"\nmatch = "rm *"\n')
    one = talk()
    items = one.enter("!rm calc.py")
    assert [e.ok for e in of(items, ToolReturned)] == [False]
    assert (workspace_dir / "calc.py").exists()


@pytest.mark.parametrize("mode", ["ask", "plan", "auto"])
def test_the_user_s_command_changes_no_forbidden_path(
    mode: str, talk: Callable, workspace_dir: Path, home: Path
) -> None:
    """The user allowed the command. What a Makefile does there, the user may not know."""
    config = home / ".config/localagent/config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[[permissions]]\naction = "deny"\ntool = "edit"\nmatch = "migrations/**"\n')
    names = (".localagent/config.toml", ".env", ".ssh/authorized_keys", "migrations/1.sql")
    folders = "mkdir .localagent .ssh migrations .vscode"
    writes = "; ".join(f"echo evil > {name}" for name in (*names, ".vscode/tasks.json", "made"))
    one = talk(mode=mode)
    items = one.enter(f"!{folders}; {writes}")
    asked = ".env, .ssh/authorized_keys, .vscode/tasks.json"
    assert [each.subject for each in of(items, Question)] == [asked]
    (result,) = of(items, ToolReturned)
    assert f"not kept, as the user did not agree: {asked}" in result.for_person
    assert all(name in result.for_person for name in names)
    assert "allow it by a rule: localagent docs config" in result.for_person
    made = {
        path.relative_to(workspace_dir).as_posix()
        for path in workspace_dir.rglob("*")
        if path.is_file()
    }
    assert made == {"calc.py", "calc_test.py", "made"}
    one.enter("!mkdir .vscode; echo good > .vscode/tasks.json", Answer(True))
    assert (workspace_dir / ".vscode/tasks.json").read_text() == "good\n"


@pytest.mark.parametrize("yes", [False, True])
def test_the_user_is_asked_about_a_file_with_secrets(
    talk: Callable, workspace_dir: Path, yes: bool
) -> None:
    (workspace_dir / ".env.example").write_text("API_KEY=change-me-please\n")
    one = talk(yes=yes)
    items = one.enter("!cp .env.example .env")
    (question,) = of(items, Question)
    assert (question.subject, question.tool) == (".env", "handoff")
    assert question.reason == "a command changed what looks like it holds a secret"
    assert not (workspace_dir / ".env").exists()
    one.enter("!cp .env.example .env", Answer(True))
    assert (workspace_dir / ".env").read_text() == "API_KEY=change-me-please\n"
    assert of(one.enter("!rm .env"), Question) and (workspace_dir / ".env").exists()


def test_a_commit_of_a_file_with_secrets_needs_the_answer(
    talk: Callable, workspace_dir: Path
) -> None:
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "first")):
        subprocess.run(["git", *words], cwd=workspace_dir, check=True)
    items = talk().enter("!echo A=b > .env; git add -f .env; git commit -qm next; rm .env")
    (result,) = of(items, ToolReturned)
    assert "git refused: no tool may change .env" in result.for_model


def test_a_command_is_stopped_and_keeps_nothing(talk: Callable, workspace_dir: Path) -> None:
    one = talk(ANSWER)
    timer = threading.Timer(0.5, one.chat.cancel)
    timer.start()
    began = time.monotonic()
    items = one.enter("!touch made.txt; sleep 60")
    assert time.monotonic() - began < 30
    assert outcomes(items) == ["interrupted"]
    assert not (workspace_dir / "made.txt").exists()
    assert outcomes(one.enter(QUESTION)) == ["answered"]


def test_no_command_after_the_sign(talk: Callable) -> None:
    assert talk().shown("! ").text == "there is no command after the !"


# Questions


def test_an_answer_reaches_the_turn(talk: Callable, workspace_dir: Path) -> None:
    one = talk(WRITE, DONE)
    items: list[Item] = []
    for item in one.chat.submit("Create new.py, please."):
        items.append(item)
        if isinstance(item, Question):
            assert one.chat.remembers(item.id) == ("change new.py",)
            one.chat.answer(item.id, Answer(True, remember=True))
    assert (workspace_dir / "new.py").exists()
    assert one.chat.remembers(1) == ()


# Going back


def changed_twice(talk: Callable, *more: str):
    """A chat that created new.py in turn 1 and changed it in turn 2."""
    one = talk(WRITE, DONE, WRITE_TWO, DONE, *more, check="true")
    assert outcomes(one.enter("Create new.py.", YES)) == ["solved"]
    assert outcomes(one.enter("Change new.py.", YES)) == ["solved"]
    return one


def test_rewind_gives_back_files_conversation_and_the_message(
    talk: Callable, workspace_dir: Path
) -> None:
    one = changed_twice(talk, ANSWER)
    assert one.chat.rewind_preview() == RewindPreview(2, "Change new.py.", ("new.py",))
    assert one.chat.rewind() == "Change new.py."
    assert (workspace_dir / "new.py").read_text() == "x = 1\n"
    one.enter(QUESTION)
    assert "Create new.py." in one.model.prompts[-1]
    assert "Change new.py." not in one.model.prompts[-1]
    assert [e.turn for e in of(read(one.chat.session.id).events, Rewound)] == [2]


def test_rewind_over_several_turns(talk: Callable, workspace_dir: Path) -> None:
    one = changed_twice(talk)
    one.enter("!touch made.txt")
    assert one.chat.rewind(1) == "Create new.py."
    assert sorted(p.name for p in workspace_dir.iterdir() if p.suffix != ".pyc") == [
        "calc.py",
        "calc_test.py",
    ]
    assert one.chat.session.conversation == []
    with pytest.raises(UsageError, match="no turn to go back to"):
        one.chat.rewind()


def test_rewind_over_a_command_gives_it_back(talk: Callable) -> None:
    one = talk()
    one.enter("!echo hello")
    assert one.chat.rewind() == "!echo hello"


def test_a_file_that_somebody_else_changed_keeps_everything(
    talk: Callable, workspace_dir: Path
) -> None:
    one = talk(WRITE, DONE, "```write path=other.py\ny = 1\n```", DONE, check="true")
    one.enter("Create new.py.", YES)
    one.enter("Create other.py.", YES)
    (workspace_dir / "new.py").write_text("mine\n")
    before = list(one.chat.session.conversation)
    with pytest.raises(WorkspaceError, match="changed since"):
        one.chat.rewind(1)
    assert (workspace_dir / "new.py").read_text() == "mine\n"
    assert (workspace_dir / "other.py").read_text() == "y = 1\n"
    assert one.chat.session.conversation == before


def test_a_rewound_session_is_resumed_as_it_was(talk: Callable) -> None:
    one = changed_twice(talk)
    one.chat.rewind()
    kept = list(one.chat.session.conversation)
    name = one.chat.session.id
    one.chat.close()
    again = talk(ANSWER, resume=name)
    assert again.chat.session.conversation == kept
    items = again.enter(QUESTION)
    assert [e.turn for e in of(items, TurnStarted)] == [3]


def test_rewind_while_something_runs(talk: Callable) -> None:
    one = talk(ANSWER)
    running = one.chat.submit(QUESTION)
    next(running)
    with pytest.raises(UsageError, match="a turn is running"):
        one.chat.rewind()
    running.close()


def test_an_unknown_turn(talk: Callable) -> None:
    one = talk(ANSWER)
    one.enter(QUESTION)
    with pytest.raises(UsageError) as caught:
        one.chat.rewind(7)
    assert caught.value.hint == "the possible turns are: 1"


# What is recorded


def test_everything_that_the_user_did_is_replayed(
    talk: Callable, workspace_dir: Path, tmp_path: Path
) -> None:
    import shutil

    fresh = tmp_path / "fresh"
    shutil.copytree(workspace_dir, fresh)
    one = talk(WRITE, READ, DONE, WRITE_TWO, DONE, DONE, check="true")
    for item in one.chat.submit("Create new.py."):
        if isinstance(item, Question):
            one.chat.answer(item.id, YES)
        if isinstance(item, ToolReturned) and item.tool == "write":
            one.chat.steer("Then look at calc.py.")
    list(one.chat.session.undo())
    one.enter("!echo made > made.txt")
    one.enter("Change new.py.", YES)
    one.chat.rewind(3)
    list(one.chat.session.compact())
    one.enter("Say that it is done.", YES)
    name = one.chat.session.id
    one.chat.close()
    new = list(replay.replay(name, Project.open(fresh)))
    assert not of(new, Difference), new[-1]
    assert of(new, Steered) == [Steered("Then look at calc.py.")]
    assert [e.again for e in of(new, ChangesUndone)] == [False]
    assert (fresh / "made.txt").read_text() == "made\n"
    assert not (fresh / "new.py").exists()


def test_a_session_in_which_nothing_was_said_leaves_nothing(talk: Callable) -> None:
    one = talk()
    one.enter("/help")
    assert session_ids() == [one.chat.session.id]
    one.chat.close()
    assert session_ids() == []


# Warming up


def test_the_model_reads_what_comes_first_while_the_user_types(talk: Callable) -> None:
    one = talk(ANSWER, ANSWER)
    one.chat.warm_up()
    one.enter(QUESTION)
    assert len(one.model.requests) == 2
    warm, first = one.model.requests
    assert (warm.max_tokens, warm.fixed, warm.continues) == (0, 1, False)
    assert first.prompt[: len(warm.prompt)] == warm.prompt
    name = one.chat.session.id
    one.chat.close()
    again = talk(ANSWER, resume=name)
    again.chat.warm_up()
    again.enter(QUESTION)
    warm, first = again.model.requests
    assert len(warm.prompt) > 2
    assert first.prompt[: len(warm.prompt)] == warm.prompt


def test_a_model_that_cannot_load_is_said_by_the_turn(talk: Callable) -> None:
    one = talk(ScriptedReply(error="ModelLoadError", message="no room"))
    one.chat.warm_up()
    items = one.enter(QUESTION)
    assert outcomes(items) == ["failed"]


# The status


def test_modes_go_round(talk: Callable) -> None:
    one = talk()
    assert one.chat.status().mode == "ask"
    seen = [one.chat.cycle_mode() for _ in range(4)]
    assert seen == ["auto-edit", "auto", "plan", "ask"]
    bare = talk(sandbox="none", folder=None)
    assert [bare.chat.cycle_mode() for _ in range(3)] == ["auto-edit", "plan", "ask"]
    assert not bare.chat.status().confined


def test_the_branch_is_told(talk: Callable, workspace_dir: Path) -> None:
    import subprocess

    subprocess.run(["git", "init", "-qb", "topic/one", str(workspace_dir)], check=True)
    assert talk().chat.status().branch == "topic/one"


def test_wishes_are_for_the_front_end(talk: Callable) -> None:
    one = talk()
    kinds = [
        w.kind for line in ("/quit", "/keys", "/theme dark") for w in of(one.enter(line), UIRequest)
    ]
    assert kinds == ["quit", "keys", "theme"]
    assert of(one.enter("/theme light"), UIRequest)[0].text == "light"
    assert one.shown("/quit now").kind == "error"
