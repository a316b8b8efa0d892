"""What is shown with the best passages: definitions that they use, and imports."""

from __future__ import annotations

import re
from pathlib import Path

from localagent.context.builder import gather, import_span, with_used_definitions
from localagent.index.base import Passage
from localagent.index.disk import DiskIndex
from localagent.workspace.workspace import Workspace
from tests.doubles.outline import outline

PYTHON = '''"""Words."""

from __future__ import annotations

import re
from shop.cart import (
    Cart,
    total,
)


def words(text):
    return re.findall(text)
'''

GO = """package shop

import (
	"fmt"

	"shop/cart"
)

func Words() {}
"""


def test_imports_are_found_with_all_their_lines() -> None:
    assert import_span(PYTHON.splitlines()) == (3, 9)
    assert import_span(GO.splitlines()) == (3, 7)
    assert import_span(["#include <stdio.h>", "# include <a.h>", "int x;"]) == (1, 2)
    assert import_span(["use std::fmt;", "fn a() {}"]) == (1, 1)
    assert import_span(["x = 1", "important = 2", "    import re"]) is None
    assert import_span([]) is None


def test_imports_far_from_the_others_are_left_out() -> None:
    lines = ["import a", *["x = 1"] * 12, "import b"]
    assert import_span(lines) == (1, 1)
    assert import_span(["x = 1"] * 200 + ["import a"]) is None
    assert import_span(["import a("]) == (1, 1)  # never closed


FILES = {
    "shop/cart.py": "def pay(cart):\n    return rounded(cart.sum)\n\n\n"
    "def other(cart):\n    return cart\n",
    "shop/money.py": "def other_name(x):\n    return x\n\n\ndef rounded(value):\n"
    "    return round(value, 2)\n",
    "tests/test_cart.py": "def rounded():\n    pass\n",
}


def used(*passages: Passage) -> list[Passage]:
    symbols = [symbol for path, text in FILES.items() for symbol in outline(path, text)]
    return with_used_definitions(
        passages,
        lambda path: FILES[path].splitlines(),
        lambda name: [symbol for symbol in symbols if symbol.last == name],
        lambda passage: 0.0,
    )


def test_a_definition_that_the_best_passage_uses_is_added() -> None:
    best = Passage("shop/cart.py", "pay", 1, 4, 1.0)
    of_money = Passage("shop/money.py", "other_name", 1, 4, 0.1)
    test = Passage("tests/test_cart.py", "rounded", 1, 2, 0.9)
    found = used(best, of_money, test)
    assert [(p.path, p.name) for p in found] == [
        ("shop/cart.py", "pay"),
        ("shop/money.py", "rounded"),  # no word of the query is in it
        ("shop/money.py", "other_name"),
        ("tests/test_cart.py", "rounded"),  # tests are no definitions that code uses
    ]
    assert 0 < found[1].score < best.score


def test_a_definition_that_was_found_is_raised_not_doubled() -> None:
    best = Passage("shop/cart.py", "pay", 1, 4, 1.0)
    rounded = Passage("shop/money.py", "rounded", 3, 6, 0.3)
    found = used(best, Passage("shop/money.py", "other_name", 1, 4, 0.4), rounded)
    assert [p.name for p in found] == ["pay", "rounded", "other_name"]
    assert found[1].score > rounded.score
    assert used() == []
    assert used(rounded) == [rounded]  # not raised by its own name


def test_the_model_is_shown_what_the_best_passage_uses_and_its_imports(tmp_path: Path) -> None:
    root = tmp_path / "work"
    (root / "shop").mkdir(parents=True)
    filler = "".join(f"def unrelated_{n}(x):\n    return x * {n}\n\n\n" for n in range(80))
    (root / "shop" / "cart.py").write_text(
        f'"""Carts."""\n\nimport decimal\nfrom shop.money import rounded\n\n\n{filler}'
        "def apply_voucher(cart):\n    return rounded(cart)\n"
    )
    (root / "shop" / "money.py").write_text(
        f"{filler}def voucher_kinds():\n    return []\n\n\n{filler}"
        "def rounded(value):\n    return round(value, 2)\n"
    )
    workspace = Workspace.open(root)
    with DiskIndex(workspace, tmp_path / "i.sqlite") as index:
        found = gather("apply the voucher", workspace, index, _words, 1500)
    text = {one.path: one.text for one in found.excerpts}
    assert "import decimal\nfrom shop.money import rounded" in text["shop/cart.py"]
    assert "def rounded(value)" in text["shop/money.py"]
    assert found.tokens <= 1500


def test_prose_has_no_imports(tmp_path: Path) -> None:
    root = tmp_path / "work"
    root.mkdir()
    lines = "".join(f"Nothing of note is on line {n}.\n\n" for n in range(100))
    (root / "notes.md").write_text(f"use it daily\n\n{lines}# Vouchers\n\nA voucher is paper.\n")
    workspace = Workspace.open(root)
    with DiskIndex(workspace, tmp_path / "i.sqlite") as index:
        found = gather("what is a voucher?", workspace, index, _words, 600)
    assert "A voucher is paper." in found.excerpts[0].text
    assert "use it daily" not in found.excerpts[0].text


def _words(text: str) -> int:
    return len(re.findall(r"\w+|[^\w\s]|\n", text))
