"""The words of code, as they are stored and asked for."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.index import tokenizer


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("parseHTTPHeader", ("parsehttpheader", "pars", "http", "head")),
        ("foo_bar_names", ("foo_bar_names", "foo", "bar", "nam")),
        ("sha256sum", ("sha256sum", "sha", "sum")),
        ("__init__", ("init",)),
        ("retries", ("retry",)),
        ("class", ("class",)),
        ("Überprüfung", ("überprüfung",)),
        ("x1", ()),
        ("_", ()),
        ("a" * 65, ()),
    ],
)
def test_of_a_name(name: str, expected: tuple[str, ...]) -> None:
    assert tokenizer.name_words(name) == expected


def test_counted_and_stored() -> None:
    found = tokenizer.count_words("count(count, count_all) # count them, count them, count them")
    assert found["count"] == 6 and found["count_all"] == 1 and found["them"] == 3
    assert tokenizer.index_text(found).split().count("count") == tokenizer.MOST


@given(st.text() | st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{2,30}", fullmatch=True))
def test_a_name_in_a_text_is_found_by_a_query_for_it(text: str) -> None:
    # What a name is in code; Python's own also have marks that combine with a letter.
    for name in (name for name in text.split() if re.fullmatch(r"[^\W\d]\w*", name)):
        for word in tokenizer.name_words(name):
            assert word == word.lower() and " " not in word
            assert set(tokenizer.query_words(word)) & set(tokenizer.count_words(name))


@pytest.mark.parametrize(
    "forms",
    [
        ("cache", "caches", "cached", "caching"),
        ("stop", "stops", "stopped", "stopping"),
        ("retry", "retries", "retried"),
        ("parse", "parser", "parsing", "parses"),
        ("token", "tokens"),
        ("call", "calls", "called", "caller", "calling"),
        ("class",),
        ("status",),
    ],
)
def test_forms_of_a_word_are_one(forms: tuple[str, ...]) -> None:
    assert len({tokenizer.name_words(form) for form in forms}) == 1


@pytest.mark.parametrize(("word", "name"), [("undone", "undo_from"), ("built", "build_session")])
def test_an_irregular_form_finds_the_base_form(word: str, name: str) -> None:
    assert set(tokenizer.query_words(word)) & set(tokenizer.count_words(name))
