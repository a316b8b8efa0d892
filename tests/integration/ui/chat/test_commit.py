"""`/commit`: real git, in the real sandbox; only the message is scripted."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.core.events import ModelRequested, Question, TurnStarted
from localagent.edits.textfile import sha256
from localagent.history.audit.log import records
from localagent.history.sessions import transcript
from localagent.models.scripted import ScriptedReply
from localagent.ui.chat.interface import Output, UIRequest
from tests.doubles.talk import of, outcomes

MESSAGE = "Fix the sign in add"
RIGHT = "def add(a, b):\n    return a + b\n"


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *words], cwd=folder, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


@pytest.fixture
def repository(workspace_dir: Path) -> Path:
    """The small project, committed."""
    git(workspace_dir, "init", "-q")
    git(workspace_dir, "add", ".")
    git(workspace_dir, "commit", "-qm", "first")
    return workspace_dir


def log(folder: Path) -> list[str]:
    return git(folder, "log", "--format=%s").splitlines()


def text_of(items: list) -> str:
    return "\n".join(f"{item.title}\n{item.text}\n{item.hint}" for item in of(items, Output))


def test_what_is_staged_is_committed(talk: Callable, repository: Path) -> None:
    (repository / "calc.py").write_text(RIGHT)
    (repository / "other.txt").write_text("not staged\n")
    git(repository, "add", "calc.py")
    one = talk(MESSAGE)
    one.handed.append("commit")
    items = one.enter("/commit")
    assert log(repository) == [MESSAGE, "first"]
    assert git(repository, "status", "--porcelain") == "?? other.txt"
    assert "calc.py: changed, +1 -1" in text_of(items)
    assert [choice.value for choice in of(items, UIRequest)[0].choices] == [
        "commit",
        "edit",
        "cancel",
    ]
    assert not of(items, Question)
    assert f"committed as {git(repository, 'rev-parse', '--short', 'HEAD')}" in text_of(items)
    assert "+    return a + b" in one.model.prompts[0]
    assert dict(one.shown("/cost").rows)["tokens written"] != "0"


def test_what_this_session_changed_is_committed(talk: Callable, repository: Path) -> None:
    (repository / "mine.txt").write_text("the user's own\n")
    (repository / ".gitignore").write_text("*.log\n")
    one = talk("Say it")
    one.enter("!sed -i s/-/+/ calc.py; echo x > 'new file.txt'; echo y > z.log; rm calc_test.py")
    one.handed.append("commit")
    items = one.enter("/commit")
    assert log(repository) == ["Say it", "first"]
    names = git(repository, "show", "--name-status", "--format=").splitlines()
    assert names == ["M\tcalc.py", "D\tcalc_test.py", "A\tnew file.txt"]
    assert "3 files changed by this session (will be staged)" in text_of(items)
    assert git(repository, "status", "--porcelain").split() == [
        "??",
        ".gitignore",
        "??",
        "mine.txt",
    ]
    assert "nothing to commit" in one.shown("/commit").text


def test_an_undo_says_that_a_commit_has_the_change(talk: Callable, repository: Path) -> None:
    one = talk(MESSAGE)
    one.enter("!sed -i s/-/+/ calc.py")
    assert "git revert" not in text_of(one.enter("/undo"))
    one.enter("/redo")
    one.handed.append("commit")
    one.enter("/commit")
    commit = git(repository, "rev-parse", "--short", "HEAD")
    shown = text_of(one.enter("/undo 1"))
    assert f"{commit} still has this change: /commit commits the undo" in shown
    assert f"git revert {commit}" in shown
    assert git(repository, "status", "--porcelain") == "M calc.py"


def test_an_undo_blames_no_commit_that_has_the_repaired_text(
    talk: Callable, repository: Path
) -> None:
    (repository / "calc.py").write_text(RIGHT)
    git(repository, "commit", "-qam", "by somebody else")
    (repository / "calc.py").write_text(RIGHT.replace("+", "*"))
    one = talk()
    one.enter("!git show HEAD:calc.py > calc.py")
    assert "git revert" not in text_of(one.enter("/undo"))


def test_a_rule_of_the_user_is_committed(talk: Callable, repository: Path) -> None:
    one = talk("Add a rule")
    one.handed += ["project", "commit"]
    one.enter("# use type hints")
    one.enter("/commit")
    assert log(repository) == ["Add a rule", "first"]
    assert git(repository, "show", "--name-status", "--format=") == "A\tAGENTS.md"


def test_what_the_model_is_shown_is_in_the_audit_log(talk: Callable, repository: Path) -> None:
    before = (repository / "calc.py").read_bytes()
    one = talk(MESSAGE, "Again")
    one.enter("!sed -i s/-/+/ calc.py")
    one.handed.append("cancel")
    one.enter("/commit")
    git(repository, "add", "calc.py")
    one.handed.append("cancel")
    one.enter("/commit")
    after = (repository / "calc.py").read_bytes()
    found = [record for record in records(one.chat.session.id) if record is not None]
    shown = [(r["path"], r["sha256"]) for r in found if r["type"] == "read"]
    assert shown == [("calc.py", sha256(before)), ("calc.py", sha256(after))] * 2
    asked = [r for r in found if r["type"] == "asked"]
    assert [r["purpose"] for r in asked] == ["commit-message"] * 2
    assert all(r["seq"] > found[0]["seq"] for r in asked)
    assert found[0]["type"] == "session"
    told = transcript.read(one.chat.session.id).events
    assert not of(told, ModelRequested)  # the conversation goes on without it


def test_before_the_first_turn_the_session_is_named_first(talk: Callable, repository: Path) -> None:
    (repository / "calc.py").write_text(RIGHT)
    git(repository, "add", "calc.py")
    one = talk(MESSAGE)
    one.handed.append("cancel")
    one.enter("/commit")
    kinds = [record["type"] for record in records(one.chat.session.id) if record is not None]
    assert kinds[0] == "session"
    assert [kind for kind in kinds if kind != "warned"] == [
        *("session", "read", "read", "asked", "replied"),
    ]


def test_the_message_is_edited_and_shown_again(talk: Callable, repository: Path) -> None:
    (repository / "calc.py").write_text(RIGHT)
    git(repository, "add", ".")
    one = talk(MESSAGE)
    own = 'Add, don\'t $(subtract) `it`\n\n- a "body"\n# kept\n'
    one.handed += ["edit", None, "edit", own, "commit"]
    one.enter("/commit")
    assert git(repository, "log", "-1", "--format=%B") == own.strip()


@pytest.mark.parametrize("handed", [["cancel"], [None], ["edit", "  "], []])
def test_given_up(talk: Callable, repository: Path, handed: list) -> None:
    (repository / "calc.py").write_text(RIGHT)
    git(repository, "add", ".")
    one = talk(MESSAGE)
    one.handed += handed
    assert "nothing was committed" in text_of(one.enter("/commit"))
    assert log(repository) == ["first"]
    assert git(repository, "diff", "--cached", "--name-only") == "calc.py"


def test_stopped_while_it_is_written(talk: Callable, repository: Path) -> None:
    (repository / "calc.py").write_text(RIGHT)
    git(repository, "add", ".")
    one = talk(ScriptedReply(MESSAGE, reading=600.0, when="Staged"), "It adds.")
    over = threading.Event()

    def stop() -> None:  # again and again, as the model may not have begun
        while not over.wait(0.05):
            one.chat.cancel()

    threading.Thread(target=stop, daemon=True).start()
    items = one.enter("/commit")
    over.set()
    assert "stopped; nothing was committed" in text_of(items)
    assert outcomes(one.enter("What does add do?")) == ["answered"], "the next turn runs"


def test_outside_of_git_and_in_the_middle(talk: Callable, workspace_dir: Path) -> None:
    one = talk()
    assert "not in a git repository" in one.shown("/commit").text
    git(workspace_dir, "init", "-q")
    git(workspace_dir, "add", ".")
    git(workspace_dir, "commit", "-qm", "first")
    git(workspace_dir, "checkout", "-qb", "side")
    (workspace_dir / "calc.py").write_text(RIGHT)
    git(workspace_dir, "commit", "-qam", "side")
    git(workspace_dir, "checkout", "-q", "main")
    git(workspace_dir, "merge", "--no-commit", "--no-ff", "side")
    shown = one.shown("/commit")
    assert "a merge is not finished" in shown.text
    assert "--abort" in shown.hint


def test_nothing_to_commit(talk: Callable, repository: Path) -> None:
    (repository / "mine.txt").write_text("not staged, and not this session's\n")
    assert "nothing to commit" in talk().shown("/commit").text


def test_a_part_of_a_larger_repository(talk: Callable, repository: Path) -> None:
    (repository / "part").mkdir()
    (repository / "part" / "a.txt").write_text("a\n")
    git(repository, "add", ".")
    assert "a part of a larger repository" in talk(folder=repository / "part").shown("/commit").text


def test_the_first_commit(talk: Callable, workspace_dir: Path) -> None:
    git(workspace_dir, "init", "-q")
    git(workspace_dir, "add", "calc.py")
    one = talk("Add a calculator")
    one.handed.append("commit")
    one.enter("/commit")
    assert log(workspace_dir) == ["Add a calculator"]


def hook(repository: Path, script: str) -> None:
    path = repository / ".git" / "hooks" / "pre-commit"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_hook_formats_what_is_committed(talk: Callable, repository: Path) -> None:
    (repository / "calc.py").write_text(RIGHT)
    git(repository, "add", "calc.py")
    hook(repository, "echo '# formatted' >> calc.py; git add calc.py")
    one = talk(MESSAGE)
    one.handed.append("commit")
    one.enter("/commit")
    assert log(repository) == [MESSAGE, "first"]
    assert (repository / "calc.py").read_text().endswith("# formatted\n")
    assert git(repository, "status", "--porcelain") == ""


def test_a_hook_changes_no_forbidden_path(talk: Callable, repository: Path) -> None:
    """Without an answer, files that other programs run later stay as they are, too."""
    (repository / "Makefile").write_text("all:\n")
    (repository / "calc.py").write_text(RIGHT)
    git(repository, "add", "calc.py", "Makefile")
    hook(repository, "mkdir .localagent .vscode; echo x > .localagent/y; echo x > .vscode/z")
    one = talk(MESSAGE, MESSAGE)
    one.handed.append("commit")
    items = one.enter("/commit")
    assert [each.subject for each in of(items, Question)] == [".vscode/z"]
    assert not (repository / ".localagent/y").exists()
    assert not (repository / ".vscode/z").exists()
    assert log(repository) == [MESSAGE, "first"], "the user's own Makefile is committed"

    (repository / "calc.py").write_text(RIGHT + "\n")
    git(repository, "add", "calc.py")
    hook(repository, "echo evil > Makefile; git add Makefile")
    one.handed.append("commit")
    items = one.enter("/commit")
    assert log(repository) == [MESSAGE, "first"]
    assert (repository / "Makefile").read_text() == "all:\n"
    assert git(repository, "diff", "--cached", "--name-only") == "calc.py"
    assert "no tool may change Makefile" in text_of(items) + str(items)


def test_hooks_run_in_the_sandbox_only(talk: Callable, repository: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    hook = repository / ".git" / "hooks" / "pre-commit"
    hook.write_text(f"#!/bin/sh\necho ran > '{outside}'\necho the hook says no\nexit 1\n")
    hook.chmod(0o755)
    (repository / "calc.py").write_text(RIGHT)
    git(repository, "add", ".")
    one = talk(MESSAGE, MESSAGE)
    if one.chat.status().confined:
        one.handed.append("commit")
        items = one.enter("/commit")
        assert "git made no commit" in text_of(items)
        assert log(repository) == ["first"]
    one.chat.close()
    bare = talk(MESSAGE, sandbox="none", folder=repository)
    bare.handed.append("commit")
    bare.enter("/commit")
    assert log(repository) == [MESSAGE, "first"]
    assert not outside.exists()


def test_the_message_cannot_say_more_than_a_message(talk: Callable, repository: Path) -> None:
    (repository / "calc.py").write_text(RIGHT)
    git(repository, "add", ".")
    one = talk("--amend'; touch made.txt; echo '")
    one.handed.append("commit")
    items = one.enter("/commit")
    assert not (repository / "made.txt").exists()
    assert len(log(repository)) == 2
    assert len(of(items, TurnStarted)) == 1


def test_a_session_that_only_reads(talk: Callable, repository: Path) -> None:
    talk()
    assert "another session uses this workspace" in talk().shown("/commit").text
