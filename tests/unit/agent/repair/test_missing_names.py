"""Names that failing tests use, and that a module of the workspace lacks."""

from __future__ import annotations

import pytest

from localagent.agent.checks.runner import CheckResult, TestResult
from localagent.agent.repair.missing_names import MissingName, imported_names, missing_names

FILES = ["shop/rates.py", "shop/other.py", "tests/test_rates.py", "a/twice.py", "b/twice.py"]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "AttributeError: module 'shop.rates' has no attribute 'fee'",
            [MissingName("shop/rates.py", "fee")],
        ),
        (
            "E   ImportError: cannot import name 'fee' from 'shop.rates' (/tmp/x/shop/rates.py)",
            [MissingName("shop/rates.py", "fee")],
        ),
        ("AttributeError: module 'twice' has no attribute 'fee'", []),
        ("AttributeError: module 'json' has no attribute 'fee'", []),
        ("AssertionError: assert 1 == 2", []),
    ],
)
def test_the_module_and_the_name(message: str, expected: list[MissingName]) -> None:
    test = TestResult("tests/test_rates.py::test_fee", "failed", message)
    result = CheckResult("pytest", False, 1, False, 0.1, "", (test,), 0, 1)
    assert missing_names(result, FILES) == expected
    assert missing_names(None, FILES) == []


def test_all_names_that_tests_import_and_the_module_lacks() -> None:
    test = "from shop.rates import BASE, fee, price\nfrom shop.other import more\nimport json\n"
    text = "BASE = 3\n\ndef price(): pass\n"
    assert imported_names("src/shop/rates.py", text, [test, "not python ("]) == ["fee"]
