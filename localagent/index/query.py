"""What a query asks for: identifiers, paths, and frames of a traceback."""

from __future__ import annotations

import re
from dataclasses import dataclass

from localagent.code.tracebacks import frames
from localagent.index import tokenizer

_MAX_CHARS = 20_000
_MAX_TERMS = 60
_LOOKED_UP = 40
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_PATH = re.compile(r"[\w@+~.-]*(?:/[\w@+~.-]+)+|[\w@+~-]+\.[A-Za-z]\w{0,7}\b")
_MODULE = re.compile(r"\b[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+\b")
# Words that are in every text.
_ENGLISH = """
    a an and are as at be but by can cannot could do does done for from get gets has have how i
    if in into is it its just let like make makes may me must my need needs new no not now of off
    on only or other our out please shall should so some such than that the their them then there
    these they this to too up us use used uses using want was we what when where which while who
    why will with without work works would you your
"""
_STOP = frozenset(_ENGLISH.split())


@dataclass(frozen=True, slots=True)
class Query:
    """`terms` are words in lower case with their weights (an identifier as written weighs more
    than its parts). `paths` are what looks like paths. `frames` are (path, line), outermost
    first."""

    terms: dict[str, float]
    paths: tuple[str, ...]
    frames: tuple[tuple[str, int], ...]


def parse_query(text: str) -> Query:
    """Read a task, an error message or a list of identifiers.

    Words that are in every task or program stay: the search knows how rare each is.
    """
    text = text[:_MAX_CHARS]
    paths = dict.fromkeys(match.rstrip(".") for match in _PATH.findall(text))
    paths |= dict.fromkeys(match.replace(".", "/") for match in _MODULE.findall(text))
    return Query(_terms(text), tuple(paths), tuple(frames(text)))


def looked_up(asked: Query) -> list[str]:
    """The stored words that answer the heaviest terms of a query, each once."""
    terms = sorted(asked.terms, key=lambda term: -asked.terms[term])[:_LOOKED_UP]
    return list(dict.fromkeys(word for term in terms for word in tokenizer.of_query(term)))


def _terms(text: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    quoted = set(re.findall(r"[`'\"]([A-Za-z_]\w*)(?:\(\))?[`'\"]", text))
    for word in _WORD.findall(text):
        parts = [part.lower() for part in _PART.findall(word)]
        compound = len(parts) > 1 and ("_" in word.strip("_") or word.lower() != word)
        if compound and len(word) > 3:
            _raise(weights, word.lower(), 3.0)
        for part in parts if compound else [word.lower().strip("_")]:
            if len(part) > 2 and part not in _STOP and not part.isdigit():
                _raise(weights, part, 2.0 if word in quoted and not compound else 1.0)
    heaviest = sorted(weights.items(), key=lambda item: -item[1])[:_MAX_TERMS]
    return dict(heaviest)


def _raise(weights: dict[str, float], term: str, weight: float) -> None:
    weights[term] = max(weight, weights.get(term, 0.0))
