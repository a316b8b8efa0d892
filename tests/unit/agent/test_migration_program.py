"""The program that runs with the project's Alembic: what it says about functions and rows."""

from __future__ import annotations

import importlib.util
import sqlite3
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from localagent.agent.migration.alembic_tool import MARK, PROGRAM, read_answer
from localagent.core.errors import ToolError

PARTS = {"parts": ["a", "b"], "split": "split", "join": "join", "probes": ["x y", "z"]}


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("localagent_migration", PROGRAM)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.MARK == MARK
    return module


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("a, _, b = v.partition(' '); return a, b", {"odd": 0, "empty": [], "fault": ""}),
        ("return v, ''", {"odd": 0, "empty": ["b"]}),
        ("a, b = v.split(); return a, b", {"odd": 1, "odd_values": ["z"], "lost": ""}),
        ("return v.split()", {"error": "'z' raises ValueError: it gives ['z']"}),
        ("a, _, b = v.partition(' '); return b, a", {"odd": 1, "odd_rows": 3, "lost": ""}),
        ("return v", {"odd": 2, "fault": "'x y' raises ValueError: it gives ['x', ' ', 'y']"}),
        ("raise OSError", {"odd": 2, "lost": ""}),
        ("import nothing_of_this_name", {"odd": 2}),
    ],
)
def test_verdicts_on_a_function(program: ModuleType, body: str, expected: dict[str, Any]) -> None:
    verdict = program.judge(f"def split(v): {body}", {"x y": 3, "z": 1}, PARTS)
    assert {key: verdict[key] for key in expected} == expected, verdict


@pytest.mark.parametrize(
    ("values", "parts", "body", "joined"),
    [
        (
            {"4 Lane, York": 1},
            ["a", "b"],
            "a, _, b = v.partition(', '); return a, b",
            "4 Lane, York",
        ),
        ({"a-b-c": 1}, ["a", "b", "c"], "return v.split('-')", "a-b-c"),
        ({"a-b c": 1}, ["a", "b", "c"], "return v[0], v[2], v[4]", "a-b c"),
        ({}, ["a", "b"], "return v.split(' ')", "x y"),
    ],
)
def test_the_harness_finds_what_joins(
    program: ModuleType, values: dict[str, int], parts: list[str], body: str, joined: str
) -> None:
    given = {**PARTS, "parts": parts, "probes": []}
    verdict = program.judge(f"def split(v): {body}", values, given)
    names: dict[str, Any] = {}
    exec(f"def split(v): {body}\n{verdict['join']}", names)
    assert names["join"](*names["split"](joined)) == joined
    assert names["join"](joined, *[""] * (len(parts) - 1)) == joined


def made(path: Path, *statements: str) -> str:
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as db:
        for statement in statements:
            db.execute(statement)
    return str(path)


BEFORE = (
    "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, mail TEXT)",
    "INSERT INTO t VALUES (1, 'x y', 'm'), (2, 'z', 'n')",
)


@pytest.mark.parametrize(
    ("statements", "schema", "difference"),
    [
        (BEFORE, True, ""),
        ((*BEFORE, "ALTER TABLE t ADD COLUMN a TEXT"), False, ""),
        ((*BEFORE, "ALTER TABLE t DROP COLUMN name"), False, ""),
        ((*BEFORE, "ALTER TABLE t ADD COLUMN a TEXT"), True, "the columns of t differ"),
        ((*BEFORE, "CREATE INDEX i ON t (name)"), True, "the indexes of t differ"),
        ((*BEFORE, "DELETE FROM t WHERE id = 2"), False, "t has 1 rows instead of 2"),
        ((*BEFORE, "UPDATE t SET mail = '' WHERE id = 2"), False, "a row of t is not kept"),
        ((*BEFORE, "CREATE TABLE u (id INTEGER)"), True, "the tables differ: ['u']"),
    ],
)
def test_differences_of_databases(
    program: ModuleType, tmp_path: Path, statements: tuple[str, ...], schema: bool, difference: str
) -> None:
    old = made(tmp_path / "old.db", *BEFORE)
    new = made(tmp_path / "new.db", *statements)
    found = program.differences(old, new, "t", schema=schema)
    assert found.startswith(difference) and bool(found) == bool(difference), found


@pytest.mark.parametrize(
    "answer",
    ["[" * 100_000, "{", "1" * 5000, "[]", "{}", '{"pairs": []}', '{"fault": ""} {}', "nothing"],
)
def test_an_answer_that_the_projects_code_printed_is_an_error(answer: str) -> None:
    with pytest.raises(ToolError, match="the project's code printed another answer"):
        read_answer(f"a line\n{MARK}{answer}\n", "facts")


def test_the_last_answer_counts() -> None:
    assert read_answer(f'{MARK}[]\n{MARK}{{"fault": ""}}\nend', "check") == {"fault": ""}
    with pytest.raises(ToolError, match=r"^no table$"):
        read_answer(f'{MARK}{{"error": "no table"}}', "facts")
    with pytest.raises(ToolError, match="alembic could not run: no such file"):
        read_answer("no such file", "facts")
