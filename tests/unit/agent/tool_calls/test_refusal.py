"""The error after a refused action names a next step."""

from __future__ import annotations

from localagent.agent.tool_calls.dispatch import refusal
from localagent.core.events import Decision

HINT = "send the task again for another change, or say why not when you are asked"


def test_the_user_learns_how_to_get_another_change() -> None:
    error = refusal(Decision("edit", "a.py", False, "user", "use a comprehension"))
    assert error.message == "edit of a.py was refused: use a comprehension"
    assert error.hint == HINT


def test_a_rule_has_named_itself() -> None:
    assert not refusal(Decision("edit", "a.py", False, "rule", "rule 1 of the project")).hint


def test_the_model_gets_the_reason_without_the_users_hint() -> None:
    error = refusal(Decision("shell", "ls", False, "user", "no"), ends_turn=False)
    assert (error.message, error.hint) == ("shell of ls was refused: no", "")
