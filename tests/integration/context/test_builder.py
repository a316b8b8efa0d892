"""What the model is shown: within the budget, the useful first, nothing left out in silence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.code.symbols import Symbol
from localagent.context.builder import gather, text_of
from localagent.context.excerpt import GAP, excerpt, merge_spans, render
from localagent.index.disk import DiskIndex
from localagent.workspace.workspace import Workspace
from tests.doubles.outline import outline

CART = (
    '"""The cart."""\n\nimport decimal\n\n\nclass Cart:\n    """Items that somebody wants."""\n\n'
    + "".join(
        f"    def method_{n}(self, value):\n        total = value * {n}\n"
        "        for item in range(10):\n            total += item\n        return total\n\n"
        for n in range(60)
    )
    + "    def apply_voucher(self, code):\n        if code not in self.vouchers:\n"
    "            raise KeyError(code)\n        self.price -= self.vouchers[code]\n"
)


def count(text: str) -> int:
    """Words and signs, which is near enough to tokens here."""
    return len(re.findall(r"\w+|[^\w\s]|\n", text))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "work"
    (root / "shop").mkdir(parents=True)
    (root / "shop" / "cart.py").write_text(CART)
    (root / "shop" / "money.py").write_text("def round_cents(value):\n    return round(value, 2)\n")
    (root / "shop" / "voucher.py").write_text(
        "from shop.cart import Cart\n\n\ndef redeem(cart, voucher):\n"
        "    cart.apply_voucher(voucher.code)\n"
    )
    return root


@pytest.fixture
def index(root: Path, tmp_path: Path) -> Iterator[DiskIndex]:
    with DiskIndex(Workspace.open(root), tmp_path / "i.sqlite") as index:
        yield index


def test_the_passage_in_a_long_file_is_shown(root: Path, index: DiskIndex) -> None:
    found = gather("where is a voucher applied?", Workspace.open(root), index, count, 400)
    shown = {one.path: one.text for one in found.excerpts}
    assert "def apply_voucher" in shown["shop/cart.py"]
    assert "class Cart:" in shown["shop/cart.py"]  # whose method it is
    assert "method_3(" not in shown["shop/cart.py"]
    assert "redeem" in shown["shop/voucher.py"]
    assert found.tokens <= 400
    assert all(one.tokens == count(one.text) for one in found.excerpts)


def test_what_is_named_is_shown_whole_where_it_fits(root: Path, index: DiskIndex) -> None:
    found = gather(
        "what does money.py do", Workspace.open(root), index, count, 400, ["shop/money.py"]
    )
    assert found.excerpts[0].path == "shop/money.py"
    assert found.excerpts[0].text.startswith("`shop/money.py`:\n```python\ndef round_cents")
    assert found.excerpts[0].reason == "the request names it"


def test_a_long_file_that_is_named_is_shown_in_part(root: Path, index: DiskIndex) -> None:
    query = "what happens to a voucher in shop/cart.py?"
    found = gather(query, Workspace.open(root), index, count, 900, ["shop/cart.py"])
    assert "def apply_voucher" in found.excerpts[0].text
    assert re.search(r"\(lines .* of \d+\)", found.excerpts[0].text)
    assert GAP in found.excerpts[0].text
    assert found.tokens <= 900
    assert "`shop/cart.py`: " in found.map  # the names of what is not shown


def test_nothing_and_too_little_room(root: Path, index: DiskIndex) -> None:
    workspace = Workspace.open(root)
    assert gather("zebra", workspace, index, count, 400).excerpts == ()
    assert gather("voucher", workspace, index, count, 10).excerpts == ()
    assert gather("voucher", workspace, index, count, 0, ["shop/money.py"]).excerpts == ()
    assert gather("x", workspace, index, count, 400, ["gone.py", "shop"]).excerpts == ()


def test_a_file_that_became_shorter_is_no_mistake(root: Path, index: DiskIndex) -> None:
    assert index.search("voucher")
    (root / "shop" / "cart.py").write_text("x = 1\n")
    found = gather("apply_voucher", Workspace.open(root), index, count, 400)
    assert [one.path for one in found.excerpts] == ["shop/voucher.py"]
    assert text_of(Workspace.open(root), "../etc/passwd") == ""


@given(
    budget=st.integers(0, 3000),
    wanted=st.lists(st.tuples(st.integers(1, 370), st.integers(0, 60)), max_size=8),
)
def test_an_excerpt_keeps_to_its_budget_and_tells_its_lines(
    budget: int, wanted: list[tuple[int, int]]
) -> None:
    lines = CART.splitlines()
    symbols = outline("cart.py", CART)
    spans = [(first, min(first + more, len(lines))) for first, more in wanted]
    text, shown = excerpt("cart.py", CART, symbols, spans, budget, count)
    assert (text == "") == (shown == [])
    if text:
        assert count(text) <= budget
        for first, last in shown:
            assert "\n".join(lines[first - 1 : last]).rstrip() in text
    if shown and shown != [(1, len(lines))]:
        told = re.search(r"\(lines (.*) of (\d+)\)", text)
        assert told is not None
        assert told[1] == ", ".join(f"{a}-{b}" for a, b in shown)


def test_render() -> None:
    text = "import a\n\n\nclass A:\n    x = 1\n    y = 2\n\n"
    text += "    def f(self):\n        return 1\n\n\nz = 3\n"
    symbols = [
        Symbol("A", "class", "a.py", 4, 9, "class A"),
        Symbol("A.f", "method", "a.py", 8, 9, "def f(self)"),
    ]
    assert render("a.py", text.splitlines(), symbols, [(1, 1), (8, 9)]) == (
        "`a.py` (lines 1-1, 8-9 of 12):\n```python\nimport a\n…\nclass A:\n    …\n"
        "    def f(self):\n        return 1\n…\n```"
    )


def test_joined() -> None:
    assert merge_spans([(10, 12), (1, 3), (5, 6), (40, 50), (41, 45)]) == [(1, 12), (40, 50)]
