"""A chat over a real session with a scripted model: lines in, items out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localagent.events import TurnFinished, TurnStarted
from localagent.models.scripted import ScriptedModel
from localagent.session import RunOptions
from localagent.ui.chat.base import Item, Shown, Wish
from localagent.ui.chat.live import LiveChat, open_chat

ANSWER = "It adds two numbers."
QUESTION = "What does add do?"


@pytest.fixture
def chat(workspace_dir: Path) -> Iterator[Callable[..., LiveChat]]:
    opened: list[LiveChat] = []

    def start(*replies: str, **options: object) -> LiveChat:
        model = ScriptedModel(list(replies))
        opened.append(open_chat(RunOptions(workspace_dir, interactive=True, **options), model))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def outcomes(items: list[Item]) -> list[str]:
    return [item.outcome for item in items if isinstance(item, TurnFinished)]


def test_a_prompt_is_a_turn(chat: Callable) -> None:
    one = chat(ANSWER)
    items = list(one.submit(QUESTION))
    assert outcomes(items) == ["answered"]
    status = one.status()
    assert status.window_used > 0
    assert (status.doing, status.model, status.queued) == ("", "scripted", 0)


def test_a_cancelled_turn_does_not_end_the_session(chat: Callable) -> None:
    one = chat(ANSWER, ANSWER)
    first = one.submit(QUESTION)
    items: list[Item] = []
    for item in first:
        items.append(item)
        if isinstance(item, TurnStarted):
            one.cancel()
    assert outcomes(items) == ["interrupted"]
    assert outcomes(list(one.submit(QUESTION))) == ["answered"]


def test_lines_entered_meanwhile_come_after_the_turn(chat: Callable) -> None:
    one = chat(ANSWER, ANSWER)
    items: list[Item] = []
    for item in one.submit(QUESTION):
        items.append(item)
        if isinstance(item, TurnStarted) and item.turn == 1:
            one.steer("And where is add?")
            assert one.status().queued == 1
    assert outcomes(items) == ["answered", "answered"]


def test_lines_that_wait_are_kept_when_the_turn_is_cancelled(chat: Callable) -> None:
    one = chat(ANSWER)
    items: list[Item] = []
    for item in one.submit(QUESTION):
        items.append(item)
        if isinstance(item, TurnStarted):
            one.steer("And where is add?")
            one.cancel()
    assert outcomes(items) == ["interrupted"]
    assert one.take_queued() == ["And where is add?"]
    assert one.status().queued == 0


def test_a_mistyped_command_names_the_nearest(chat: Callable) -> None:
    (shown,) = chat().submit("/hlep")
    assert shown == Shown("error", "there is no command /hlep", hint="did you mean /help?")


def test_a_path_is_no_command(chat: Callable) -> None:
    one = chat(ANSWER)
    items = list(one.submit("/etc/hosts is what?"))
    assert any(isinstance(item, TurnStarted) for item in items)


def test_quit_is_for_the_front_end(chat: Callable) -> None:
    (wish,) = chat().submit("/quit")
    assert isinstance(wish, Wish)
    assert wish.kind == "quit"
