"""The benchmarks' tasks: seeded faults, the place of a fix, and the two halves."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[3] / "scripts" / "benchmarks"
SOURCE = """\
def fetch(url, retries=3, *, session=None):
    if session is None or session.closed:
        raise ValueError(url)
    session.headers.update(extra())
    try:
        return session.get(url.strip(), timeout=30)
    except (OSError, KeyError):
        return None
"""

Load = Callable[[str], ModuleType]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Imports a module of the benchmarks, whose short names must not stay importable."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_each_fault_changes_one_statement_and_parses(load: Load) -> None:
    faults = load("faults").faults_in(SOURCE, 1, 8, "fetch")
    lines = SOURCE.splitlines(keepends=True)
    for fault in faults:
        text = "".join([*lines[: fault.first - 1], fault.text, *lines[fault.last :]])
        assert ast.dump(ast.parse(text)) != ast.dump(ast.parse(SOURCE))
        assert text.splitlines()[0] == lines[0].rstrip()  # the signature stays
    assert {fault.operator for fault in faults} >= {
        *("lost guard", "lost condition", "lost statement", "lost argument", "lost call"),
        *("lost exception", "lost value", "truth for None", "other attribute", "other number"),
    }


def test_faults_are_the_same_in_each_run_and_operators_take_turns(load: Load) -> None:
    faults_in = load("faults").faults_in
    faults = faults_in(SOURCE, 1, 8, "fetch")
    assert faults == faults_in(SOURCE, 1, 8, "fetch")
    operators = {fault.operator for fault in faults}
    assert {fault.operator for fault in faults[: len(operators)]} == operators


def test_the_place_of_a_fix_is_in_the_old_text(load: Load) -> None:
    old = "def a():\n    x()\n\n\nclass B:\n    def c(self):\n        y()\n"
    new = old.replace("    x()\n", "    z()\n").replace("y()\n", "y()\n        w()\n")
    new += "\n    def d(self):\n        pass\n"
    diff = "@@ -2 +2 @@\n-    x()\n+    z()\n@@ -7,0 +8,4 @@ class B:\n+        w()\n+...\n"
    assert load("bug_tasks").place_of(diff, old, new) == ([2, 7, 8], ["a", "B.c"])


def test_a_name_stays_in_its_half(load: Load) -> None:
    halves_of = load("rows").halves_of
    names = [f"task-{number}" for number in range(100)]
    halves = halves_of(names)
    assert halves_of(names[:10]) == {name: halves[name] for name in names[:10]}
    assert 35 < sum(half == "choose" for half in halves.values()) < 65
