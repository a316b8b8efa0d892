"""Questions: what is shown, and which answers count as a yes."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from localagent.core.events import Answer, Question
from localagent.permissions.handoff import reason_to_ask
from localagent.ui.view.line_mode import Asker
from localagent.ui.view.screen import Screen


def asker(*replies: str) -> tuple[Asker, Callable[[], str], list[str]]:
    console = Console(file=io.StringIO(), width=80, color_system=None)
    left = list(replies)
    asked = Asker(Screen(console, live=False), lambda: left.pop(0) if left else "")
    return asked, lambda: console.file.getvalue(), left  # type: ignore[attr-defined]


def shell(command: str, number: int = 1) -> Question:
    return Question(number, "shell", command, command, "no rule allows it")


@pytest.mark.parametrize("reply", ["y\n", "yes\n", " Y \n"])
def test_yes(reply: str) -> None:
    ask, shown, _ = asker(reply)
    assert ask.ask(shell("make")) == Answer(True)
    assert "may I run make? (no rule allows it)" in shown()


@pytest.mark.parametrize("replies", [["n\n"], ["\n"], [], ["what\n", "?\n", "hm\n", "y\n"]])
def test_everything_else_is_a_no(replies: list[str]) -> None:
    ask, _, _ = asker(*replies)
    assert not ask.ask(shell("make")).allowed


@pytest.mark.parametrize(
    ("reply", "reason"),
    [("n\n", ""), ("No\n", ""), ("n use max\n", "use max"), ("no, use >=\n", "use >=")],
)
def test_a_reason_may_follow_a_no(reply: str, reason: str) -> None:
    ask, _, _ = asker(reply)
    assert ask.ask(shell("make")) == Answer(False, reason)


def test_always_holds_for_the_same_command_only() -> None:
    ask, _, left = asker("a\n", "n\n", "y\n")
    assert ask.ask(shell("make")).allowed
    assert ask.ask(shell("make")).allowed
    assert len(left) == 2, "the second time it was not asked"
    assert not ask.ask(shell("make install")).allowed


def test_always_holds_for_every_file_of_an_edit() -> None:
    ask, shown, left = asker("always\n", "n\n")
    assert ask.ask(Question(1, "edit", "a.py", "", "")).allowed
    assert ask.ask(Question(2, "edit", "b.py", "", "")).allowed
    assert left == ["n\n"]
    assert "always for every edit" in shown()
    assert not ask.ask(Question(3, "write", "b.py", "", "")).allowed


def test_always_holds_for_no_other_reason() -> None:
    """Another rule asks about the other file, so the user must see the question."""
    ask, shown, left = asker("a\n", "n\n", "n\n")
    assert ask.ask(Question(1, "edit", "a.py", "", "you did not name this file")).allowed
    assert not ask.ask(Question(2, "edit", "b.sql", "", "your rule ask edit '*.sql'")).allowed
    later = reason_to_ask(".github/workflows/ci.yml")
    assert not ask.ask(Question(3, "edit", ".github/workflows/ci.yml", "", later)).allowed
    assert ask.ask(Question(4, "edit", "c.py", "", "you did not name this file")).allowed
    assert not left and ".github/workflows/ci.yml" in shown()


@pytest.mark.parametrize("tool", ["edit", "handoff"])
def test_always_is_no_answer_about_files_that_run_later(tool: str) -> None:
    ask, shown, left = asker("a\n", "y\n", "n\n")
    question = Question(1, tool, "Makefile", "", reason_to_ask("Makefile"))
    assert ask.ask(question).allowed, "the second reply is an answer"
    assert not ask.ask(question).allowed, "the same file is asked about again"
    assert not left and "always" not in shown()


def test_a_command_is_shown_whole_and_cleaned() -> None:
    command = "true " + "x" * 3000 + "\nrm -rf \x1b[8m/ # last"
    ask, shown, _ = asker("n\n")
    ask.ask(shell(command))
    assert "rm -rf \\x1b[8m/ # last" in shown()
    assert "x" * 3000 in shown()
    assert "\x1b" not in shown()


def test_a_long_diff_says_what_it_leaves_out() -> None:
    diff = "--- a/x\n+++ b/x\n@@ -0,0 +1,500 @@\n" + "".join(f"+line {n}\n" for n in range(500))
    ask, shown, _ = asker("n\n")
    ask.ask(Question(1, "write", "x", diff, ""))
    assert "      1 +line 0\n" in shown()
    assert "... 103 more lines not shown" in shown()
