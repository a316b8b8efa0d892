"""The repository's outline, what others use most first.

A function counts by how many files call its name, a type by how many pieces of the repository have
it, shared among those that define it; a file by its best definitions.
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
"""Definitions of a file that its score is made of: many small ones do not make it important."""

PLAIN = 10
"""A plain word in lower case counts one of so many times that it stands somewhere."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """A file with its definitions, in the order of their lines; `uses` has, for each, how many
    files call it, or pieces have its name."""

    path: str
    score: float
    symbols: tuple[Symbol, ...]
    uses: tuple[int, ...]

    def best(self, count: int) -> list[Symbol]:
        """The most used definitions, in the order of their lines."""
        order = sorted(range(len(self.symbols)), key=lambda n: -self.uses[n])[:count]
        return [self.symbols[n] for n in sorted(order)]


@dataclass(frozen=True, slots=True)
class _Used:
    """How many pieces have a name, and how many files call one."""

    mentioned: Counter[str]
    called: Counter[str]


def overview(store: Store, below: str = "") -> list[Mapped]:
    """The files with definitions in the folder `below` ("" for all), or that file; the most used
    first; tests, and copies of other projects, last."""
    symbols = store.all_symbols()
    used = _Used(
        _mentioned(store, {_last(s) for s in symbols if not s.is_callable}),
        _called(store, {s.last.lower() for s in symbols if s.is_callable}),
    )
    definers = Counter(name for name, _ in {(_last(s), s.path) for s in symbols})
    files: dict[str, list[Symbol]] = defaultdict(list)
    for symbol in symbols:
        if not below or symbol.path == below or symbol.path.startswith(f"{below}/"):
            files[symbol.path].append(symbol)
    found = [_mapped(path, own, used, definers) for path, own in files.items()]
    return sorted(found, key=lambda m: (is_test(m.path) + is_vendored(m.path), -m.score, m.path))


def _mapped(path: str, symbols: Sequence[Symbol], used: _Used, definers: Counter[str]) -> Mapped:
    uses = [_uses(symbol, used, definers) for symbol in symbols]
    best = sorted(uses, reverse=True)[:BEST]
    return Mapped(path, sum(math.log1p(n) for n in best), tuple(symbols), tuple(uses))


def _uses(symbol: Symbol, used: _Used, definers: Counter[str]) -> int:
    name = _last(symbol)
    if symbol.is_callable:
        count = used.called[symbol.last.lower()] // definers[name]
    else:
        count = max(0, used.mentioned[name] - 1) // definers[name]  # its own piece has it as well
    # "path" or "run" stand in many texts that do not mean the function.
    return count // PLAIN if symbol.last.islower() and "_" not in name else count


def _mentioned(store: Store, names: set[str]) -> Counter[str]:
    """In how many pieces each name is."""
    rows = store.connection.execute("SELECT term, doc FROM chunk_terms")
    return Counter({term: count for term, count in rows if term in names})


def _called(store: Store, names: set[str]) -> Counter[str]:
    """How many files call each name; those of dead ids are counted as well."""
    rows = store.connection.execute("SELECT term, doc FROM called WHERE col = 'calls'")
    return Counter({term: count for term, count in rows if term in names})


def _last(symbol: Symbol) -> str:
    """A definition's name as the full-text search has it; "" for one or two letters."""
    found = tokenizer.of_name(symbol.last)
    return found[0] if found else ""
