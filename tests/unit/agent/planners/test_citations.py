"""Citations of an answer name lines that the model was shown, before the user sees them."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from localagent.agent.model_calls import Reply
from localagent.agent.planners.citations import Citations, checked
from localagent.agent.planners.workflow import Workflow
from localagent.core.events import Event, ModelReplied, TextDelta
from localagent.core.messages import Part
from localagent.models.base import Usage
from tests.doubles.scripted_turn import run_events, scripted_turn

PARTS = (Part("…", "shop/cart.py", "a1", ((10, 20), (40, 45))), Part("a map"))
FILES = ("shop/cart.py", "shop/mail.py")


@pytest.mark.parametrize(
    ("text", "corrected"),
    [
        ("see shop/cart.py:12.", "see shop/cart.py:12."),
        ("see `cart.py:12-14`", "see `cart.py:12-14`"),
        ("see cart.py:12-99", "see cart.py:12"),
        ("see cart.py:300", "see cart.py:45"),
        ("see (./shop/cart.py:3)", "see (./shop/cart.py:10)"),
        ("see shop/mail.py:7", "see shop/mail.py"),
        ("see made_up.py:7", "see a file that does not exist"),
        (
            "at 10:30 on example.com:443, http://a.py:80",
            "at 10:30 on example.com:443, http://a.py:80",
        ),
        ("art.py:12", "a file that does not exist"),
    ],
)
def test_wrong_places_are_corrected_or_removed(text: str, corrected: str) -> None:
    assert Citations(PARTS, FILES).correct(text) == corrected


def _stream(*pieces: str) -> Generator[Event, None, Reply]:
    yield from map(TextDelta, pieces)
    text = "".join(pieces)
    yield ModelReplied("answer", text, "stop", 1, 0, 1, 0.0, 0.0)
    return Reply(text, "stop", Usage())


def test_a_citation_in_pieces_is_checked_before_it_appears() -> None:
    events, reply = run_events(
        checked(_stream("It is in ca", "rt.py:", "30", "0 and"), Citations(PARTS, FILES).correct)
    )
    said = [event.text for event in events if isinstance(event, TextDelta)]
    assert said == ["It is in ", "cart.py:45 ", "and"]
    assert reply.text == "It is in cart.py:45 and"
    assert isinstance(events[-1], ModelReplied)


def test_an_answer_is_recorded_with_right_citations(tmp_path: Path) -> None:
    (tmp_path / "calc.py").write_text("def add(a, b):\n    return a - b\n")
    turn = scripted_turn(tmp_path, "What does add in calc.py do?", replies=["See calc.py:77."])
    _, result = run_events(Workflow().plan(turn))
    assert result.summary == "See calc.py:2."


def test_an_answer_without_a_name_cites_the_best_excerpt(tmp_path: Path) -> None:
    (tmp_path / "calc.py").write_text("def add(a, b):\n    return a - b\n")
    turn = scripted_turn(tmp_path, "What does add in calc.py do?", replies=["It subtracts."])
    _, result = run_events(Workflow().plan(turn))
    assert result.sources == ("calc.py:1 add",)
