"""What was said before: the last exchanges, without tool calls, within a budget."""

from __future__ import annotations

from localagent.context.conversation import earlier_messages, exchanges, with_subject
from localagent.core.messages import Message

TALK = [
    Message("user", "What does parse_header do?"),
    Message("assistant", "It splits a header."),
    Message("user", "Fix it"),
    Message("assistant", "CALL read"),
    Message("user", "Result: text"),
    Message("assistant", "fixed"),
    Message("user", "This one was interrupted"),
    Message("user", "Where is it tested?"),
    Message("assistant", "In tests. " * 200),
]


def is_call(text: str) -> bool:
    return text.startswith("CALL")


def words(text: str) -> int:
    return len(text.split())


def test_exchanges() -> None:
    found = exchanges(TALK, is_call)
    assert [asked for asked, _ in found] == [
        "What does parse_header do?",
        "Fix it",
        "Where is it tested?",
    ]
    assert found[1] == ("Fix it", "fixed")
    assert exchanges([], is_call) == []


def test_the_last_ones_that_fit() -> None:
    before = exchanges(TALK, is_call)
    found = earlier_messages(before, words, 10_000)
    assert [m.role for m in found] == ["user", "assistant"] * 2
    assert found[0].content == "Fix it" and found[-1].content.endswith("…")
    assert earlier_messages(before, words, 5) == []
    assert [m.content for m in earlier_messages(before[:2], words, 3)] == ["Fix it", "fixed"]


def test_a_question_of_few_words_brings_its_subject() -> None:
    before = [("What does parse_header do?", "It splits a header.")]
    assert "parse_header" in with_subject("and where is that tested?", before)
    long = "where are the retries of the download counted and reported"
    assert with_subject(long, before) == long
    assert with_subject("why?", []) == "why?"


def test_a_native_result_is_no_request() -> None:
    talk = [
        Message("user", "Fix it"),
        Message("assistant", "CALL read", calls=("read",)),
        Message("tool", "Result: text"),
        Message("user", "And name it y"),
        Message("assistant", "fixed"),
    ]
    assert exchanges(talk, is_call) == [("And name it y", "fixed")]
