"""What belongs to the best passages: the definitions that they use, and their files' imports."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import sqrt

from localagent.code.file_kinds import is_test
from localagent.code.symbols import Symbol
from localagent.context.excerpt import Span
from localagent.index.base import Passage
from localagent.index.chunks import chunks

Lines = Callable[[str], Sequence[str]]
"""The lines of a file."""

Symbols = Callable[[str], Sequence[Symbol]]
"""The definitions of a file."""

USED = 0.3
"""The best passage counts 1 here, and so much for a definition that it uses."""

_USING = 6  # passages whose definitions are looked for
_RANKED = 0.8  # what each counts of the one before
_FILES = 10  # in which definitions are looked for

_NAME = re.compile(r"[^\W\d]\w+")
_IMPORT = re.compile(r"(?:import|from|use|using|require|#\s*include)\b")
_TOP = 200  # lines of a file that its imports are in
_APART = 12  # lines between two imports
_OPEN, _CLOSE = "([{", ")]}"


def with_used(passages: Sequence[Passage], lines: Lines, symbols: Symbols) -> list[Passage]:
    """The passages, best first, with those of definitions that the best of them use raised, or
    added where no word of the query is in them: a fix is often one call away from the code that
    tells of it. Definitions are looked for in the files of the passages.
    """
    found = {(p.path, p.line): p for p in passages}
    pieces = _by_name(dict.fromkeys(p.path for p in passages), lines, symbols)
    best = (passages[0].score if passages else 0.0) or 1.0
    gains: dict[tuple[str, int], float] = defaultdict(float)
    for rank, user in enumerate(passages[:_USING]):
        text = "\n".join(lines(user.path)[user.line - 1 : user.end_line])
        for name in set(_NAME.findall(text)):
            used = [p for p in pieces.get(name, ()) if (p.path, p.line) != (user.path, user.line)]
            for piece in used:
                key = piece.path, piece.line
                gain = USED * user.score / best * _RANKED**rank / sqrt(len(used))
                found.setdefault(key, piece)
                gains[key] = max(gains[key], gain)
    raised = [replace(p, score=p.score + gains.get(key, 0.0)) for key, p in found.items()]
    return sorted(raised, key=lambda p: (is_test(p.path), -p.score))


def _by_name(paths: dict[str, None], lines: Lines, symbols: Symbols) -> dict[str, list[Passage]]:
    """The pieces of definitions, by the last part of their names."""
    found: dict[str, list[Passage]] = defaultdict(list)
    for path in [path for path in paths if not is_test(path)][:_FILES]:
        for piece in chunks(symbols(path), len(lines(path))):
            if piece.name:
                passage = Passage(path, piece.name, piece.line, piece.end_line, 0.0)
                found[piece.name.rsplit(".", 1)[-1]].append(passage)
    return found


def imports(lines: Sequence[str]) -> Span | None:
    """The lines of a file's imports, where they stand together near its top; None without any."""
    at = [n for n, line in enumerate(lines[:_TOP], 1) if _IMPORT.match(line)]
    if not at:
        return None
    last = at[0]
    for line in at[1:]:
        if line - last > _APART:
            break
        last = line
    return at[0], last + sum(1 for _ in _going_on(lines[last - 1 :]))


def _going_on(lines: Sequence[str]) -> Iterator[str]:
    """The lines after the first one that its open brackets hold."""
    depth = 0
    for number, line in enumerate(lines[:_TOP]):
        if number and depth <= 0:
            return
        if number:
            yield line
        depth += sum(line.count(sign) for sign in _OPEN) - sum(line.count(sign) for sign in _CLOSE)
