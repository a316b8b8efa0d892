"""What the best passages depend on: the definitions that they use, and their files' imports."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from math import sqrt

from localagent.code.file_kinds import is_test
from localagent.code.symbols import Symbol
from localagent.context.excerpt import Span
from localagent.context.limits import CONTEXT
from localagent.index.base import Passage
from localagent.index.chunks import chunks

Lines = Callable[[str], Sequence[str]]
"""The lines of a file."""

Symbols = Callable[[str], Sequence[Symbol]]
"""The definitions of a file."""

_NAME = re.compile(r"[^\W\d]\w+")
_IMPORT = re.compile(r"(?:import|from|use|using|require|#\s*include)\b")
_OPEN, _CLOSE = "([{", ")]}"


def with_used_definitions(
    passages: Sequence[Passage], lines: Lines, symbols: Symbols
) -> list[Passage]:
    """The passages, best first, with the definitions that the best of them use raised or added.

    A fix is often one call away from the code that matches the query. Definitions come from the
    passages' files only.
    """
    result = {(p.path, p.line): p for p in passages}
    definitions = _by_name(dict.fromkeys(p.path for p in passages), lines, symbols)
    best = (passages[0].score if passages else 0.0) or 1.0
    gains: dict[tuple[str, int], float] = defaultdict(float)
    for rank, user in enumerate(passages[: CONTEXT.using_passages]):
        text = "\n".join(lines(user.path)[user.line - 1 : user.end_line])
        weight = CONTEXT.used_score * user.score / best * CONTEXT.using_decay**rank
        for name in set(_NAME.findall(text)):
            here = user.path, user.line
            used = [d for d in definitions.get(name, ()) if (d.path, d.line) != here]
            for definition in used:
                key = definition.path, definition.line
                result.setdefault(key, definition)
                gains[key] = max(gains[key], weight / sqrt(len(used)))
    raised = [replace(p, score=p.score + gains[key]) for key, p in result.items()]
    return sorted(raised, key=lambda p: (is_test(p.path), -p.score))


def _by_name(paths: Iterable[str], lines: Lines, symbols: Symbols) -> dict[str, list[Passage]]:
    """The definitions of files as passages, by the last part of their names."""
    result: dict[str, list[Passage]] = defaultdict(list)
    sources = [path for path in paths if not is_test(path)]
    for path in sources[: CONTEXT.definition_files]:
        for chunk in chunks(symbols(path), len(lines(path))):
            if chunk.name:
                passage = Passage(path, chunk.name, chunk.line, chunk.end_line, 0.0)
                result[chunk.name.rsplit(".", 1)[-1]].append(passage)
    return result


def import_span(lines: Sequence[str]) -> Span | None:
    """The lines of the imports that stand together near a file's top; None without any."""
    numbers = [n for n, line in enumerate(lines[: CONTEXT.import_lines], 1) if _IMPORT.match(line)]
    if not numbers:
        return None
    last = numbers[0]
    for line in numbers[1:]:
        if line - last > CONTEXT.import_gap:
            break
        last = line
    return numbers[0], last + _open_lines(lines[last - 1 :])


def _open_lines(lines: Sequence[str]) -> int:
    """The number of lines after the first until its open brackets are closed."""
    depth = 0
    for number, line in enumerate(lines[: CONTEXT.import_lines]):
        if number and depth <= 0:
            return number - 1
        depth += sum(map(line.count, _OPEN)) - sum(map(line.count, _CLOSE))
    return min(len(lines), CONTEXT.import_lines) - 1
