"""Finding files for a task, an error message, an identifier."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localagent.code.file_kinds import is_data, is_docs, is_test, is_vendored, may_be_text
from localagent.index import ranking
from localagent.index.disk import DiskIndex
from localagent.index.query import parse_query
from localagent.workspace.workspace import Workspace

FILES = {
    "shop/cart.py": "class Cart:\n    def add_item(self, item):\n"
    "        self.items.append(item)\n\n"
    "    def totalPrice(self):\n        return 0\n",
    "shop/money.py": "def round_cents(value):\n    return round(value, 2)\n",
    "shop/report.py": "from shop.cart import Cart\n\ndef report(cart):\n"
    "    return cart.totalPrice()\n",
    "tests/test_cart.py": "from shop.cart import Cart\n\n\ndef test_total_price():\n"
    "    cart = Cart()\n    cart.add_item(1)\n    assert cart.totalPrice() == 1\n"
    "    # Cart cart cart add_item totalPrice total price\n",
    "docs/cart.md": "# Cart\n\nThe cart, its items and total price. Cart cart cart.\n",
    "web/app.js": "export function renderCart(cart) {\n}\n",
    "logo.png": "no text by its name",
    ".env": "CART=1\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def index(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DiskIndex]:
    file = tmp_path_factory.mktemp("index") / "index.sqlite"
    with DiskIndex(Workspace.open(root), file) as index:
        yield index


def best(index: DiskIndex, query: str) -> str:
    return index.search(query)[0].path


def test_files(index: DiskIndex) -> None:
    assert list(index.files()) == sorted(set(FILES) - {"logo.png", ".env"})


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("The total price of a cart is wrong", "shop/cart.py"),
        ("fix totalPrice", "shop/cart.py"),
        ("total_price returns 0", "shop/cart.py"),
        ("Cart.add_item should refuse None", "shop/cart.py"),
        ("rounding cents", "shop/money.py"),
        ("fix shop/report.py", "shop/report.py"),
        ("the bug is in report.py", "shop/report.py"),
        ("ImportError: cannot import name 'x' from 'shop.money'", "shop/money.py"),
        ("renderCart", "web/app.js"),
        ("correct the spelling in docs/cart.md", "docs/cart.md"),
        ("tests/test_cart.py fails", "tests/test_cart.py"),
    ],
)
def test_best(index: DiskIndex, query: str, expected: str) -> None:
    assert best(index, query) == expected


def test_tests_come_last(index: DiskIndex) -> None:
    paths = [hit.path for hit in index.search("cart add_item totalPrice")]
    assert paths[-1] == "tests/test_cart.py"
    assert len(paths) == 5


def test_tracebacks(index: DiskIndex, root: Path) -> None:
    trace = (
        "Traceback (most recent call last):\n"
        f'  File "{root}/shop/cart.py", line 6, in totalPrice\n'
        '  File "/usr/lib/python3/json/decoder.py", line 3, in raw_decode\n'
        f'  File "{root}/shop/money.py", line 2, in round_cents\nTypeError: x\n'
    )
    hits = index.search(trace)
    assert [h.path for h in hits][:2] == ["shop/money.py", "shop/cart.py"]
    assert hits[0].reasons[0] == "the traceback passes line 2"
    assert best(index, "shop/money.py:2: TypeError") == "shop/money.py"


def test_reasons(index: DiskIndex) -> None:
    reasons = index.search("add_item is slow")[0].reasons
    assert any(r.startswith("defines add_item") for r in reasons)


def test_nothing(index: DiskIndex) -> None:
    assert list(index.search("")) == []
    assert list(index.search("zebra")) == []
    assert list(index.search("cart", limit=1)) != []
    assert len(index.search("cart", limit=2)) == 2


def test_definitions(index: DiskIndex) -> None:
    (found,) = index.definitions("Cart.add_item")
    assert (found.name, found.path, found.line) == ("Cart.add_item", "shop/cart.py", 2)
    assert [s.path for s in index.definitions("renderCart()")] == ["web/app.js"]
    assert list(index.definitions("nothing")) == []
    assert list(index.definitions("")) == []


def test_changes_are_noticed(index: DiskIndex, root: Path) -> None:
    assert [s.name for s in index.symbols("shop/money.py")] == ["round_cents"]
    (root / "shop/money.py").write_text("def round_all(values):\n    return values\n")
    assert [s.name for s in index.symbols("shop/money.py")] == ["round_all"]
    (root / "shop/new.py").write_text("def zebra(): pass\n")
    index.refresh()
    assert best(index, "zebra") == "shop/new.py"
    (root / "shop/new.py").unlink()
    assert list(index.search("zebra")) == []
    assert list(index.symbols("shop/new.py")) == []


def test_odd_files(index: DiskIndex, root: Path) -> None:
    (root / "binary.py").write_bytes(b"zebra\0")
    (root / "large.py").write_bytes(b"zebra = 1\n" * 150_000)
    (root / "latin.py").write_bytes(b"zebra = '\xe9'\n")
    os.symlink("/etc/passwd", root / "link.py")
    index.refresh()
    assert [hit.path for hit in index.search("zebra")] == ["latin.py"]
    assert list(index.symbols("binary.py")) == []
    assert list(index.symbols("../outside.py")) == []


def test_an_empty_workspace(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    index = DiskIndex(Workspace.open(empty), tmp_path / "index.sqlite")
    assert list(index.files()) == []
    assert list(index.search("cart")) == []


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None
)
@given(query=st.one_of(st.text(max_size=80), st.lists(st.sampled_from(
    ["cart", "shop/cart.py", 'File "', '", line ', "9" * 30, ":3:", "Cart.", "(", "_", "/", "\n"]
)).map(" ".join)))  # fmt: skip
def test_any_query_is_answered(index: DiskIndex, query: str) -> None:
    hits = index.search(query)
    assert all(hit.path in FILES for hit in hits)
    assert len({hit.path for hit in hits}) == len(hits)


class TestQuery:
    def test_terms(self) -> None:
        terms = parse_query("Fix the totalPrice of `cart` in parse_http_header").terms
        assert terms["totalprice"] == 3.0
        assert terms["parse_http_header"] == 3.0
        assert terms["cart"] == 2.0
        assert terms["http"] == 1.0
        assert "the" not in terms

    def test_frames(self) -> None:
        assert parse_query('File "a/b.py", line 3\nc.js:12:4\n').frames == (
            ("c.js", 12),
            ("a/b.py", 3),
        )


@pytest.mark.parametrize(
    "path",
    ["tests/a.py", "a/test_b.py", "b_test.go", "conftest.py", "x.test.ts", "FooTest.java",
     "__tests__/a.js", "spec/a_spec.rb", "crypto_square_test.py", "flask/testsuite/basic.py"],
)  # fmt: skip
def test_is_test(path: str) -> None:
    assert is_test(path)


@pytest.mark.parametrize("path", ["a.py", "latest.py", "contest.py", "protest/a.py", "testing.md"])
def test_is_no_test(path: str) -> None:
    assert not is_test(path)


def test_other_kinds() -> None:
    assert is_docs("README.md")
    assert is_docs("CHANGES") and is_docs("sub/LICENSE-MIT") and is_docs("newsfragments/12.fix")
    assert not is_docs("install") and not is_docs("HISTORY.py") and not is_docs("src/news")
    assert not is_docs("a.py")
    assert is_data("a/b.json") and is_data(".github/workflows/ci.yml") and is_data("a/.flake8")
    assert not is_data("a.b/c.py") and not is_data("pyproject.toml")
    assert is_vendored("vendor/a.go") and is_vendored("x/node_modules/y.js")
    assert not is_vendored("vendors.py")
    assert may_be_text("Makefile")
    assert not may_be_text("a.PNG")


WORDS = ("alpha beta", "alpha beta gamma", "gamma", "gamma", *("filler",) * 5)


@pytest.mark.parametrize(("small", "first"), [(2_000, "f1.txt"), (0, "f0.txt")])
def test_in_a_small_repository_words_count_that_many_files_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: int, first: str
) -> None:
    """Each of the three is in more than a fifth of the files; the two rarest are in both."""
    monkeypatch.setattr(ranking, "SMALL", small)
    for number, text in enumerate(WORDS):
        (tmp_path / f"f{number}.txt").write_text(f"{text}\n")
    with DiskIndex(Workspace.open(tmp_path), tmp_path / ".git" / "i.sqlite") as index:
        assert index.search("alpha beta gamma")[0].path == first
