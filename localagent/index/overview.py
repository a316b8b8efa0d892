"""The outline of a repository: its files with definitions, the most used first.

The count of a function is the number of files that call its name. The count of a type is the number
of pieces that contain its name. All definitions of a name share one count. A file's score comes
from its best definitions.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from localagent.code.file_kinds import is_test, is_vendored
from localagent.code.symbols import Symbol
from localagent.index import tokenizer
from localagent.index.store import Store

BEST = 10
"""Most definitions that count for a file: many small definitions do not make a file important."""

PLAIN = 10
"""This many occurrences of a plain lower-case word count as one use."""


@dataclass(frozen=True, slots=True)
class FileOutline:
    """A file with its definitions, in the order of their lines.

    `uses` has each definition's number of files that call it, or of pieces that contain its name.
    """

    path: str
    score: float
    symbols: tuple[Symbol, ...]
    uses: tuple[int, ...]

    def best(self, count: int) -> list[Symbol]:
        """The most used definitions, in the order of their lines."""
        order = sorted(range(len(self.symbols)), key=lambda n: -self.uses[n])[:count]
        return [self.symbols[n] for n in sorted(order)]


@dataclass(frozen=True, slots=True)
class _Usage:
    """By name: the number of pieces that contain the name, and of files that call it."""

    mentioned: Counter[str]
    called: Counter[str]


def overview(store: Store, below: str = "") -> list[FileOutline]:
    """The outline of each file with definitions; `below` is a folder, a file, or "" for all files.

    The most used files come first; tests and vendored code come last.
    """
    symbols = store.all_symbols()
    usage = _Usage(
        _mentioned(store, {_last(s) for s in symbols if not s.is_callable}),
        _called(store, {s.last.lower() for s in symbols if s.is_callable}),
    )
    definers = Counter(name for name, _ in {(_last(s), s.path) for s in symbols})
    files: dict[str, list[Symbol]] = defaultdict(list)
    for symbol in symbols:
        if not below or symbol.path == below or symbol.path.startswith(f"{below}/"):
            files[symbol.path].append(symbol)
    found = [_outline(path, own, usage, definers) for path, own in files.items()]
    return sorted(found, key=lambda m: (is_test(m.path) + is_vendored(m.path), -m.score, m.path))


def _outline(
    path: str, symbols: Sequence[Symbol], usage: _Usage, definers: Counter[str]
) -> FileOutline:
    uses = [_uses(symbol, usage, definers) for symbol in symbols]
    best = sorted(uses, reverse=True)[:BEST]
    return FileOutline(path, sum(math.log1p(n) for n in best), tuple(symbols), tuple(uses))


def _uses(symbol: Symbol, usage: _Usage, definers: Counter[str]) -> int:
    name = _last(symbol)
    if symbol.is_callable:
        count = usage.called[symbol.last.lower()] // definers[name]
    else:  # the piece of the definition has the name too
        # the piece of the definition has the name too
        count = max(0, usage.mentioned[name] - 1) // definers[name]
    # Many texts contain "path" or "run" and do not mean a function.
    return count // PLAIN if symbol.last.islower() and "_" not in name else count


def _mentioned(store: Store, names: set[str]) -> Counter[str]:
    """The number of pieces that contain each name."""
    rows = store.connection.execute("SELECT term, doc FROM chunk_terms")
    return Counter({term: count for term, count in rows if term in names})


def _called(store: Store, names: set[str]) -> Counter[str]:
    """The number of files that call each name; deleted and replaced files count, too."""
    rows = store.connection.execute("SELECT term, doc FROM called WHERE col = 'calls'")
    return Counter({term: count for term, count in rows if term in names})


def _last(symbol: Symbol) -> str:
    """A definition's name as in the full-text tables; "" for a name of one or two letters."""
    found = tokenizer.name_words(symbol.last)
    return found[0] if found else ""
