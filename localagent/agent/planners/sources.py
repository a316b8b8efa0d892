"""The places of an answer: the code that its prompt holds, and the definitions it is about."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from localagent.agent.limits import LOOP
from localagent.agent.word_overlap import rarity, share, words
from localagent.code.symbols import Symbol
from localagent.core.messages import Part

# Names as an answer writes them: in backticks, called, joined by "_", or in CamelCase.
_MARKED = re.compile(r"`([^`\n]+)`")
_WORD = re.compile(r"[^\W\d]\w*")
_NAME = re.compile(r"[^\W\d]\w*(?=\()|[^\W\d]\w*_\w+|_\w+|[A-Z]+[a-z]\w*[A-Z]\w*")

_SHARED = 3
"""Least number of words that a definition shares with question and answer to be a source."""


def places(parts: Iterable[Part]) -> str:
    """The files and lines of the code in a prompt, best first: "a.py:3-9, 20-25; b.py:1-4"."""
    spans: dict[str, list[str]] = {}
    for part in parts:
        if part.path:
            lines = [
                f"{first}-{last}" if last > first else f"{first}" for first, last in part.lines
            ]
            spans.setdefault(part.path, []).extend(lines)
    named = [f"{path}:{', '.join(lines[: LOOP.place_spans])}" for path, lines in spans.items()]
    more = len(named) - LOOP.places
    return "; ".join(named[: LOOP.places]) + (f" and {more} more files" if more > 0 else "")


def sources_of(
    question: str,
    answer: str,
    parts: Sequence[Part],
    symbols: Callable[[str], Sequence[Symbol]],
    lines: Callable[[str], Sequence[str]],
) -> list[str]:
    """The definitions that an answer is about and its prompt holds, as "path:line name".

    Those that it names come first, in its order, then the functions that share the most words with
    question and answer. A file that the answer names without a definition comes last. `lines`
    returns the lines of a file.
    """
    names = _names(answer)
    held: dict[str, list[tuple[int, int]]] = {}
    for part in parts:
        if part.path:
            held.setdefault(part.path, []).extend(part.lines)
    named: list[tuple[int, str]] = []
    functions: list[tuple[str, frozenset[str]]] = []
    for path, spans in held.items():
        for symbol in symbols(path):
            text = f"{path}:{symbol.line} {symbol.name}"
            first, last = symbol.line, symbol.end_line
            if any(start <= first <= end for start, end in spans) and symbol.last in names:
                named.append((names[symbol.last], text))
            if symbol.is_callable and any(start <= first and last <= end for start, end in spans):
                code = "\n".join([symbol.name, *lines(path)[first - 1 : last]])
                functions.append((text, words(code)))
    found = [text for _, text in sorted(named)][: LOOP.places - LOOP.sources_by_words]
    found += _by_words(f"{question} {answer}", functions, set(found))
    covered = {text.rpartition(" ")[0].rpartition(":")[0] for text in found}
    for path, spans in held.items():
        if path not in covered and path.rsplit("/", 1)[-1] in answer and spans:
            found.append(f"{path}:{_longest(spans)}")
    return found[: LOOP.places]


def _by_words(
    text: str, functions: Sequence[tuple[str, frozenset[str]]], found: set[str]
) -> list[str]:
    """The functions with the largest share of the text's words, without those that are found."""
    query, weight = words(text), rarity([known for _, known in functions])
    ranked = sorted(functions, key=lambda each: -share(each[1], query, weight))
    best = [name for name, known in ranked if len(known & query) >= _SHARED]
    return [name for name in best[: LOOP.sources_by_words] if name not in found]


def best_source(parts: Sequence[Part]) -> list[str]:
    """The start of the most useful excerpt, for an answer that names no code that it read."""
    paths = [f"{part.path}:{_longest(part.lines)}" for part in parts if part.path and part.lines]
    return paths[-1:]


def _longest(spans: Sequence[tuple[int, int]]) -> int:
    """The first line of the longest span; a short one at a file's start holds its imports."""
    return max(spans, key=lambda span: span[1] - span[0])[0]


def _names(answer: str) -> dict[str, int]:
    """The names in an answer, each with the position of its first mention."""
    found: dict[str, int] = {}
    for match in _NAME.finditer(answer):
        found.setdefault(match[0], match.start())
    for marked in _MARKED.finditer(answer):
        for word in _WORD.finditer(marked[1]):
            found[word[0]] = min(found.get(word[0], len(answer)), marked.start() + word.start())
    return found
