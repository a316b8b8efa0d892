"""What a query asks for: identifiers, paths, and frames of a traceback."""

from __future__ import annotations

import re
from dataclasses import dataclass

_MAX_CHARS = 20_000
_MAX_TERMS = 60
_MAX_COUNT = 50
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_PATH = re.compile(r"[\w@+~.-]*(?:/[\w@+~.-]+)+|[\w@+~-]+\.[A-Za-z]\w{0,7}\b")
_MODULE = re.compile(r"\b[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\b")
_FRAMES = (
    re.compile(r'File "([^"\n]+)", line (\d+)'),
    re.compile(r"(?:^|[\s(])((?:[\w@+~.-]*/)*[\w@+~.-]+\.\w+):(\d+)(?=[:,)\s]|$)", re.M),
)
# Words that are in every text.
_ENGLISH = """
    a an and are as at be but by can cannot could do does done for from get gets has have how i
    if in into is it its just let like make makes may me must my need needs new no not now of off
    on only or other our out please shall should so some such than that the their them then there
    these they this to too up us use used uses using want was we what when where which while who
    why will with without work works would you your
"""
# Words that are in every task, or in every program.
_USUAL = """
    add added adds all any change changed code correct create file files fix fixed fails failing
    fail failed find function functions implement implemented method methods pass passes passing
    program project remove return returned returns right run runs same see show so task test tests
    update wrong write bug error errors expected assert assertion true false none null
    def class import self cls line traceback recent call last most exception raise raised
    instructions md py
"""
_FEW = frozenset(_ENGLISH.split())
_STOP = _FEW | frozenset(_USUAL.split())


@dataclass(frozen=True, slots=True)
class Query:
    """`terms` are words in lower case with their weights (an identifier as written weighs more
    than its parts). `paths` are what looks like paths. `frames` are (path, line), outermost
    first."""

    terms: dict[str, float]
    paths: tuple[str, ...]
    frames: tuple[tuple[str, int], ...]


def parse_query(text: str, *, usual: bool = False) -> Query:
    """Read a task, an error message or a list of identifiers; `usual` keeps the words that are in
    every task or program, for a search that knows how rare each is."""
    text = text[:_MAX_CHARS]
    frames = [
        (path.replace("\\", "/"), int(line[:9]))
        for pattern in _FRAMES
        for path, line in pattern.findall(text)
    ]
    paths = dict.fromkeys(match.rstrip(".") for match in _PATH.findall(text))
    paths |= dict.fromkeys(match.replace(".", "/") for match in _MODULE.findall(text))
    return Query(_terms(text, _FEW if usual else _STOP), tuple(paths), tuple(frames))


def _terms(text: str, stop: frozenset[str]) -> dict[str, float]:
    weights: dict[str, float] = {}
    quoted = set(re.findall(r"[`'\"]([A-Za-z_]\w*)(?:\(\))?[`'\"]", text))
    for word in _WORD.findall(text):
        parts = [part.lower() for part in _PART.findall(word)]
        compound = len(parts) > 1 and ("_" in word.strip("_") or word.lower() != word)
        if compound and len(word) > 3:
            _raise(weights, word.lower(), 3.0)
        for part in parts if compound else [word.lower().strip("_")]:
            if len(part) > 2 and part not in stop and not part.isdigit():
                _raise(weights, part, 2.0 if word in quoted and not compound else 1.0)
    heaviest = sorted(weights.items(), key=lambda item: -item[1])[:_MAX_TERMS]
    return dict(heaviest)


def _raise(weights: dict[str, float], term: str, weight: float) -> None:
    weights[term] = max(weight, weights.get(term, 0.0))


def count_term(data: bytes, lower: bytes, term: str) -> int:
    """How often `term` stands in code, counted up to 50 (more would not change a score).

    `lower` is `data.lower()`. A word counts on its own, as a part of a snake_case or camelCase
    name, and in the plural; an identifier counts in either writing. Bytes are searched, and not
    by a regular expression, because a query goes through all of a repository.
    """
    if "_" in term or not term.isalpha():
        needles = dict.fromkeys((term.encode(), term.replace("_", "").encode()))
        return sum(_count(data, lower, needle, whole=True) for needle in needles)
    return _count(data, lower, _singular(term).encode(), whole=False)


def _singular(term: str) -> str:
    return term.removesuffix("s") if len(term) > 4 and not term.endswith("ss") else term


def _count(data: bytes, lower: bytes, needle: bytes, whole: bool) -> int:
    count = 0
    start = lower.find(needle)
    while start != -1 and count < _MAX_COUNT:
        count += _stands(data, start, start + len(needle), whole)
        start = lower.find(needle, start + 1)
    return count


def _stands(data: bytes, start: int, end: int, whole: bool) -> bool:
    """Whether what is at `start` to `end` is a word (`whole`: an identifier) of its own."""
    before, after = data[start - 1 : start] if start else b"", data[end : end + 3]
    if whole:
        return not before.isalnum() and not after[:1].isalnum()
    hump = data[start : start + 1].isupper() and (before.islower() or before.isdigit())
    if before.isalpha() and not hump:
        return False
    if after[:2] == b"es":
        after = after[2:]
    elif after[:1] == b"s":
        after = after[1:]
    return not after[:1].islower()
