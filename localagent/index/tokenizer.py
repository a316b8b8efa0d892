"""Splits code and queries into the words that the full-text tables store.

An identifier counts as a whole and by its parts: `parseHTTPHeader` gives `parsehttpheader`, `pars`,
`http` and `head`. On 284 bug-fix commits (issue 4's table), a search with parts finds 2 more of 100
files than with whole identifiers alone. Stems in place of singulars find 4 more among the first ten
(160 fixes of click, black, celery and scrapy).
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache

_NAME = re.compile(r"[^\W\d]\w*")
_BREAK = re.compile(
    r"_+|(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][^\W\d_A-Z])|(?<=[^\d_])(?=\d)|(?<=\d)(?=[^\d_])"
)

_ENDINGS = ("ing", "ed", "er")
# Forms of irregular verbs in questions, with the form that names and docstrings have. With them,
# `scripts/bench questions --shown` finds 16 of 20 instead of 15 on the half looked at, and 14 of 20
# as before on the other.
_BASES = {
    "begun": "begin",
    "bound": "bind",
    "broken": "break",
    "built": "build",
    "chosen": "choose",
    "done": "do",
    "drawn": "draw",
    "found": "find",
    "frozen": "freeze",
    "given": "give",
    "held": "hold",
    "hidden": "hide",
    "kept": "keep",
    "known": "know",
    "left": "leave",
    "lost": "lose",
    "made": "make",
    "met": "meet",
    "overridden": "override",
    "ran": "run",
    "rebuilt": "rebuild",
    "rewritten": "rewrite",
    "sent": "send",
    "shown": "show",
    "spent": "spend",
    "taken": "take",
    "thrown": "throw",
    "told": "tell",
    "undone": "undo",
    "withdrawn": "withdraw",
    "written": "write",
}

LONGEST = 64
"""Most characters of a name; a longer word is data."""

MOST = 4
"""The most times that a word is stored for one text.

The value was measured on 120 fixes of click, flask and black, and on a repository of 3.2 million
lines. With a limit of 2, the mean reciprocal rank is 71.1, and the index has 0.72 of the source's
size. A limit of 4 gives 74.4 and 0.77; a limit of 10 gives 75.2 and 0.81. These sizes include the
words of whole files, which are no longer stored."""


@lru_cache(maxsize=200_000)
def name_words(name: str) -> tuple[str, ...]:
    """The words of an identifier, in lower case: the whole first, then its parts.

    Names of one or two letters give no words.
    """
    if len(name) > LONGEST:
        return ()
    whole = name.strip("_").lower()
    if len(whole) < 3:
        return ()
    parts = [part.lower() for part in _BREAK.split(name) if len(part) > 2 and not part.isdigit()]
    if not parts or parts == [whole]:
        return (_stem(whole),)
    return (whole, *map(_stem, parts))


def count_words(text: str) -> Counter[str]:
    """Count how often each word is in a text."""
    found: dict[str, int] = {}
    get = found.get
    for name, count in Counter(_NAME.findall(text)).items():
        for word in name_words(name):
            found[word] = get(word, 0) + count  # a Counter would run Python code for each new word
    return Counter(found)


def index_text(words: Counter[str]) -> str:
    """The text for the full-text tables, with each word at most `MOST` times."""
    return " ".join(
        " ".join([word] * min(count, MOST)) if count > 1 else word for word, count in words.items()
    )


def query_words(term: str) -> tuple[str, ...]:
    """The stored forms of a lower-case word of a query."""
    base = _BASES.get(term, term)
    return tuple(dict.fromkeys((term, _stem(term), _stem(base))))


def _stem(word: str) -> str:
    """The stem of an English word: "caching", "cached" and "caches" are "cach"."""
    if len(word) > 4 and word.endswith(("ies", "ied")):
        return word[:-3] + "y"
    if len(word) > 4 and word[-1] == "s" and word[-2] not in "su":
        word = word[:-1]
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) > len(ending) + 3:
            word = word[: -len(ending)]
            doubled = word[-1] == word[-2] and word[-1] not in "lsz"  # "stopp", but not "fall"
            word = word[:-1] if doubled else word
            break
    return word[:-1] if len(word) > 3 and word[-1] == "e" else word
