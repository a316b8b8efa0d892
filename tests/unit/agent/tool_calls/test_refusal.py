"""The error after a refused action names a next step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from localagent.agent.tool_calls.dispatch import commit, refusal
from localagent.agent.turn import Answer
from localagent.core.changes import Change
from localagent.core.errors import ChangeRefused
from localagent.core.events import Decision, Question
from tests.doubles.scripted_turn import Permission, scripted_turn

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


def test_a_refusal_of_one_of_two_files_says_that_none_is_changed(tmp_path: Path) -> None:
    turn = scripted_turn(tmp_path, verdict=Permission("ask"))
    turn.services = replace(turn.services, interactive=True)
    changes = [Change("a.py", "file", b"a = 1\n"), Change("b.py", "file", b"b = 1\n")]
    answers = [Answer(True, ""), Answer(False, "")]
    with pytest.raises(ChangeRefused, match="the changes of 2 files belong together") as raised:
        for event in commit(turn, "edit", changes):
            if isinstance(event, Question):
                turn.answers[event.id] = answers.pop(0)
    assert raised.value.path == "b.py"
    assert list(tmp_path.iterdir()) == []
