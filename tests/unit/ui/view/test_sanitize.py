"""Untrusted text is harmless after cleaning."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from localagent.ui.view.sanitize import StreamCleaner, clean, one_line

ANY = st.text(st.characters(codec=None), max_size=200)


def harmful(text: str) -> list[str]:
    """What a terminal would obey or not show: controls, format characters, lone surrogates."""
    return [
        c
        for c in text
        if (unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") and c != "\n")
        or unicodedata.bidirectional(c)
        in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    ]


@given(ANY)
def test_nothing_harmful_is_left(text: str) -> None:
    assert harmful(clean(text)) == []
    assert "\n" not in one_line(text)
    assert len(one_line(text, 40)) <= 40


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=200))
def test_plain_text_is_left_as_it_is(text: str) -> None:
    assert clean(text) == text


@given(ANY, st.lists(st.integers(0, 200)))
def test_pieces_clean_as_the_whole_does(text: str, cuts: list[int]) -> None:
    cleaner = StreamCleaner()
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[a:b] for a, b in pairwise(edges)]
    joined = "".join(cleaner.feed(piece) for piece in pieces)
    assert clean(text).removesuffix("\\x0d") == joined.removesuffix("\\x0d")


def test_what_is_hidden_is_shown() -> None:
    assert clean("a\x1b[2Jb\x9bc\u202ed\r\ne\rf\tg") == "a\\x1b[2Jb\\x9bc\\u202ed\ne\\x0df    g"
    assert clean("\U000e0041\udc80") == "\\U000e0041\\udc80"
