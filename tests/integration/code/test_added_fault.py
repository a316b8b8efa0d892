"""Edits that break a file of a language other than Python."""

from __future__ import annotations

import pytest

from localagent.code.syntax_check import added_fault

RIGHT = {
    "a.js": "function add(a, b) {\n  return a + b;\n}\n",
    "a.ts": "function add(a: number): number {\n  return a;\n}\n",
    "a.go": "package a\n\nfunc Add(a int) int {\n\treturn a\n}\n",
    "a.rs": "fn add(a: u8) -> u8 {\n    a\n}\n",
    "A.java": "class A {\n  int add(int a) {\n    return a;\n  }\n}\n",
    "a.c": "int add(int a) {\n  return a;\n}\n",
    "a.cpp": "int add(int a) {\n  return a;\n}\n",
    "a.rb": "def add(a)\n  a\nend\n",
}


@pytest.mark.parametrize("path", RIGHT)
def test_what_an_edit_breaks_is_told_with_its_line(path: str) -> None:
    right = RIGHT[path]
    broken = right.replace("(", "((", 1)
    found = added_fault(path, right, broken)
    assert found is not None and found.startswith("line ")
    assert added_fault(path, right, right.replace("add", "sum")) is None
    assert added_fault(path, broken, broken.replace("add", "sum")) is None  # it was so before


def test_other_kinds_and_new_files() -> None:
    assert added_fault("a.py", "", "def f(:\n") is None  # syntax_error knows Python
    assert added_fault("README.md", "", "[x](\n") is None
    assert added_fault("a.c", "", "BEGIN_DECLS\nint f(void) { return 1; }\n") is None
    assert added_fault("a.go", "", RIGHT["a.go"]) is None
    assert added_fault("a.go", "", RIGHT["a.go"] + "}\n") is not None
