"""The program that runs with the project's Alembic: what it says about functions and rows."""

from __future__ import annotations

import importlib.util
import sqlite3
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from localagent.agent.migration.alembic_tool import MARK, PROGRAM

PARTS = {"parts": ["a", "b"], "split": "split", "join": "join", "probes": ["x y", "z"]}
JOIN = "\ndef join(a, b): return a + ' ' + b if b else a"


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("localagent_migration", PROGRAM)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.MARK == MARK
    return module


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def split(v): a, _, b = v.partition(' '); return a, b" + JOIN, {"odd": 0, "empty": []}),
        ("def split(v): return v, ''" + JOIN, {"odd": 0, "empty": ["b"]}),
        ("def split(v): a, b = v.split(); return a, b" + JOIN, {"odd": 1, "lost": ""}),
        ("def split(v): a, _, b = v.partition(' '); return b, a" + JOIN, {"odd": 2}),
        ("def split(v): return v" + JOIN, {"odd": 2}),
        ("def split(v): return v, ''\ndef join(a, b): return 'x y'", {"odd": 1, "lost": "z"}),
        ("def split(v): raise OSError" + JOIN, {"odd": 2, "lost": ""}),
        ("import nothing_of_this_name", {"error": "ModuleNotFoundError: No module named"}),
    ],
)
def test_verdicts_on_functions(program: ModuleType, code: str, expected: dict[str, Any]) -> None:
    verdict = program.judge(code, {"x y": 3, "z": 1}, PARTS)
    for key, value in expected.items():
        given = verdict[key]
        assert given.startswith(value) if key == "error" else given == value, (key, verdict)


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
