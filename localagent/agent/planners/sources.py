"""The places of an answer: the code that its prompt holds, and the definitions it is about.

A small model often names the right file and no definition, or a definition of the map. These count,
and so does the best definition of the best excerpt. Of the 20 questions of
`scripts/bench questions` on which nothing was chosen, 13 then cite a right place instead of 11. Of
the other 20, 16 do instead of 13.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from localagent.agent.limits import LOOP
from localagent.agent.word_overlap import rarity, share, words
from localagent.code.symbols import Symbol
from localagent.context.builder import Symbols, listed_names
from localagent.context.excerpt import Lines
from localagent.core.messages import Part

# Names as an answer writes them: in backticks, called, joined by "_", or in CamelCase.
_MARKED = re.compile(r"`([^`\n]+)`")
_WORD = re.compile(r"[^\W\d]\w*")
_NAME = re.compile(r"[^\W\d]\w*(?=\()|[^\W\d]\w*_\w+|_\w+|[A-Z]+[a-z]\w*[A-Z]\w*")

_SHARED = 3
"""Least number of words that a definition shares with question and answer to be a source."""


def places(parts: Iterable[Part]) -> str:
    """The files and lines of the code in a prompt, best first: "a.py:3-9, 20-25; b.py:1-4"."""
    named = [
        f"{path}:{', '.join(map(_range, spans[: LOOP.place_spans]))}"
        for path, spans in _spans_of(parts).items()
    ]
    more = len(named) - LOOP.places
    return "; ".join(named[: LOOP.places]) + (f" and {more} more files" if more > 0 else "")


def _range(span: tuple[int, int]) -> str:
    return f"{span[0]}-{span[1]}" if span[1] > span[0] else f"{span[0]}"


@dataclass(frozen=True, slots=True)
class _Definition:
    """A definition in a prompt, with the words of its name and of its code that is shown, and
    whether the code is whole; the map shows only the name."""

    symbol: Symbol
    words: frozenset[str]
    whole: bool

    @property
    def source(self) -> str:
        return f"{self.symbol.path}:{self.symbol.line} {self.symbol.name}"


def sources_of(
    question: str, answer: str, parts: Sequence[Part], symbols: Symbols, lines: Lines
) -> list[str]:
    """The definitions that an answer is about and its prompt shows, as "path:line name".

    Those that it names come first, in its order, then the functions that share the most words with
    question and answer. Of another file that the answer names, its best definition comes last.
    `lines` returns the lines of a file.
    """
    names = _names(answer)
    query = words(f"{question} {answer}")
    shown = _definitions(parts, symbols, lines)
    every = [each for found in shown.values() for each in found]
    named = [each for each in every if each.symbol.last in names]
    named.sort(key=lambda each: (names[each.symbol.last], not _names_file(answer, each)))
    chosen = named[: LOOP.places - LOOP.sources_by_words]
    functions = [each for each in every if each.whole and each.symbol.is_callable]
    alike = [each for each in _ranked(functions, query) if len(each.words & query) >= _SHARED]
    chosen += [each for each in alike[: LOOP.sources_by_words] if each not in chosen]
    found = [each.source for each in chosen]
    covered = {each.symbol.path for each in chosen}
    spans = _spans_of(parts)
    for path in shown:
        if path not in covered and path.rsplit("/", 1)[-1] in answer:
            best = [each.source for each in _ranked(shown[path], query)]
            if best:
                found.append(best[0])
            elif spans.get(path):
                found.append(f"{path}:{_longest(spans[path])}")
    return found[: LOOP.places]


def best_source(question: str, parts: Sequence[Part], symbols: Symbols, lines: Lines) -> list[str]:
    """The definition that shares the most words with the question, of the most useful excerpt."""
    last = [part for part in parts if part.path and part.lines][-1:]
    for path, shown in _definitions(last, symbols, lines).items():
        best = [each.source for each in _ranked(shown, words(question))]
        return best[:1] or [f"{path}:{_longest(last[0].lines)}"]
    return []


def _definitions(
    parts: Sequence[Part], symbols: Symbols, lines: Lines
) -> dict[str, list[_Definition]]:
    """The definitions that excerpts show, and those that the map only lists, by path."""
    spans, listed = _spans_of(parts), listed_names(part.text for part in parts if not part.path)
    found: dict[str, list[_Definition]] = {}
    for path in dict.fromkeys([*spans, *listed]):
        found[path] = []
        for symbol in symbols(path):
            first, last = symbol.line, symbol.end_line
            span = next((s for s in spans.get(path, ()) if s[0] <= first <= s[1]), None)
            if span is None and symbol.last not in listed.get(path, ()):
                continue
            end = min(last, span[1]) if span else 0
            code = "\n".join([symbol.name, *lines(path)[first - 1 : end]])
            found[path].append(_Definition(symbol, words(code), bool(span) and last <= end))
    return found


def _spans_of(parts: Iterable[Part]) -> dict[str, list[tuple[int, int]]]:
    """The lines that a prompt shows of each file."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for part in parts:
        if part.path:
            spans.setdefault(part.path, []).extend(part.lines)
    return spans


def _ranked(shown: Iterable[_Definition], query: frozenset[str]) -> list[_Definition]:
    """Sort definitions by their share of the query's words, the largest share first."""
    known = list(shown)
    weight = rarity([each.words for each in known])
    return sorted(known, key=lambda each: -share(each.words, query, weight))


def _names_file(answer: str, shown: _Definition) -> bool:
    return shown.symbol.path.rsplit("/", 1)[-1] in answer


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
