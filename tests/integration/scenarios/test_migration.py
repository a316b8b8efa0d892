"""The scenario of `scripts/demo migration`, with a scripted model: a column is split in two."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.core.events import FileChanged, TurnFinished, Warned
from localagent.models.base import Profile
from localagent.models.scripted import ScriptedReply

SAMPLE = Path(__file__).parents[3] / "scripts" / "samples" / "members"
TASK = (
    "Split the column name of members into first_name and last_name: the last word is the last "
    'name, and everything before it is the first name. "Mary Ann Hale" is "Mary Ann" and "Hale". '
    "A single word is a first name."
)
FIRST = "    first, _, last = value.partition(' ')\n    return first, last\n"
SPLIT = """\
    first_name, _, last_name = value.rpartition(" ")
    return (first_name, last_name) if first_name else (last_name, "")
"""
FIND = """\
    query = select(Member).where(Member.first_name == first_name, Member.last_name == last_name)
    return list(session.scalars(query.order_by(Member.joined)))
"""
ROSTER = """\
    query = select(Member).order_by(Member.first_name, Member.last_name)
    return [member.name for member in session.scalars(query)]
"""
LOSES = "    return value[:1], value[-1:]\n"


def alembic(folder: Path, *words: str) -> None:
    command = [sys.executable, "-m", "alembic", *words]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def rows(folder: Path, columns: str) -> list[tuple]:
    with sqlite3.connect(folder / "members.db") as db:
        return db.execute(f"SELECT id, {columns}, email FROM members ORDER BY id").fetchall()


@pytest.fixture
def members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sample with 500 rows; the Python with SQLAlchemy and Alembic is first on PATH."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    folder = tmp_path / "members"
    shutil.copytree(SAMPLE, folder)
    alembic(folder, "upgrade", "head")
    command = [sys.executable, "-m", "members.seed", "500"]
    subprocess.run(command, cwd=folder, check=True)
    return folder


def test_a_column_is_split_and_no_row_is_lost(start: Callable, members: Path) -> None:
    replies = [
        ScriptedReply(LOSES, when="Write the Python function"),
        ScriptedReply(FIRST, when="Write the Python function"),
        ScriptedReply(SPLIT, when="Write the Python function", repeat=True),
        ScriptedReply(FIND, when="def find", repeat=True),
        ScriptedReply(ROSTER, when="def roster", repeat=True),
    ]
    run = start(members, replies, profile=Profile(fim=False))
    before = rows(members, "name")
    events = run.turn(TASK)
    end = events[-1]
    assert isinstance(end, TurnFinished) and end.outcome == "solved", end
    changed = {event.path: event.diff for event in events if isinstance(event, FileChanged)}
    assert len(changed) == 4
    assert "test_name_is_split_into_first_name_and_last_name" in changed["tests/test_register.py"]
    warned = [event.text for event in events if isinstance(event, Warned)]
    assert any("'Max Berg '" in text and "1 row " in text for text in warned), warned
    assert rows(members, "name") == before, "the user's database is the user's"
    alembic(members, "upgrade", "head")
    after = rows(members, "first_name, last_name")
    assert ("Juan Carlos", "Castillo") in {row[1:3] for row in after}
    assert ("Max Berg ", "") in {row[1:3] for row in after}
    alembic(members, "downgrade", "-1")
    assert rows(members, "name") == before


def test_a_function_that_loses_values_changes_nothing(start: Callable, members: Path) -> None:
    replies = [ScriptedReply(LOSES, when="Write the Python function", repeat=True)]
    run = start(members, replies, profile=Profile(fim=False))
    example = '"Mary Ann Hale" is "Mary Ann" and "Hale". '
    assert example in TASK, "with an example, the harness splits at its place at last"
    end = run.turn(TASK.replace(example, ""))[-1]
    assert isinstance(end, TurnFinished) and end.outcome == "unsolved", end
    assert "A first attempt was wrong:" in run.model.prompts[-1]
    assert not [p for p in (members / "migrations/versions").glob("*.py") if "1f0a" not in p.name]
