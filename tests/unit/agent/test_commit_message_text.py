"""Commit messages as small models write them, and what is made of them."""

from __future__ import annotations

import pytest

from localagent.agent.small_tasks import WIDTH, cut_subject, tidy


@pytest.mark.parametrize(
    "reply",
    [
        "Add a parser for dates",
        "Add a parser for dates.\n",
        '"Add a parser for dates"',
        "**Add a parser for dates**",
        "# Add a parser for dates",
        "- Add a parser for dates",
        "```\nAdd a parser for dates\n```",
        "```text\nAdd a parser for dates",
        "Here is the commit message:\n\n```\nAdd a parser for dates\n```\nIt says what changes.",
        "Sure! Here's a commit message for this diff:\n\nAdd a parser for dates",
        "Commit message: Add a parser for dates",
        'Subject: "Add a parser for dates"',
        "Added a parser for dates",
        "Adds a parser for dates",
        "adding a parser for dates",
        "1. Add a parser for dates",
        "Add a parser for dates\n\nThis commit adds a parser.\n",
    ],
)
def test_a_subject_is_found_in_what_is_around_it(reply: str) -> None:
    assert tidy(reply, body=False) == "Add a parser for dates"


@pytest.mark.parametrize(
    ("reply", "subject"),
    [
        ("Fixed the sign", "Fix the sign"),
        ("Removing dead code", "Remove dead code"),
        ("Simplifies parsing", "Simplify parsing"),
        ("Stopped the clock early", "Stop the clock early"),
        ("Fix: Adjusts the end of the day", "Adjust the end of the day"),
        ("fix: the sign in add", "fix: the sign in add"),
        ("parser: handle empty lines", "parser: handle empty lines"),
        ("String handling in parse", "String handling in parse"),
        ("Use `x` in parse()", "Use `x` in parse()"),
    ],
)
def test_the_verb_is_put_into_the_imperative(reply: str, subject: str) -> None:
    assert tidy(reply, body=False) == subject


@pytest.mark.parametrize(
    "reply",
    [
        *("", "   \n\n", "```\n```", "!!!", "ok", "I'm sorry, but I cannot write that."),
        *(
            "diff --git a/x b/x\n+1",
            "@@ -1 +1 @@",
            "+    return a + b",
            "<tool_call>{}</tool_call>",
        ),
        *('{"subject": "Add x"}', "Here is the commit message:", "Signed-off-by: A <a@b>"),
    ],
)
def test_what_is_no_message(reply: str) -> None:
    assert tidy(reply, body=False) is None


def test_a_body_is_wrapped_and_bare() -> None:
    reply = (
        "Add dates\n\n"
        "* a parser that reads the day, the month and the year in any order that people write\n"
        "- **tests** for `it`\n# a heading\nCo-authored-by: A Model <model@localhost>\n"
    )
    assert tidy(reply, body=True) == (
        "Add dates\n\n"
        "- a parser that reads the day, the month and the year in any order that\n"
        "  people write\n- tests for it\na heading"
    )


def test_a_long_subject_is_cut_at_a_word_and_kept_whole_below() -> None:
    long = "Add a parser for dates that reads the day and the month and the year in any order"
    message = tidy(long, body=False)
    assert message is not None
    subject, empty, *body = message.split("\n")
    assert subject == "Add a parser for dates that reads the day and the month and the year"
    assert (empty, " ".join(body)) == ("", long)


@pytest.mark.parametrize("text", ["x" * 200, "word " * 40, "ä" * 73, "a b " + "c" * 100])
def test_no_line_is_longer_than_72(text: str) -> None:
    assert 0 < len(cut_subject(text.strip())) <= WIDTH


def test_a_long_body_ends() -> None:
    message = tidy("Add x to y\n" + "- and more\n" * 100, body=True)
    assert message is not None
    assert len(message.splitlines()) == 10
