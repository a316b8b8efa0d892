"""Fault localization: which file comes first by which evidence, and which lines are suspicious."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.agent.checks.runner import CheckResult, TestResult
from localagent.agent.repair.localize import (
    missing_files,
    names_source,
    paths_in_task,
    sources_to_trace,
    suspects,
    suspicious_lines,
    targets,
)
from localagent.core.errors import OutsideWorkspace
from localagent.workspace.workspace import Workspace
from tests.doubles.scripted_turn import scripted_turn

FILES = {
    "shop/cart.py": "from shop.tax import rate\n\n\ndef total(items):\n    return sum(items)\n",
    "shop/tax.py": "def rate():\n    return 2\n",
    "shop/words.py": "def shout(text):\n    return text.upper()\n",
    "tests/test_cart.py": "from shop.cart import total\n\nassert total([1])\n",
    "README.md": "A shop.\n",
}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def failed(**more: object) -> CheckResult:
    test = TestResult("tests/test_cart.py::test_total", "failed", "assert 1 == 2", **more)  # type: ignore[arg-type]
    return CheckResult("pytest", False, 1, False, 0.1, "", (test,), 0, 1)


@pytest.mark.parametrize(
    ("prompt", "texts"),
    [
        ("Fix cart.py and nope.py, then lib/no.py", ["there is no file nope.py, lib/no.py"]),
        ("What does nope.py do?", ["there is no file nope.py"]),
        ("Fix cart.py and shop/tax.py", []),
        ("Create shop/new.py", []),
    ],
)
def test_every_missing_file_is_said(shop: Path, prompt: str, texts: list[str]) -> None:
    turn = scripted_turn(shop, prompt)
    named = paths_in_task(prompt, turn.services.workspace, sorted(FILES))
    assert [event.text for event in missing_files(turn, named)] == texts


@pytest.mark.parametrize(
    ("prompt", "paths"),
    [
        ("#!/bin/sh or #!/usr/bin/env python3 in cart.py", ["shop/cart.py"]),
        ("Fix cart.py, please", ["shop/cart.py"]),
        ("Fix shop/cart.py and `shop/tax.py`.", ["shop/cart.py", "shop/tax.py"]),
        ("Write shop/new.py", ["shop/new.py"]),
        ("Fix cart.total() and `Cart.closed`; write setup.cfg", ["setup.cfg"]),
        ("Let tax.rate(1) return Cart.__hash__", []),
        ("Fix @cart.py and @shop/tax.py", ["shop/cart.py", "shop/tax.py"]),
        ("Fix @nope.py in @shop/nope.py, as @property in shop/tax.py", ["shop/tax.py"]),
        ("See https://example.com/a/b.html and e.g. 1.5 or and/or", []),
    ],
)
def test_the_paths_that_a_task_names(shop: Path, prompt: str, paths: list[str]) -> None:
    assert paths_in_task(prompt, Workspace.open(shop), sorted(FILES)) == paths


@pytest.mark.parametrize(
    ("prompt", "paths"),
    [
        ("Fix @shop/my wörk.py, please", ["shop/my wörk.py"]),
        ('Fix "shop/my wörk.py" and cart.py', ["shop/my wörk.py", "shop/cart.py"]),
        ("Fix 'my wörk.py'", ["shop/my wörk.py"]),
        ("Fix wörk.py", ["shop/wörk.py"]),
        ("Fix shop/amy wörk.py", ["shop/wörk.py"]),
    ],
)
def test_a_name_with_a_space(shop: Path, prompt: str, paths: list[str]) -> None:
    files = sorted([*FILES, "shop/my wörk.py", "shop/wörk.py"])
    for path in files:
        (shop / path).touch()
    assert paths_in_task(prompt, Workspace.open(shop), files) == paths


def test_a_path_outside_is_refused(shop: Path) -> None:
    with pytest.raises(OutsideWorkspace):
        paths_in_task("Change /etc/passwd", Workspace.open(shop), sorted(FILES))


def test_named_sources_are_the_targets(shop: Path) -> None:
    turn = scripted_turn(shop)
    named = ["tests/test_cart.py", "shop/tax.py"]
    assert targets(turn, named, failed()) == ["shop/tax.py"]
    assert targets(turn, ["README.md"], None) == ["README.md"]


def test_executed_lines_come_before_tracebacks_and_imports(shop: Path) -> None:
    turn = scripted_turn(shop, "Fix it")
    ran = {"shop/tax.py": frozenset({2})}
    result = failed(lines=ran, frames=(("tests/test_cart.py", 5), ("shop/words.py", 2)))
    assert targets(turn, [], result)[:3] == ["shop/tax.py", "shop/words.py", "shop/cart.py"]


def test_the_file_of_the_most_suspicious_function_is_first(shop: Path) -> None:
    turn = scripted_turn(shop, "Fix it")
    ran = {"shop/cart.py": frozenset({5}), "shop/tax.py": frozenset({2})}
    result = failed(lines=ran)
    functions = suspects(turn, result)
    # the test is named test_total
    assert [each.symbol.name for each in functions] == ["total", "rate"]
    assert targets(turn, [], result, functions)[:2] == ["shop/cart.py", "shop/tax.py"]
    assert suspects(turn, None) == suspects(turn, failed()) == []


def test_lines_of_the_first_functions_come_first_a_few_at_a_time() -> None:
    body = [f"    x{n} = {n}" for n in range(8)]
    code = ["def a():", *body, "", "def b():", *body, "", "y = 1"]
    bad = TestResult("t::b", "failed", lines={"f.py": frozenset(range(2, 21))})
    result = CheckResult("pytest", False, 1, False, 0.1, "", (bad,), 0, 1)
    order = suspicious_lines("f.py", code, result, ["b", "a"])
    assert order[:6] == [19, 18, 17, 16, 15, 14]  # b
    assert set(order[6:14]) == {12, 13, *range(4, 10)}  # the rest of b, and six of a
    assert order[-1] == 2
    assert suspicious_lines("f.py", ["def a(:", *body], result, ["a"])[0] == 9


def test_constants_that_a_function_uses_follow_it() -> None:
    code = ["USED = 1", "LONG = [", *["    1,"] * 9, "]", "OTHER = 2", "def f(a):", "    a = 3"]
    code += ["    return LONG[a] + USED", "def g():", "    return OTHER"]
    bad = TestResult("t::b", "failed", lines={"f.py": frozenset({15, 16})})
    result = CheckResult("pytest", False, 1, False, 0.1, "", (bad,), 0, 1)
    assert suspicious_lines("f.py", code, result, ["f"]) == [16, 15, 1]
    assert suspicious_lines("f.py", code, result) == [16, 15]


def test_without_evidence_the_index_ranks(shop: Path) -> None:
    turn = scripted_turn(shop, "Let shout return lower case text")
    assert targets(turn, [], None)[0] == "shop/words.py"


def test_a_line_that_only_failing_tests_run_is_suspicious() -> None:
    code = ["def f(x):", "    if x:", "        return 1", "", "    # none", "    return 2"]
    good = TestResult("t::a", "passed", lines={"f.py": frozenset({2, 3})})
    bad = TestResult("t::b", "failed", lines={"f.py": frozenset({2, 6})})
    result = CheckResult("pytest", False, 1, False, 0.1, "", (good, bad), 1, 1)
    assert suspicious_lines("f.py", code, result) == [6, 2]
    framed = TestResult("t::c", "failed", frames=(("f.py", 2),), lines={"f.py": frozenset({2, 6})})
    result = CheckResult("pytest", False, 1, False, 0.1, "", (good, framed), 1, 1)
    assert suspicious_lines("f.py", code, result) == [2, 6]
    blind = CheckResult("make", False, 1, False, 0.1, "")
    assert suspicious_lines("f.py", code, blind) == [6, 3, 2]


def test_a_frame_without_its_first_folders(shop: Path) -> None:
    turn = scripted_turn(shop)
    output = '  File "/elsewhere/shop/cart.py", line 5, in total\nTypeError: no\n'
    assert not names_source(turn, CheckResult("make", False, 1, False, 0.1, output))
    output = '  File "cart.py", line 5, in total\nTypeError: no\n'
    assert names_source(turn, CheckResult("make", False, 1, False, 0.1, output))
    assert not names_source(turn, CheckResult("make", True, 0, False, 0.1, output))


def test_only_sources_of_traceable_languages_are_traced(shop: Path) -> None:
    turn = scripted_turn(shop)
    traced = ["shop/cart.py", "shop/tax.py", "shop/words.py"]
    assert sources_to_trace(turn, failed()) == traced
    assert sources_to_trace(turn, CheckResult("make", False, 1, False, 0.1, "")) == []


def test_the_file_that_all_failing_tests_reach_comes_first(shop: Path) -> None:
    (shop / "shop/__init__.py").write_text("from shop import words\n")
    (shop / "tests/test_tax.py").write_text("import shop\nfrom shop.tax import rate\n")
    tests = (TestResult(f"tests/test_{name}.py::test_it", "failed") for name in ("cart", "tax"))
    start = CheckResult("make", False, 1, False, 0.1, "", reported=tuple(tests))
    turn = scripted_turn(shop, "Fix it")
    assert targets(turn, [], start)[:4] == [
        *("shop/tax.py", "shop/cart.py", "shop/words.py", "shop/__init__.py")
    ]
