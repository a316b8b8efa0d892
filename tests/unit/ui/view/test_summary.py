"""The end of a turn: what is true, and the one thing to do next."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from localagent.core.events import CheckFinished, TurnFinished
from localagent.ui.view.screen import Screen
from localagent.ui.view.summary import TurnReport, draw_summary, next_step

END = TurnFinished(1, "unsolved", 1, "s", "", "", [], 1.0, 10, 0, 5)


def drawn(event: TurnFinished, *, inside: bool = False, **report: object) -> str:
    out = io.StringIO()
    screen = Screen(Console(file=out, width=80, color_system=None), live=False)
    draw_summary(screen, event, TurnReport(**report), "/undo", inside=inside)  # type: ignore[arg-type]
    return out.getvalue()


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("outcome", ["unsolved", "unverified"])
def test_what_is_not_verified_names_one_next_step(outcome: str, inside: bool) -> None:
    check = "pytest" if outcome == "unsolved" else ""
    event = replace(END, outcome=outcome, changed=["a.py"], check=check)  # type: ignore[arg-type]
    text = drawn(event, inside=inside)
    assert text.count("  next ") == 1
    assert ("/" in next_step(event, inside=inside)) == inside


@pytest.mark.parametrize("outcome", ["solved", "answered", "refused", "failed", "limit", "error"])
def test_an_error_has_said_it_and_a_success_needs_none(outcome: str) -> None:
    assert next_step(replace(END, outcome=outcome), inside=False) == ""  # type: ignore[arg-type]


def test_an_answer_ends_with_its_sources() -> None:
    event = replace(END, outcome="answered", sources=["a.py:1 add", "b.py:2 mul"])
    text = drawn(event, inside=True, answer_drawn=True)
    assert text == (
        "  sources  a.py:1 add\n           b.py:2 mul\n"
        "  took 1.0 s; 10 tokens read, 0 reused, 5 written\n"
    )


def test_files_that_a_command_changed_are_no_success() -> None:
    text = drawn(replace(END, outcome="answered", changed=["a", "b"]), answer_drawn=True)
    assert "* changed 2 files; no check was run" in text


def test_a_check_that_passed_before_is_not_called_solved() -> None:
    text = drawn(replace(END, outcome="solved", check="pytest"))
    assert "the check passes already; nothing was changed" in text
    assert "solved" not in text


def test_what_fails_is_the_workspace_and_no_candidate() -> None:
    """Nothing of a rejected candidate is in the workspace."""
    checks = [
        CheckFinished("pytest", 0, False, 1, 17, 2, 0.4, "E  the bug"),
        CheckFinished("pytest", 9, False, 1, 3, 16, 0.4, "E  a bad idea"),
    ]
    text = drawn(replace(END, check="pytest"), checks=checks)
    assert "pytest: 17 passed, 2 failed" in text
    assert "E  the bug" in text
    assert "a bad idea" not in text


def test_a_command_that_fails_is_not_done() -> None:
    event = replace(END, outcome="unsolved", summary="exit code 127", check="")
    text = drawn(event, kind="command")
    assert "x the command failed: exit code 127 (nothing was changed)" in text
    assert "next" not in text
    assert drawn(event, inside=True, kind="command").count("\n") == 1


def test_a_command_that_changed_nothing_has_said_its_time() -> None:
    event = replace(END, outcome="answered", prompt_tokens=0, completion_tokens=0)
    assert drawn(event, inside=True, answer_drawn=True) == ""
    checked = drawn(event, inside=True, answer_drawn=True, kind="check")
    assert checked == "  took 1.0 s\n"


def test_a_request_for_nothing_gets_its_answer_only() -> None:
    event = replace(END, outcome="answered", prompt_tokens=0, summary="nothing to do")
    assert drawn(event, inside=True) == "nothing to do\n"


def test_a_failing_check_from_the_command_line_names_the_repair() -> None:
    text = drawn(replace(END, check="pytest", summary="the check fails"), kind="check")
    assert "\nx the check fails\n" in text
    assert 'next   localagent run "fix the failing tests"' in text
