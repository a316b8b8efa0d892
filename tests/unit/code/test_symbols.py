"""Symbols of source files, by path: the same names in every language."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.doubles.outline import outline


def found(path: str, text: str) -> list[tuple[str, str, int, int]]:
    return [(s.name, s.kind, s.line, s.end_line) for s in outline(path, text)]


PYTHON = '''\
import os


@decorated
def area(r,
         s=1):
    """Doc."""
    def inner():
        pass
    return r


class Stack:
    size = 0

    async def push(self, item): return item

    class Node:
        def next(self):
            pass


if os.name:
    def where():
        pass
'''


def test_python() -> None:
    assert found("a.py", PYTHON) == [
        ("area", "function", 5, 10),
        ("Stack", "class", 13, 20),
        ("Stack.push", "method", 16, 16),
        ("Stack.Node", "class", 18, 20),
        ("Stack.Node.next", "method", 19, 20),
        ("where", "function", 24, 25),
    ]
    assert [s.signature for s in outline("a.py", PYTHON)][:3] == [
        "def area(r, s=1)",
        "class Stack",
        "async def push(self, item)",
    ]


def test_python_that_does_not_parse_is_read_by_lines() -> None:
    got = found("a.py", PYTHON + "def broken(:\n    x\n")
    assert got[:3] == [
        ("area", "function", 5, 10),
        ("Stack", "class", 13, 20),
        ("Stack.push", "method", 16, 16),
    ]
    assert got[-1] == ("broken", "function", 26, 27)


SAMPLES = {
    "a.ts": (
        "export default class Cart {\n  constructor(x: number) {\n  }\n"
        "  async add(a: T): Promise<T> {\n"
        "    if (a) {\n      return f(a)\n    }\n  }\n}\nexport function total(x) {\n"
        "  return x\n}\n"
        "export const sum = (a, b) => a + b\nconst x = 3\ninterface Shape {\n}\nfoo(1)\n",
        ["Cart", "Cart.constructor", "Cart.add", "total", "sum", "Shape"],
    ),
    "a.go": (
        "package a\n\ntype Cart struct {\n\tx int\n}\n\nfunc (c *Cart) Add(x int) error {\n"
        "\tif x {\n\t}\n}\n\nfunc Total() int {\n}\n",
        ["Cart", "Cart.Add", "Total"],
    ),
    "a.rs": (
        "pub struct Cart { }\nimpl Cart {\n    pub async fn add(&self) {\n    }\n}\n"
        "impl<T> Display for Cart {\n    fn fmt(&self) {}\n}\nfn main() {\n}\n",
        ["Cart", "Cart", "Cart.add", "Cart", "Cart.fmt", "main"],
    ),
    "A.java": (
        "public final class Cart extends Base {\n    @Override\n    public int add(int x) {\n"
        "        return new Foo(x);\n    }\n    private <T> List<T> all() {\n"
        "        foo(1);\n    }\n}\n",
        ["Cart", "Cart.add", "Cart.all"],
    ),
    "a.c": (
        "#include <x.h>\nstruct point {\n  int x;\n};\nstatic int *add(int a, int b) {\n"
        "  return add(a);\n}\nint main(void)\n{\n  if (x) {\n  }\n}\nint declared(int);\n"
        "x = call(1);\n",
        ["point", "add", "main"],
    ),
    "a.cpp": (
        "class Cart : public Base {\n};\nvoid Cart::add(const std::string& x) {\n}\n",
        ["Cart", "Cart.add"],
    ),
    "a.rb": (
        "module Shop\n  class Cart\n    def self.make\n    end\n    def empty?\n    end\n"
        "  end\nend\n",
        ["Shop", "Shop.Cart", "Shop.Cart.make", "Shop.Cart.empty?"],
    ),
    "a.php": (
        "<?php\nfinal class Cart {\n    public static function make(): self {\n    }\n}\n"
        "function f() {}\n",
        ["Cart", "Cart.make", "f"],
    ),
    "a.sh": ("build() {\n  echo\n}\nfunction clean {\n}\nmake x\n", ["build", "clean"]),
    "a.kt": ("data class Cart(val x: Int)\nfun Cart.add(x: Int) = x\n", ["Cart", "add"]),
    "a.lua": ("local function add(x)\nend\n", ["add"]),
    "a.ex": ("defmodule Cart do\n  def add(x) do\n  end\nend\n", ["Cart", "Cart.add"]),
    "a.swift": ("struct Cart {\n    func add(x: Int) {\n    }\n}\n", ["Cart", "Cart.add"]),
    "a.scala": ("object Cart {\n  def add(x: Int) = x\n}\n", ["Cart", "Cart.add"]),
    "a.unknown": ("function f() {}\n", []),
}


@pytest.mark.parametrize("path", SAMPLES)
def test_other_languages(path: str) -> None:
    text, names = SAMPLES[path]
    assert [s.name for s in outline(path, text)] == names


def test_ends_are_estimated() -> None:
    assert [(n, a, b) for n, _, a, b in found("a.ts", SAMPLES["a.ts"][0])][:4] == [
        ("Cart", 1, 9),
        ("Cart.constructor", 2, 3),
        ("Cart.add", 4, 8),
        ("total", 10, 12),
    ]
    assert ("main", "function", 8, 12) in found("a.c", SAMPLES["a.c"][0])


@given(st.text(max_size=200), st.sampled_from([*SAMPLES, "a.py"]))
def test_any_text_gives_symbols_in_order(text: str, path: str) -> None:
    outlined = outline(path, text)
    lines = text.count("\n") + 1
    assert [s.line for s in outlined] == sorted(s.line for s in outlined)
    assert all(1 <= s.line <= s.end_line <= lines for s in outlined)


def test_symbols_are_where_ast_says() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    expected = {n.name: n.lineno for n in ast.parse(text).body if isinstance(n, ast.FunctionDef)}
    assert {s.name: s.line for s in outline("x.py", text) if s.kind == "function"} == expected
