"""What a step of a plan asks for, held against a change."""

from __future__ import annotations

import re

import pytest

from localagent.agent.intent import new_function, new_names, step_fault, step_text
from localagent.agent.planners.plan_mode import plan_grammar

CODE = '"""Sums."""\n\n\ndef total(works):\n    return sum(works)\n'
PROMPT = "In report.py: add `mean` to it.\n\nThis is step 1 of 2 of a plan for this task: x\nDo it."


def test_its_own_text_of_its_turn_s_prompt() -> None:
    assert step_text(PROMPT) == "add `mean` to it."
    assert step_text("In a new file shop/a.py: add a class\n") == "add a class"
    assert step_text("Mend total") == "Mend total"


@pytest.mark.parametrize(
    ("step", "names"),
    [
        ("add a function `mean` that calls `total`", ["mean"]),
        ("call mean() and Report.of() in total", ["mean", "of"]),
        ("use read_rates from rates.py in total()", ["read_rates"]),
        ("add the option --csv to the command", []),
        ("move it to other_file.py", []),
        ("let it be `2 * works`", []),
        ("read `rates.toml` and `shop/cart.py` as my_mod/x.py does", []),
        ("return `None` or a `list`, as `sum()` does", []),
        ("call `mean()` and Report.of()", ["mean", "of"]),
    ],
)
def test_the_names_that_are_new(step: str, names: list[str]) -> None:
    assert new_names(step, CODE) == names


@pytest.mark.parametrize(
    ("step", "name"),
    [
        ("add a new function `mean` that takes works", "mean"),
        ("add a function called mean_of.", "mean_of"),
        ("add a parameter to the function `total`", ""),
        ("add a class Mean", ""),
        ("add a function taking works", ""),
        ("add a helper function to report.py", ""),
    ],
)
def test_the_function_that_is_added(step: str, name: str) -> None:
    assert new_function(step, CODE) == name


def test_what_is_not_done() -> None:
    more = CODE + "\n\ndef mean(works):\n    return total(works) / len(works)\n"
    assert step_fault("add a function `mean`", "report.py", CODE, more) == ""
    assert "mean" in step_fault(
        "add a function `mean`", "report.py", CODE, CODE + "\n\nmeaning = 1\n"
    )
    less = CODE.replace('"""Sums."""\n\n\n', "")
    assert "only removes lines" in step_fault("round what it returns", "report.py", CODE, less)
    assert step_fault("remove the docstring", "report.py", CODE, less) == ""
    assert step_fault("remove the unused `mean`", "report.py", CODE, less) == ""


@pytest.mark.parametrize(
    ("task", "sign", "allowed"),
    [
        ("add a cache", "修", False),
        ("add a cache", "カ", False),
        ("add a cache", "é", True),
        ("add a cache", "→", True),
        ("添加缓存", "修", True),
    ],
)
def test_a_plan_has_signs_of_the_task_s_language(task: str, sign: str, allowed: bool) -> None:
    grammar = plan_grammar(["a.py"], task)
    classes = re.search(r"^sign ::= (\[.*?\]) \| \"\.\" (\[.*?\])$", grammar, re.MULTILINE)
    assert classes is not None
    assert [bool(re.fullmatch(each, sign)) for each in classes.groups()] == [allowed, allowed]
