"""The places of an answer: the code that its prompt holds, and the definitions that it names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from localagent.agent.limits import LOOP
from localagent.code.symbols import Symbol
from localagent.core.messages import Part

# Names as an answer writes them: in backticks, called, joined by "_", or in CamelCase.
_MARKED = re.compile(r"`([^`\n]+)`")
_WORD = re.compile(r"[^\W\d]\w*")
_NAME = re.compile(r"[^\W\d]\w*(?=\()|[^\W\d]\w*_\w+|_\w+|[A-Z]+[a-z]\w*[A-Z]\w*")

_SHARED = 2
"""Least number of an answer's names that a definition uses, so that the answer is about it."""


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
    answer: str,
    parts: Sequence[Part],
    symbols: Callable[[str], Sequence[Symbol]],
    lines: Callable[[str], Sequence[str]],
) -> list[str]:
    """The definitions that `answer` names and its prompt holds, as "path:line name".

    They come in the answer's order, then the definition that uses the most other names of the
    answer. A file that the answer names without a definition comes last. `lines` returns the lines
    of a file.
    """
    names = _names(answer)
    held: dict[str, list[tuple[int, int]]] = {}
    for part in parts:
        if part.path:
            held.setdefault(part.path, []).extend(part.lines)
    matches: list[tuple[int, str, str]] = []
    for path, spans in held.items():
        for symbol in symbols(path):
            name = symbol.name.rsplit(".", 1)[-1]
            inside = any(first <= symbol.line <= last for first, last in spans)
            if inside and name in names:
                matches.append((names[name], f"{path}:{symbol.line} {symbol.name}", path))
    others = names.keys() - {text.rsplit(" ", 1)[-1].rsplit(".", 1)[-1] for _, text, _ in matches}
    used: list[tuple[int, str, str]] = []
    for path, spans in held.items():
        for symbol in filter(lambda each: each.is_callable, symbols(path)):
            first, last = symbol.line, symbol.end_line
            if any(start <= first and last <= end for start, end in spans):
                words = set(_WORD.findall("\n".join(lines(path)[first - 1 : last])))
                used.append((len(others & words), f"{path}:{first} {symbol.name}", path))
    shared, text, path = max(used, default=(0, "", ""))
    if shared >= _SHARED and text not in {each for _, each, _ in matches}:
        matches.append((len(answer), text, path))
    covered = {path for _, _, path in matches}
    for path, spans in held.items():
        file = path.rsplit("/", 1)[-1]
        if path not in covered and file in answer and spans:
            matches.append((len(answer) + answer.index(file), f"{path}:{_longest(spans)}", path))
    return [text for _, text, _ in sorted(matches)][: LOOP.places]


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
