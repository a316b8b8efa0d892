"""The repository's outline, what others use most first.

A definition counts by how many pieces of the repository have its name, shared among those that
define it; a file by its best definitions.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from localagent.index import words
from localagent.index.base import Symbol
from localagent.index.kinds import is_test, is_vendored
from localagent.index.store import Store

BEST = 10
"""Definitions of a file that its score is made of: many small ones do not make it important."""

PLAIN = 10
"""A plain word in lower case counts one of so many times that it stands somewhere."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """A file with its definitions, in the order of their lines; `uses` has, for each, how many
    pieces of the repository have its name."""

    path: str
    score: float
    symbols: tuple[Symbol, ...]
    uses: tuple[int, ...]

    def best(self, count: int) -> list[Symbol]:
        """The most used definitions, in the order of their lines."""
        order = sorted(range(len(self.symbols)), key=lambda n: -self.uses[n])[:count]
        return [self.symbols[n] for n in sorted(order)]


def overview(store: Store, below: str = "") -> list[Mapped]:
    """The files with definitions in the folder `below` ("" for all), or that file; the most used
    first; tests, and copies of other projects, last."""
    symbols = store.all_symbols()
    mentioned = _mentioned(store, {_last(s) for s in symbols})
    definers = Counter(name for name, _ in {(_last(s), s.path) for s in symbols})
    files: dict[str, list[Symbol]] = defaultdict(list)
    for symbol in symbols:
        if not below or symbol.path == below or symbol.path.startswith(f"{below}/"):
            files[symbol.path].append(symbol)
    found = [_mapped(path, own, mentioned, definers) for path, own in files.items()]
    return sorted(found, key=lambda m: (is_test(m.path) + is_vendored(m.path), -m.score, m.path))


def _mapped(
    path: str, symbols: Sequence[Symbol], mentioned: Counter[str], definers: Counter[str]
) -> Mapped:
    uses = [_uses(symbol, mentioned, definers) for symbol in symbols]
    best = sorted(uses, reverse=True)[:BEST]
    return Mapped(path, sum(math.log1p(n) for n in best), tuple(symbols), tuple(uses))


def _uses(symbol: Symbol, mentioned: Counter[str], definers: Counter[str]) -> int:
    name = _last(symbol)
    count = max(0, mentioned[name] - 1) // definers[name]  # its own piece has the name as well
    # "path" or "run" stand in many texts that do not mean the function.
    return count // PLAIN if symbol.name.rsplit(".", 1)[-1].islower() and "_" not in name else count


def _mentioned(store: Store, names: set[str]) -> Counter[str]:
    """In how many pieces each name is."""
    rows = store.connection.execute("SELECT term, doc FROM chunk_terms")
    return Counter({term: count for term, count in rows if term in names})


def _last(symbol: Symbol) -> str:
    """A definition's name as the full-text search has it; "" for one or two letters."""
    found = words.of_name(symbol.name.rsplit(".", 1)[-1])
    return found[0] if found else ""
