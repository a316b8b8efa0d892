"""Who defines, calls, imports and tests what, in projects of several languages."""

# ruff: noqa: E501 - files are shown as they are

from __future__ import annotations

import os
from pathlib import Path

import pytest

from localagent.core.errors import UsageError
from localagent.index.disk import DiskIndex
from localagent.index.lookup import places
from localagent.index.query import Filter, parse_fields
from localagent.index.relations import modules_of
from localagent.workspace.workspace import Workspace

FILES = {
    "src/shop/__init__.py": "from .cart import Cart\n",
    "src/shop/cart.py": "from shop.money import total\n\n\nclass Cart:\n"
    '    """Holds items."""\n\n    def add(self, item):\n        return total([item])\n',
    "src/shop/money.py": "def total(items):\n    # total of it\n    return sum(items)\n",
    "src/shop/types.py": "import types\n",
    "tests/test_cart.py": "from shop import Cart\n\n\ndef test_add():\n    assert Cart().add(1) == 1\n",
    "tests/test_other.py": "from shop.money import total\n\n\ndef test_it():\n    total([])\n",
    "web/lib/sum.js": "export function sum(a) { return a; }\n",
    "web/app.js": 'import {sum} from "./lib/sum.js";\nconst total = sum(1);\n',
    "web/lib/sum.test.js": 'import {sum} from "./sum.js";\nsum(2);\n',
    "go/util/util.go": "package util\n\nfunc Clamp(x int) int { return x }\n",
    "go/main.go": 'package main\n\nimport "example.com/shop/util"\n\nfunc main() { util.Clamp(1) }\n',
    "go/util/util_test.go": "package util\n\nfunc TestClamp() { Clamp(2) }\n",
    "c/a.c": '#include "b.h"\nint a(void) { return b(); }\n',
    "c/b.h": "int b(void);\n",
    "c/b.c": '#include "b.h"\nint b(void) { return 1; }\n',
    "rust/src/main.rs": "mod stack;\nuse crate::stack::Stack;\nfn main() { Stack::new(); }\n",
    "rust/src/stack.rs": "pub struct Stack;\nimpl Stack { pub fn new() -> Stack { Stack } }\n",
    "java/org/shop/Cart.java": "package org.shop;\nclass Cart { void add() {} }\n",
    "java/org/shop/Main.java": "import org.shop.Cart;\nclass Main { void run() { new Cart().add(); } }\n",
    "README.md": "total\n",
}  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "work"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture
def index(root: Path, tmp_path: Path) -> DiskIndex:
    return DiskIndex(Workspace.open(root), tmp_path / "index.sqlite")


def test_lines_in_some_kind_of_definition(index: DiskIndex, root: Path) -> None:
    assert found(index, root, 'text:"total("') == [
        "src/shop/cart.py:8", "src/shop/money.py:1", "tests/test_other.py:5",
    ]  # fmt: skip
    assert found(index, root, 'text:"total(" kind:method') == ["src/shop/cart.py:8"]
    assert found(index, root, r"re:total\( -kind:test lang:py kind:function") == [
        "src/shop/cart.py:8", "src/shop/money.py:1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "query", ["re:^fn.main", r"re:Stack::new\(\);.}$", r"re:\Afn.main", r"re:main\(\)(?!\n)"]
)
def test_expressions_are_for_lines(index: DiskIndex, root: Path, query: str) -> None:
    assert "rust/src/main.rs:3" in found(index, root, query)


def test_files_that_cannot_have_a_text_are_left_out(index: DiskIndex, root: Path) -> None:
    for name in FILES:
        os.utime(
            root / name, (10**9, 10**9)
        )  # the time of what was just written is not trusted_mtime
    files = index.files()
    assert set(index.may_have("Holds items", files, regex=False)) == {"src/shop/cart.py"}
    assert set(index.may_have("func (Clamp|Test)", files, regex=True)) <= {
        "go/util/util.go", "go/util/util_test.go", "go/main.go",
    }  # fmt: skip
    (root / "README.md").write_text("it holds items\n")  # the index has not seen it yet
    assert set(index.may_have("Holds items", files, regex=False)) == {
        "README.md", "src/shop/cart.py",
    }  # fmt: skip
    assert index.may_have("a|b", files, regex=True) == files


def found(index: DiskIndex, root: Path, query: str, limit: int = 50) -> list[str]:
    asked = parse_fields(query)
    return [
        f"{p.path}:{p.line}" if p.line else p.path
        for p in places(index, Workspace.open(root), asked, limit)
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("def:total", ["src/shop/money.py:1"]),
        ("def:Cart.add", ["java/org/shop/Cart.java:2", "src/shop/cart.py:7"]),
        ("def:add lang:python", ["src/shop/cart.py:7"]),
        ("def:Cart kind:class -path:java", ["src/shop/cart.py:4"]),
        ("def:Cart kind:function", []),
        ("def:Stack.new()", ["rust/src/stack.rs:2"]),
        ("calls:total", ["src/shop/cart.py:8", "tests/test_other.py:5"]),
        ("calls:total kind:code", ["src/shop/cart.py:8"]),
        ("calls:Clamp", ["go/main.go:5", "go/util/util_test.go:3"]),
        ("calls:Cart", ["java/org/shop/Main.java:2", "tests/test_cart.py:5"]),
        ("ref:total path:src", ["src/shop/cart.py:1", "src/shop/cart.py:8"]),
        ("ref:sum lang:js", ["web/app.js:1", "web/app.js:1", "web/app.js:2",
                             "web/lib/sum.test.js:1", "web/lib/sum.test.js:1",
                             "web/lib/sum.test.js:2"]),
        ("imports:shop.money", ["src/shop/cart.py:1", "tests/test_other.py:1"]),
        ("imports:src/shop/money.py", ["src/shop/cart.py:1", "tests/test_other.py:1"]),
        ("imports:src/shop/types.py", []),
        ("imports:web/lib/sum.js", ["web/app.js:1", "web/lib/sum.test.js:1"]),
        ("imports:go/util/util.go", ["go/main.go:3"]),
        ("imports:c/b.h", ["c/a.c:1", "c/b.c:1"]),
        ("imports:rust/src/stack.rs", ["rust/src/main.rs:1"]),
        ("tests:src/shop/cart.py", ["tests/test_cart.py"]),
        ("tests:src/shop/money.py", ["tests/test_other.py"]),
        ("tests:web/lib/sum.js", ["web/lib/sum.test.js"]),
        ("tests:go/util/util.go", ["go/util/util_test.go"]),
        ('text:"total of it"', ["src/shop/money.py:2"]),
        (r"re:def.t\w+ path:src/**/*.py", ["src/shop/money.py:1"]),
        ("calls:nothing_has_this", []),
    ],
)  # fmt: skip
def test_forms(index: DiskIndex, root: Path, query: str, expected: list[str]) -> None:
    assert found(index, root, query) == expected


def test_what_is_told_is_true_to_the_file_as_it_is_now(index: DiskIndex, root: Path) -> None:
    assert found(index, root, "calls:total kind:code") == ["src/shop/cart.py:8"]
    path = root / "src/shop/cart.py"
    path.write_text("# one line more\n" + path.read_text())
    assert found(index, root, "calls:total kind:code") == ["src/shop/cart.py:9"]
    path.unlink()
    assert found(index, root, "calls:total kind:code") == []


def test_definitions_show_what_documents_them(index: DiskIndex, root: Path) -> None:
    (place,) = places(index, Workspace.open(root), parse_fields("def:Cart path:src"), 5)
    assert (place.kind, place.text, place.note) == ("class", "class Cart", "Holds items.")


def test_imports_and_callers_of_the_index(index: DiskIndex) -> None:
    assert index.imports("src/shop/cart.py") == ["src/shop/money.py"]
    assert index.imports("src/shop/__init__.py") == ["src/shop/cart.py"]
    assert index.imports("tests/test_cart.py") == ["src/shop/__init__.py"]
    assert index.imports("go/main.go") == ["go/util/util.go", "go/util/util_test.go"]
    assert index.imports("java/org/shop/Main.java") == ["java/org/shop/Cart.java"]
    assert index.imports("rust/src/main.rs") == ["rust/src/stack.rs"]
    assert index.imports("missing.py") == []
    assert [(r.path, r.owner) for r in index.callers("total")] == [
        ("src/shop/cart.py", "Cart.add"),
        ("tests/test_other.py", "test_it"),
    ]


def test_words_are_filtered(index: DiskIndex) -> None:
    asked = parse_fields("total lang:py -kind:test")
    assert asked.words == "total"
    ranked = [one.path for one in index.ranked(asked.words, 10, asked.filter)]
    assert "src/shop/money.py" in ranked
    assert all(p.endswith(".py") and not p.startswith("tests/") for p in ranked)
    assert index.ranked("total", 10, parse_fields("x kind:struct").filter) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("calls:a calls:b", "cannot be combined"),
        ("calls:a and b", "cannot be combined with the words 'and b'"),
        ("lang:cobol x", "unknown language 'cobol'"),
        ("kind:thing x", "unknown kind 'thing'"),
    ],
)
def test_what_is_no_question(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_fields(text)


def test_an_expression_that_is_none(index: DiskIndex, root: Path) -> None:
    with pytest.raises(UsageError, match="regular expression"):
        found(index, root, "re:(")


def test_what_only_looks_like_a_form_is_words() -> None:
    for text in ("ValueError: unknown locale", "calls:", "a\ndef:x", "http://def:x", "undef:x"):
        assert parse_fields(text).form == ""
    assert parse_fields('text:"a b" path:x').value == "a b"


@pytest.mark.parametrize(
    ("glob", "yes", "no"),
    [
        ("src", "src/a/b.py", "srcs/a.py"),
        ("src/**", "src/a/b.py", "lib/src/a.py"),
        ("*.py", "a.py", "src/a.py"),
        ("**/*.py", "src/b/a.py", "a.pyc"),
        ("./src/a.py", "src/a.py", "src/a.pyi"),
        ("src/?.py", "src/a.py", "src/ab.py"),
    ],
)
def test_paths(glob: str, yes: str, no: str) -> None:
    wanted = Filter(paths=((True, glob),))
    assert wanted.file(yes) and not wanted.file(no)
    assert not Filter(paths=((False, glob),)).file(yes)


def test_modules_of_one_name_in_other_places_are_not_meant() -> None:
    known = ["a/util.js", "b/util.js", "a/index.ts"]
    assert modules_of("./util", "a/x.js", known) == ["a/util.js"]
    assert modules_of(".", "a/x.ts", known) == ["a/index.ts"]
    assert modules_of("./util", "x.py", known) == []
