"""Places in what failing programs of many languages print, and the pieces that they lie in."""

# ruff: noqa: E501 - outputs are shown as they are

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.code.tracebacks import frames
from localagent.index.disk import DiskIndex
from localagent.workspace.workspace import Workspace

PYTHON = 'Traceback (most recent call last):\n  File "/w/src/app.py", line 3, in <module>\n    run()\n  File "/w/src/core.py", line 12, in run\nValueError: x\n'
NODE = "TypeError: x is not a function\n    at add (/w/src/cart.js:12:7)\n    at Object.<anonymous> (/w/test/cart.test.js:4:3)\n    at file:///w/src/main.mjs:9:1\n    at node:internal/main:1:2\n"
TSC = "src/cart.ts(7,5): error TS2322: Type 'string' is not assignable\n"
WEBPACK = "    at total (webpack:///./src/sum.tsx:8:2)\n"
GO_PANIC = "panic: runtime error: index out of range [3] with length 3\n\ngoroutine 1 [running]:\nmain.pick(...)\n\t/w/pick.go:8\nmain.main()\n\t/w/main.go:5 +0x1d\n"
GO_TEST = "--- FAIL: TestPush (0.00s)\n    stack_test.go:15: got 3, want 4\nFAIL\n"
RUST = "thread 'main' panicked at src/lib.rs:10:5:\nboom\nstack backtrace:\n   1: shop::add\n             at ./src/cart.rs:22:9\n"
RUSTC = "error[E0308]: mismatched types\n  --> src/lib.rs:3:5\n"
JAVA = 'Exception in thread "main" java.lang.IllegalStateException\n\tat org.shop.Cart$Line.add(Cart.java:12)\n\tat app//org.shop.Main.main(Main.java:5)\n\tat java.base/java.util.List.of(List.java:3)\n'
C_GCC = "src/a.c:12:5: error: expected ';'\n"
C_ASSERT = "prog: src/a.c:9: push: Assertion `n > 0' failed.\n"
C_ASAN = "    #0 0x4f in push /w/src/a.cc:12:3\n    #1 0x50 in main /w/src/main.cc:4\n"
MSVC = r"C:\w\src\a.cpp(12): error C2065" + "\n"
RUBY = "lib/cart.rb:12:in `add': boom (RuntimeError)\n\tfrom bin/run.rb:3:in `<main>'\n"
MINITEST = "Failure:\nTestCart#test_add [test/cart_test.rb:9]:\nExpected: 1\n"
RSPEC = "     # ./spec/cart_spec.rb:12:in `block (2 levels)'\n"
CSHARP = "   at Shop.Cart.Add(Int32 n) in /w/src/Cart.cs:line 12\n"
PHP = "PHP Fatal error:  Uncaught Error in /w/src/cart.php:12\n#0 /w/main.php(4): add()\n"
PHP_WARNING = "Warning: Undefined variable in /w/src/cart.php on line 12\n"


@pytest.mark.parametrize(
    ("output", "places"),
    [
        (PYTHON, [("/w/src/app.py", 3), ("/w/src/core.py", 12)]),
        (NODE, [("/w/src/main.mjs", 9), ("/w/test/cart.test.js", 4), ("/w/src/cart.js", 12)]),
        (TSC, [("src/cart.ts", 7)]),
        (WEBPACK, [("/./src/sum.tsx", 8)]),
        (GO_PANIC, [("/w/main.go", 5), ("/w/pick.go", 8)]),
        (GO_TEST, [("stack_test.go", 15)]),
        (RUST, [("./src/cart.rs", 22), ("src/lib.rs", 10)]),
        (RUSTC, [("src/lib.rs", 3)]),
        (JAVA, [("java/util/List.java", 3), ("org/shop/Main.java", 5), ("org/shop/Cart.java", 12)]),
        (C_GCC, [("src/a.c", 12)]),
        (C_ASSERT, [("src/a.c", 9)]),
        (C_ASAN, [("/w/src/main.cc", 4), ("/w/src/a.cc", 12)]),
        (MSVC, [("C:/w/src/a.cpp", 12)]),
        (RUBY, [("bin/run.rb", 3), ("lib/cart.rb", 12)]),
        (MINITEST, [("test/cart_test.rb", 9)]),
        (RSPEC, [("./spec/cart_spec.rb", 12)]),
        (CSHARP, [("/w/src/Cart.cs", 12)]),
        (PHP, [("/w/main.php", 4), ("/w/src/cart.php", 12)]),
        (PHP_WARNING, [("/w/src/cart.php", 12)]),
        ("it took 12:30, see http://localhost:8080/a and version 1.2:3", []),
    ],
)
def test_the_innermost_comes_last(output: str, places: list[tuple[str, int]]) -> None:
    assert frames(output) == places


BODY = {
    "src/cart.js": "function first() {\n  return 1;\n}\n\n\n\n\n\n\n\nfunction add(item) {\n  return item();\n}\n",
    "pick.go": "package main\n\nfunc other() int {\n\treturn 1\n}\n\nfunc pick(n int) int {\n\treturn a[n]\n}\n",
    "src/org/shop/Cart.java": "package org.shop;\n\nclass Cart {\n  int one() {\n    return 1;\n  }\n\n\n\n\n  void add() {\n    throw new X();\n  }\n}\n",
    "lib/cart.rb": "def one\n  1\nend\n\n\n\n\n\n\n\ndef add\n  raise 'x'\nend\n",
    "src/lib.rs": "fn one() -> u8 {\n    1\n}\n\n\n\n\n\nfn push() {\n    panic!()\n}\n",
    "src/a.c": "int one(void) {\n  return 1;\n}\n\n\n\n\nvoid push(int n) {\n  assert(n > 0);\n}\n",
}  # fmt: skip


@pytest.mark.parametrize(
    ("output", "path", "name"),
    [
        (NODE, "src/cart.js", "add"),
        (GO_PANIC, "pick.go", "pick"),
        (JAVA, "src/org/shop/Cart.java", "Cart.add"),
        (RUBY, "lib/cart.rb", "add"),
        (RUST, "src/lib.rs", "push"),
        (C_ASSERT, "src/a.c", "push"),
    ],
)
def test_a_frame_stands_for_the_piece_that_it_is_in(
    tmp_path: Path, output: str, path: str, name: str
) -> None:
    root = tmp_path / "work"
    for file, text in BODY.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)
    with DiskIndex(Workspace.open(root), tmp_path / "i.sqlite") as index:
        best = index.passages(output.replace("/w/", f"{root}/"))[0]
    assert (best.path, best.name) == (path, name)
