"""Whether a check that passes says anything about a change."""

from __future__ import annotations

import pytest

from localagent.agent.checks.runner import CheckResult, TestResult
from localagent.agent.repair.false_passes import is_untested, undefined_name
from localagent.core.changes import file_change

OLD = "RATE = 2\n\n\ndef price(n):\n    return n * RATE\n"
NEW = f'{OLD}\n\ndef total(items):\n    """The sum."""\n    return sum(items)\n'


def result(*ran: int, traced: bool = True) -> CheckResult:
    lines = {"shop.py": frozenset(ran)} if traced else {}
    tests = (TestResult("shop_test.py::test_price", "passed", lines=lines),)
    return CheckResult("pytest", True, 0, False, 0.1, "", tests, 1, 0)


@pytest.mark.parametrize(
    ("new", "found", "untested"),
    [
        (NEW, result(5), True),
        (NEW, result(5, 10), False),
        (NEW, None, False),
        (NEW, result(traced=False), False),
        (OLD.replace("n * RATE", "n"), result(5), False),
        (OLD.replace("n * RATE", "n"), result(99), True),
        (OLD.replace("RATE = 2", "RATE = 3"), result(5), False),  # runs before the tests do
        (OLD.replace("    return", '    """In cents."""\n    return'), result(6), False),
        (OLD.replace("    return", "    # in cents\n    return"), result(6), False),
        ("def price(:\n", result(5), False),
        (OLD, result(5), False),
        (OLD.replace("(n)", "( n )"), result(5), True),
        (OLD.replace("RATE = 2\n", "RATE = 2\n\n"), result(5), True),
    ],
)
def test_whether_a_test_ran_it(new: str, found: CheckResult | None, untested: bool) -> None:
    assert is_untested("shop.py", OLD, new, found) == untested


def test_a_name_that_no_changed_file_defines() -> None:
    code = file_change("a.py", b"class Work:\n    def hours(self):\n        return 1\n")
    assert undefined_name(["hours", "Work"], [code]) == ""
    assert undefined_name(["hours", "pay"], [code]) == "pay"
    assert undefined_name([], [code]) == ""
    assert undefined_name(["pay"], [code, file_change("a.txt", b"pay")]) == "", "unknown"
