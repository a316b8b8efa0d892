"""Questions about a hunk: three in turn, and only a line that the hunk adds is a place."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.agent.review.hunks import Hunk
from localagent.agent.review.questions import LIMITS, ask_about, related_definitions
from localagent.context.prompts import Prompts
from localagent.core.findings import CodeFinding
from localagent.models.scripted import ScriptedModel
from tests.doubles.scripted_turn import PythonIndex

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "prompts" / "review.txt"
HUNK = Hunk(
    *("shop/cart.py", "shop/cart.py", 10),
    (" def total(items):", "-    return price(sum(items))", "+    return price(max(items))", " "),
)
DEFINITIONS = "shop/price.py:1\ndef price(cents):\n    return cents / 100"


def ask(*replies: str) -> tuple[CodeFinding | None, ScriptedModel]:
    model = ScriptedModel(list(replies))
    return ask_about(model, Prompts(), HUNK, DEFINITIONS, lambda _event: None), model


def test_a_confirmed_mistake_is_a_finding() -> None:
    found, model = ask("yes", "Line 11: max is no sum.", "yes")
    assert found == CodeFinding("review", "warning", "max is no sum.", "shop/cart.py", 11, "low")
    assert [request.choices for request in model.requests] == [("no", "yes"), (), ("no", "yes")]
    assert "\n\n".join(model.prompts) + "\n" == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "replies",
    [
        ("no",),
        ("yes", "something is wrong"),
        ("yes", "10: a line that the diff does not add"),
        ("yes", "99: no such line"),
        ("yes", "11: max is no sum", "no"),
    ],
)
def test_other_answers_are_none(replies: tuple[str, ...]) -> None:
    found, model = ask(*replies)
    assert found is None and len(model.requests) == len(replies)


def test_a_long_hunk_is_cut_at_a_line() -> None:
    long = Hunk("a.py", "a.py", 1, tuple(f"+    value_{n} = {n}" for n in range(2000)))
    model = ScriptedModel(["no"])
    ask_about(model, Prompts(), long, "(none)", lambda _event: None)
    assert model.count(model.prompts[0]) < LIMITS.hunk_tokens + 200


def test_definitions_that_the_hunk_calls_come_along(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/price.py").write_text("def price(cents):\n    return cents / 100\n")
    (tmp_path / "shop/cart.py").write_text("\n" * 9 + "def total(items):\n    return 1\n")

    def read(path: str) -> str:
        return (tmp_path / path).read_text()

    assert related_definitions(HUNK, PythonIndex(tmp_path), read) == DEFINITIONS
    (tmp_path / "shop/price.py").unlink()
    assert related_definitions(HUNK, PythonIndex(tmp_path), read) == "(none)"
