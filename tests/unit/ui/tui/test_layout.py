"""The welcome lines, and the rows of dialogs, queued lines and completions."""

from __future__ import annotations

import io
from concurrent.futures import Future
from pathlib import Path

import pytest
from fake_chat import QUESTION
from rich.console import Console

from localagent.core.events import Question
from localagent.ui.chat.interface import PickerChoice, UIRequest
from localagent.ui.tui.dialogs import VISIBLE_CHOICES, Picker, QuestionBox
from localagent.ui.tui.layout import draw_welcome, path_end
from localagent.ui.tui.output import reflows
from localagent.ui.view.format import ASCII, UNICODE
from localagent.ui.view.screen import Screen


def welcome(width: int, folder: Path) -> list[str]:
    out = io.StringIO()
    screen = Screen(Console(file=out, width=width), live=False)
    draw_welcome(screen, "1.2.3", folder)
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 85, 86, 200])
def test_the_welcome_fits_and_names_the_folder(width: int, home: Path) -> None:
    rows = welcome(width, home / "work" / "project")
    assert len(rows) <= 6
    assert all(len(row) <= width for row in rows)
    assert rows[0].endswith("project")


def test_the_home_folder_is_a_tilde_but_not_its_neighbor(home: Path) -> None:
    assert welcome(90, home / "project")[0].endswith("  ~/project")
    neighbor = home.with_name(f"{home.name}2")
    assert "~" not in welcome(200, neighbor)[0]


@pytest.mark.parametrize(
    ("room", "end"),
    [(20, "/home/me/src/project"), (17, ".../src/project"), (11, ".../project"), (8, "...oject")],
)
def test_the_end_of_a_path_begins_with_a_whole_name(room: int, end: str) -> None:
    assert path_end("/home/me/src/project", room) == end


def rows_of(question: Question, *remembered: str) -> list[str]:
    return [row.plain for row in QuestionBox(question, remembered, Future()).rows()]


def test_a_question_offers_what_is_possible() -> None:
    assert rows_of(QUESTION, "run touch made.txt") == [
        "  y  yes, run   n  no",
        "  r  no, and say why",
        "  e  edit the command first",
        "  a  yes, always here: run touch made.txt",
    ]
    edit = Question(1, "edit", "a.py", "--- a\n+++ b\n", "")
    assert rows_of(edit) == ["  y  yes, change   n  no", "  r  no, and say why"]


def test_a_long_list_scrolls_with_the_picked_choice() -> None:
    choices = tuple(PickerChoice(str(n), f"choice {n}", "a detail") for n in range(25))
    picker = Picker(UIRequest(1, "pick", title="which?", choices=choices), Future())
    assert [row.plain for row in picker.rows(UNICODE)][:2] == ["  which?", "  ❯ choice 0  a detail"]
    picker.move(-1)
    rows = [row.plain for row in picker.rows(ASCII)]
    assert rows[-2:] == ["  > choice 24  a detail", "    25 of 25; Enter takes it, Esc goes back"]
    assert len(rows) == VISIBLE_CHOICES + 2
    picker.move(-12)
    assert "  > choice 12  a detail" in [row.plain for row in picker.rows(ASCII)]


def test_a_choice_with_a_key_keeps_its_distance_from_the_details() -> None:
    choices = (
        PickerChoice("s", "no rule: send it to the model", "as a task", key="s"),
        PickerChoice("n", "neither", "at all", key="n"),
        PickerChoice("long", "x" * 40, "a detail"),
    )
    picker = Picker(UIRequest(1, "pick", choices=choices), Future())
    rows = [row.plain for row in picker.rows(ASCII)]
    assert "  > s  no rule: send it to the model  as a task" in rows
    assert "    n  neither                      at all" in rows
    assert f"    {'x' * 40}  a detail" in rows


def test_an_empty_list_can_be_moved_in() -> None:
    picker = Picker(UIRequest(1, "pick"), Future())
    picker.move(1)
    assert picker.rows(ASCII)[0].plain == "  pick one"


def test_terminals_that_truncate_rows() -> None:
    assert reflows({"TERM": "xterm-256color"})
    assert not reflows({"TERM": "linux"})
    assert not reflows({"TERM": "xterm", "XTERM_VERSION": "XTerm(390)"})
