"""Questions as one thread: what the next prompt repeats, adds, and when it starts anew."""

from __future__ import annotations

from pathlib import Path

from localagent.agent.planners.workflow import Workflow
from localagent.agent.turn import Turn
from localagent.core.events import Event, MessageAdded, Step
from localagent.core.messages import Message
from localagent.history.sessions.conversation import ConversationLog
from tests.doubles.scripted_turn import run_events, scripted_turn

CODE = "def add(a, b):\n    return a - b\n"
QUESTIONS = ("What does add in calc.py do?", "What does mul in more.py do?")


def ask(turn: Turn, *questions: str) -> list[Event]:
    """Ask one after another, with the answers in the conversation; the last one's events."""
    log = ConversationLog()
    events: list[Event] = []
    for question in questions:
        turn.request = type(turn.request)(1, question, conversation=list(log.messages))
        events, _ = run_events(Workflow().plan(turn))
        for event in (MessageAdded("user", question), *events):
            log.record(event)
    return events


def turn_in(folder: Path, **profile: int) -> Turn:
    (folder / "calc.py").write_text(CODE)
    (folder / "more.py").write_text(CODE.replace("add", "mul"))
    return scripted_turn(folder, replies=["One.", "Two."], **profile)


def prompts(turn: Turn) -> list[str]:
    return turn.services.model.prompts  # type: ignore[attr-defined]


def test_the_next_question_continues_the_last_answer(tmp_path: Path) -> None:
    turn = turn_in(tmp_path)
    ask(turn, *QUESTIONS)
    first, second = prompts(turn)
    assert second.startswith(first + "One.")
    assert second.count("def add(a, b):") == 1


def test_piped_text_comes_without_code_unless_it_names_files(tmp_path: Path) -> None:
    turn = turn_in(tmp_path)
    for text, has_code in (("add more", False), ("calc.py:1: in add", True)):
        typed = "what does this say?"
        turn.request = type(turn.request)(1, f"{typed}\n{text}", typed=typed)
        run_events(Workflow().plan(turn))
        assert ("def add(a, b):" in prompts(turn)[-1]) == has_code


def test_changed_code_starts_the_prompt_anew(tmp_path: Path) -> None:
    turn = turn_in(tmp_path)
    log = ConversationLog()
    first, _ = run_events(_question(turn, QUESTIONS[0], []))
    for event in (MessageAdded("user", QUESTIONS[0]), *first):
        log.record(event)
    (tmp_path / "calc.py").write_text(CODE.replace("-", "+"))
    events, _ = run_events(_question(turn, QUESTIONS[0], log.messages))
    (step,) = [e.detail for e in events if isinstance(e, Step) and e.name == "compact"]
    assert step == "the code shown before has changed: asking again with the current code"
    assert "def add(a, b):\n    return a + b" in prompts(turn)[1]
    assert "def add(a, b):\n    return a - b" not in prompts(turn)[1]


def test_a_full_window_starts_the_prompt_anew(tmp_path: Path) -> None:
    turn = turn_in(tmp_path, window=840)
    events = ask(turn, *QUESTIONS)
    (step,) = [e.detail for e in events if isinstance(e, Step) and e.name == "compact"]
    assert step.startswith("the window is full")


def _question(turn: Turn, question: str, conversation: list[Message]):
    turn.request = type(turn.request)(1, question, conversation=list(conversation))
    return Workflow().plan(turn)


def test_the_code_that_is_read_and_the_places_of_the_answer_are_named(tmp_path: Path) -> None:
    (tmp_path / "calc.py").write_text(CODE)
    turn = scripted_turn(tmp_path, QUESTIONS[0], replies=["`add` takes two numbers."])
    events, result = run_events(Workflow().plan(turn))
    assert [e.detail for e in events if isinstance(e, Step) and e.name == "read"] == [
        "reading calc.py:1-2"
    ]
    assert result.sources == ("calc.py:1 add",)


def test_files_that_only_a_piped_text_names_are_not_the_users_words(tmp_path: Path) -> None:
    (tmp_path / "calc.py").write_text(CODE)
    prompt = "fix the error\n\nFrom standard input:\nerror in calc.py line 2"
    turn = scripted_turn(
        tmp_path, prompt, replies=["nothing"] * 9, request={"typed": "fix the error"}
    )
    run_events(Workflow(seconds=0.01).plan(turn))
    assert turn.task_paths == frozenset()
