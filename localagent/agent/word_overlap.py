"""How much of a request's words a piece of code has; rare words count more."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

_Piece = TypeVar("_Piece")

_WORD = re.compile(r"[A-Za-z_]\w*")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_ENDINGS = ("ing", "ed", "es", "s", "e")
_COMMON = frozenset(
    (
        *("an", "and", "are", "as", "assert", "at", "be", "bug", "by", "cls", "do", "does", "don"),
        *("error", "fix", "fixed", "fixes", "for", "from", "if", "in", "is", "it", "its", "no"),
        *("not", "of", "on", "or", "py", "self", "test", "tests", "that", "the", "this", "to"),
        *("use", "when", "with"),
    )
)


def words(text: str) -> frozenset[str]:
    """The words of a text and of the names in it, without endings and without common words."""
    parts = (part.lower() for name in _WORD.findall(text) for part in _PART.findall(name))
    return frozenset(_stem(part) for part in parts if len(part) > 1 and part not in _COMMON)


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


def rarity(groups: Sequence[Collection[str]]) -> Callable[[str], float]:
    """The weight of a word: the fewer groups have it, the more; 0 if none has it."""
    counts = Counter(word for group in groups for word in group)
    return lambda word: math.log(1 + len(groups) / (0.5 + counts[word])) if counts[word] else 0.0


def share(group: Collection[str], query: Collection[str], weight: Callable[[str], float]) -> float:
    """The share of the query's words that a group has, by weight."""
    total = sum(map(weight, query))
    return sum(weight(word) for word in query if word in group) / total if total else 0.0


def by_share(
    pieces: Sequence[_Piece], groups: Sequence[Collection[str]], query: Collection[str]
) -> list[tuple[_Piece, Collection[str]]]:
    """The pieces with their groups of words, first those with the largest share of the query."""
    weight = rarity(groups)
    pairs = zip(pieces, groups, strict=True)
    return sorted(pairs, key=lambda pair: -share(pair[1], query, weight))
