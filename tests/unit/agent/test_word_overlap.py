"""Words of requests and of code, and how much they share."""

from __future__ import annotations

from localagent.agent.word_overlap import rarity, share, words


def test_words_have_no_endings_and_no_common_words() -> None:
    assert words("Fixes the parsing of HTTPHeaders in get_header(x)") == {
        *("pars", "http", "header", "get"),
    }


def test_a_rare_word_counts_more_than_a_common_one() -> None:
    groups = [words("parse header"), words("parse body"), words("parse line")]
    weight = rarity(groups)
    query = words("where is the header parsed?")
    assert weight("unknown") == 0.0
    assert weight("header") > weight("pars")
    assert share(groups[0], query, weight) == 1.0
    assert 0 < share(groups[1], query, weight) < 0.5
    assert share(groups[0], words("unknown"), weight) == 0.0
