"""A shop of forty modules: api → service → model → rules for ten kinds of goods; the rules of one
of them are broken, two imports away from what its failing test imports."""

from __future__ import annotations

from pathlib import Path

KINDS = ("book", "coin", "drug", "fish", "game", "hat", "ink", "jar", "kite", "lamp")

RULES = '''"""Rules for a {kind}."""


def {kind}_tax(price):
    """The tax on a price."""
    return price * {rate} // 100


def {kind}_total(price, fee):
    """What is paid in the end."""
    return price + {fee}{kind}_tax(price)
'''
MODEL = '''"""A {kind} as it is kept."""

from shop.{kind}_rules import {kind}_tax, {kind}_total


class {Kind}:
    def __init__(self, price):
        self.price = price

    def tax(self):
        return {kind}_tax(self.price)

    def total(self, fee):
        return {kind}_total(self.price, fee)
'''
SERVICE = '''"""Selling a {kind}."""

from shop.{kind}_model import {Kind}


def quote_{kind}(price):
    return {Kind}(price).tax()


def sell_{kind}(price, fee):
    item = {Kind}(price)
    return item.total(fee)
'''
API = '''"""What the web shop calls."""

from shop.{kind}_service import quote_{kind}, sell_{kind}


def get_quote(price):
    return {{"kind": "{kind}", "tax": quote_{kind}(price)}}


def post_sale(price, fee):
    return {{"kind": "{kind}", "paid": sell_{kind}(price, fee)}}
'''
TEST = """from shop.{kind}_api import get_quote, post_sale


def test_quote():
    assert get_quote(100)["tax"] == {rate}


def test_sale():
    assert post_sale(100, 10)["paid"] == 110 + {rate}


def test_free_sale():
    assert post_sale(100, 0)["paid"] == 100 + {rate}
"""


def write_shop(root: Path, broken: str) -> None:
    """Write the shop below `root`; the rules of the kind `broken` forget the fee."""
    (root / "shop").mkdir(parents=True)
    (root / "tests").mkdir()
    (root / "conftest.py").write_text("")
    (root / "shop" / "__init__.py").write_text("")
    for rate, kind in enumerate(KINDS, 2):
        values = {
            "kind": kind,
            "Kind": kind.title(),
            "rate": rate,
            "fee": "" if kind == broken else "fee + ",
        }
        parts = {"rules": RULES, "model": MODEL, "service": SERVICE, "api": API}
        for part, text in parts.items():
            (root / "shop" / f"{kind}_{part}.py").write_text(text.format(**values))
        (root / "tests" / f"test_{kind}.py").write_text(TEST.format(**values))
