"""Questions of a session: each prompt is the one before it, its answer, and only what is new."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.core.events import Event, ModelRequested, Step, TurnFinished
from localagent.models.base import Profile

FILES = {
    "money.py": "def round_cents(value):\n    return round(value, 2)\n",
    "mailing.py": "def send_reminder(user):\n    return f'to {user}'\n",
    "storing.py": "def archive_invoice(number):\n    return number * 7\n",
}
ABOUT_MONEY = "What does round_cents do?"
ABOUT_MAIL = "What does send_reminder return for a user?"


@pytest.fixture
def folder(workspace_dir: Path) -> Path:
    for name, text in FILES.items():
        (workspace_dir / name).write_text(text)
    return workspace_dir


def asked(events: list[Event]) -> str:
    """The prompt of the last question."""
    return [e.prompt for e in events if isinstance(e, ModelRequested) and e.purpose == "answer"][-1]


def made_anew(events: list[Event]) -> bool:
    return any(isinstance(e, Step) and e.name == "compact" for e in events)


def outcome(events: list[Event]) -> str:
    return [e.outcome for e in events if isinstance(e, TurnFinished)][-1]


def test_a_prompt_begins_with_the_last_one_and_its_answer(start: Callable, folder: Path) -> None:
    run = start(folder, ["It rounds.", "It returns a text.", "No."])
    for question in (ABOUT_MONEY, ABOUT_MAIL, "Is it tested?"):
        assert not made_anew(run.turn(question))
    first, second, third = run.model.prompts
    assert second.startswith(f"{first}It rounds.")
    assert third.startswith(f"{second}It returns a text.")
    for text in FILES.values():
        assert third.count(text.splitlines()[0]) <= 1


def test_code_that_was_not_shown_comes_with_the_next_question(
    start: Callable, folder: Path
) -> None:
    """A window so small that only little code fits to each question."""
    body = "".join(f"    value = value * {n} - value\n" for n in range(30))
    functions = [f"def step_{n}(value):\n{body}    return value + {n}\n" for n in range(60)]
    (folder / "steps.py").write_text("\n\n".join(functions))
    run = start(folder, ["One.", "Two."], profile=Profile(window=4000))
    run.turn("What does step_3 do?")
    run.turn("What does step_47 do?")
    first, second = run.model.prompts
    assert second.startswith(f"{first}One.")
    assert "return value + 3\n" in first and "return value + 47\n" not in first
    assert "return value + 47\n" in second.removeprefix(first)
    assert "return value + 3\n" not in second.removeprefix(first)


def test_changed_code_is_shown_as_it_is_now(start: Callable, folder: Path) -> None:
    run = start(folder, ["It rounds.", "Still.", "Yes."])
    run.turn(ABOUT_MONEY)
    (folder / "money.py").write_text("def round_cents(value):\n    return value // 1\n")
    assert made_anew(run.turn(f"{ABOUT_MONEY} Again, please."))
    run.turn("Are you sure of it?")
    _, second, third = run.model.prompts
    assert "value // 1" in second and "round(value, 2)" not in second
    assert "It rounds." in second
    assert third.startswith(f"{second}Still.")


def test_a_thread_that_no_longer_fits_is_begun_anew(start: Callable, folder: Path) -> None:
    words = " ".join(f"word{n}" for n in range(450))
    run = start(folder, [words] * 8, profile=Profile(window=3000))
    breaks = [made_anew(run.turn(f"{ABOUT_MONEY} {n}")) for n in range(8)]
    assert any(breaks) and not all(breaks[1:])
    assert all("def round_cents" in prompt for prompt in run.model.prompts)


def test_what_was_done_between_is_said(start: Callable, folder: Path) -> None:
    good = "```python\ndef add(a, b):\n    return a + b\n```"
    run = start(folder, ["It rounds.", good, "Two."])
    run.turn(ABOUT_MAIL)
    shown = "return a - b" in asked(run.events)
    run.turn("Fix calc.py so that the tests pass")
    events = run.turn("What else is there of reminders?")
    assert "the check passes" in asked(events)
    assert made_anew(events) == shown  # calc.py has changed


def test_a_resumed_session_goes_on_from_the_very_bytes(start: Callable, folder: Path) -> None:
    first = start(folder, ["It rounds."])
    first.turn(ABOUT_MONEY)
    first.session.close()
    again = start(folder, ["A text."], resume=first.session.id)
    ahead = again.session.planner_for("workflow").opening(
        again.session.services, again.session.conversation
    )
    assert [m.role for m in ahead] == ["system", "user", "assistant"]
    again.turn(ABOUT_MAIL)
    assert again.model.prompts[0].startswith(f"{first.model.prompts[0]}It rounds.")


def test_going_back_goes_back_in_the_prompt(start: Callable, folder: Path) -> None:
    run = start(folder, ["It rounds.", "A text."])
    run.turn(ABOUT_MONEY)
    list(run.session.rewind())
    assert [m.role for m in run.session.planner_for("workflow").opening(
        run.session.services, run.session.conversation
    )] == ["system"]  # fmt: skip


def test_a_secret_stays_hidden_and_the_prompt_the_same(start: Callable, folder: Path) -> None:
    secret = "AKIA" + "Q3EGTIVDK7J2NRLM"
    (folder / "money.py").write_text(f"KEY = '{secret}'\n\n\n{FILES['money.py']}")
    first = start(folder, ["It rounds."])
    first.turn(f"{ABOUT_MONEY} And KEY in money.py?")
    first.session.close()
    again = start(folder, ["A text."], resume=first.session.id)
    again.turn(ABOUT_MAIL)
    assert "⟨secret 1" in first.model.prompts[0]
    assert again.model.prompts[0].startswith(f"{first.model.prompts[0]}It rounds.")
    assert secret not in str(first.events) + str(again.events) + again.model.prompts[0]


def test_a_plan_goes_on_from_the_questions(start: Callable, folder: Path) -> None:
    run = start(folder, ["It rounds.", "1. Change money.py to cents.\n", "Yes."])
    run.turn(ABOUT_MONEY)
    list(run.session.run_plan("round to whole cents"))
    assert outcome(run.turn("Is that all of it?")) == "answered"
    first, plan, last = run.model.prompts
    assert plan.startswith(f"{first}It rounds.")
    assert last.startswith(plan)
