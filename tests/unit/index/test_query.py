"""The words that a query searches for."""

from __future__ import annotations

import pytest

from localagent.index.query import parse_query, search_words


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("what happens on Ctrl-C?", "keyboardinterrupt"),
        ("ctrl+c in a prompt", "sigint"),
        ("the user presses Ctrl D", "eoferror"),
    ],
)
def test_a_key_is_searched_by_what_it_causes(text: str, word: str) -> None:
    assert word in search_words(parse_query(text))


def test_a_word_that_begins_like_a_key_is_no_key() -> None:
    assert "sigint" not in search_words(parse_query("ctrl-click opens"))
