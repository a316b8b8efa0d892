"""Making room: tool results first, then earlier turns, then earlier steps; what matters stays."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from localagent.agent.planners.react import _call_in
from localagent.context.compaction import Conversation, compact, tokens
from localagent.context.limits import CONTEXT
from localagent.context.prompts import Prompts
from localagent.core.messages import Message
from localagent.tools.base import model_specs
from localagent.tools.registry import standard_tools

read = partial(_call_in, tools=model_specs(standard_tools()))

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "prompts"
LONG = "line of code\n" * 200


def count(text: str) -> int:
    return len(text) // 4 + 1


def call(name: str, path: str = "", body: str = "x") -> Message:
    head = f"{name} path={path}" if path else name
    return Message("assistant", f"I do it.\n```{head}\n{body}\n```")


def talk(*messages: Message, asked: int) -> Conversation:
    return Conversation((Message("system", "rules"), *messages), asked)


LATER = talk(
    Message("user", "Rename add to plus"),
    call("read", "calc.py"),
    Message("user", f"Result of read:\n{LONG}"),
    call("write", "calc.py"),
    Message("user", "Result of write:\nwritten"),
    call("done", body="add is plus now"),
    Message("user", "Now the tests too"),
    call("read", "calc_test.py"),
    Message("user", f"Result of read:\n{LONG}"),
    call("shell", body="python -m pytest"),
    Message("user", f"Result of shell:\n{LONG}"),
    call("read", "other.py"),
    Message("user", "Result of read:\nshort"),
    call("read", "last.py"),
    Message("user", "Result of read:\nlast"),
    asked=7,
)


def make_room(old: Conversation, window: int) -> Conversation | None:
    return compact(old, Prompts(), read, count, window)


def test_the_oldest_results_go_first() -> None:
    new = make_room(LATER, 2700)
    assert new is not None
    assert "left out" in new.messages[3].content and "calc.py" in new.messages[3].content
    assert LONG in new.messages[11].content
    assert new.request == 7 and len(new.messages) == len(LATER.messages)


def test_then_earlier_turns() -> None:
    new = make_room(LATER, 300)
    assert new is not None
    asked = new.messages[new.request].content
    assert "Rename add to plus" in asked and "add is plus now" in asked
    assert "Files changed: calc.py" in asked
    assert "Now:\nNow the tests too" in asked


def test_golden_of_everything_that_can_go() -> None:
    new = make_room(LATER, 10)
    assert new is not None
    assert new.messages[-CONTEXT.recent_messages :] == LATER.messages[-CONTEXT.recent_messages :]
    text = "".join(f"<{m.role}>\n{m.content}\n" for m in new.messages)
    assert text == (GOLDEN / "compacted.txt").read_text()


def test_where_nothing_can_be_freed() -> None:
    assert make_room(talk(Message("user", LONG), asked=1), 10) is None
    new = make_room(LATER, 10)
    assert new is not None
    again = make_room(new, 10)
    assert again is None or tokens(again.messages, count) < tokens(new.messages, count)


step = st.one_of(
    st.tuples(st.just("read"), st.text(max_size=400)),
    st.tuples(st.just("edit"), st.text(max_size=400)),
    st.tuples(st.just("nonsense"), st.text(max_size=400)),
)


@given(
    earlier=st.lists(step, max_size=6),
    now=st.lists(step, max_size=8),
    window=st.integers(1, 3000),
)
def test_it_only_shrinks_and_ends(
    earlier: list[tuple[str, str]], now: list[tuple[str, str]], window: int
) -> None:
    def said(steps: list[tuple[str, str]]) -> list[Message]:
        return [m for name, text in steps for m in (call(name, "a.py"), Message("user", text))]

    first = [Message("user", "before"), *said(earlier), call("done")] if earlier else []
    old = talk(*first, Message("user", "the task"), *said(now), asked=len(first) + 1)
    for _ in range(30):
        new = make_room(old, window)
        if new is None:
            break
        assert tokens(new.messages, count) < tokens(old.messages, count)
        assert "the task" in new.messages[new.request].content
        assert new.messages[0] == old.messages[0]
        kept = min(CONTEXT.recent_messages, 2 * len(now))
        assert new.messages[len(new.messages) - kept :] == old.messages[len(old.messages) - kept :]
        old = new
    else:
        raise AssertionError("it goes on for ever")


def test_thoughts_go_first() -> None:
    thoughtful = [
        replace(m, thought="hm " * 800) if m.role == "assistant" else m for m in LATER.messages
    ]
    new = make_room(Conversation(tuple(thoughtful), LATER.request), 8192)
    assert new is not None
    assert new.messages == LATER.messages
