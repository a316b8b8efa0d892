"""Plans as models write them and as users edit them."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.agent.limits import LOOP
from localagent.agent.planners.plan_mode import (
    editable_text,
    moved_step,
    numbered_list,
    read_edited,
    read_reply,
)
from tests.doubles.scripted_turn import scripted_turn

TWO = ["Add a field to Cart in cart.py", "Use it in total()"]


@pytest.mark.parametrize(
    "text",
    [
        "1. Add a field to Cart in cart.py\n2. Use it in total()\n",
        "The plan:\n\n1) **Add a field** to Cart in cart.py\n\n2) Use it in total()\n\nDone!",
        "- Add a field to Cart\n  in cart.py\n- Use it in total()",
        "* [ ] Add a field to Cart in cart.py\n* [ ] Use it in total()",
        "Step 1: Add a field to Cart in cart.py\nStep 2: Use it in total()",
        '["Add a field to Cart in cart.py", "Use it in total()"]',
        '```json\n[{"step": "Add a field to Cart in cart.py"}, {"step": "Use it in total()"}]\n```',
        "1. Add a field to Cart in cart.py\n```python\n1. not = this\n```\n2. Use it in total()",
        "1. Add a field to Cart in cart.py\n2. Use it in total()\n3. Run the tests to verify it.",
        "1. Add a field to Cart in cart.py\n2. Use it in total()\n3. Use it in total()",
        "1. Understand the task\n2. Add a field to Cart in cart.py\n3. Use it in total()\n"
        "4. Review the changes\n5. Verify that it works\n6. Test the cart",
    ],
)
def test_lists_as_models_write_them(text: str) -> None:
    assert read_reply(text) == TWO


def test_parts_of_a_step_belong_to_it() -> None:
    assert read_reply("1. Change a.py:\n   - the name\n2. Change b.py") == [
        "Change a.py: the name",
        "Change b.py",
    ]


@pytest.mark.parametrize("text", ["", "I cannot do that.", "```\n1. code\n```", "[1, 2]", "[{}]"])
def test_what_is_no_plan(text: str) -> None:
    assert read_reply(text) == []


def test_names_with_underscores_stay() -> None:
    step = "In shop/__main__.py: call Cart.__init__ with it"
    assert read_reply(f"1. {step}") == [step]


def test_a_plan_has_an_end() -> None:
    assert (
        len(read_reply("\n".join(f"{n}. Change {n}.py" for n in range(1, 40)))) == LOOP.plan_steps
    )


def test_a_step_that_names_tests_is_kept() -> None:
    assert read_reply("1. Add a test of add() in calc_test.py") == [
        "Add a test of add() in calc_test.py"
    ]


def test_editing_keeps_what_is_done() -> None:
    steps = [
        {"text": "Add it", "state": "done"},
        {"text": "Use it", "state": "failed"},
        {"text": "Try it", "state": "unverified"},
        {"text": "Show it", "state": "left"},
    ]
    text = editable_text("Vouchers\nin the cart", steps)
    assert text == "# Vouchers\n# in the cart\n[x] Add it\n[!] Use it\n[~] Try it\n[ ] Show it\n"
    assert read_edited(text) == steps
    assert numbered_list(steps) == "1. Add it\n2. Use it\n3. Try it\n4. Show it"


def test_the_user_writes_as_he_likes() -> None:
    text = "# a remark\n\n1. First\n- second\n  third in a line of its own\n[X] 4th\n[] fifth"
    assert [(s["text"], s["state"]) for s in read_edited(text)] == [
        ("First", "left"),
        ("second", "left"),
        ("third in a line of its own", "left"),
        ("4th", "done"),
        ("fifth", "left"),
    ]
    assert read_edited("# nothing\n\n") == []


@pytest.mark.parametrize(
    ("step", "moved"),
    [
        ("In report.py: change `main` so that it reads --week", "In cli.py: change `main`"),
        ("In report.py: fix parse_args() for --week", "In cli.py: fix parse_args()"),
        ("In report.py: change `total` so that it calls `main`", ""),
        ("In report.py: use parse_args() in total", ""),
        ("In report.py: change `nowhere` a bit", ""),
        ("In cli.py: change `main` so that it reads --week", ""),
        ("In a new file week.py: add a function main", ""),
    ],
)
def test_a_step_moves_to_the_file_that_defines_what_it_changes(
    tmp_path: Path, step: str, moved: str
) -> None:
    (tmp_path / "report.py").write_text("def total(works):\n    return sum(works)\n")
    (tmp_path / "cli.py").write_text("def main():\n    pass\n\n\ndef parse_args():\n    pass\n")
    turn = scripted_turn(tmp_path)
    assert moved_step(step, turn.services).startswith(moved or step)
