"""Which files and passages answer a query best: scores of BM25, added up.

    a file's score    = its best pieces, each counting 0.7 of the one before
                        + 0.15 x its symbols' names + 0.3 x its path
    a passage's score = its own words + 0.15 x its name + 0.3 x its file

Each part is divided by the best one's, so that parts weigh as written. Measured on 280 bug-fix
commits of eight Python projects (`scripts/bench localise`; the index's documentation has the
table). BM25 over the words of whole files beside the pieces brought nothing more: it holds long
files to be worse, and most changes are in long files. Tests come after all other files: a task
quotes the test more often than the code at fault.
"""

from __future__ import annotations

import math
import os
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from localagent.index import words
from localagent.index.base import Passage
from localagent.index.kinds import is_data, is_docs, is_test
from localagent.index.query import Query

SYMBOLS, PATH = 0.15, 0.3
DECAY = 0.7
"""What a file's next piece counts of the one before."""

NAME, FILE = 0.15, 0.3
PROSE = 0.3
"""What prose, data and generated files count, against code with the same words."""

MOST_TERMS = 40
FEW_TERMS = 16
COMMON = 0.03
"""In a large index only the rarest `FEW_TERMS` words are looked up, and none that more than so
many of the pieces have, as long as others are left: half the time, and no worse (issue 4)."""

LARGE = 20_000
"""Pieces from which on an index is large."""

_FILES = 300
_PIECES = 1500


@dataclass(slots=True)
class Ranked:
    """A file with its score; `passages` are its best ones. `reasons` say why, for people."""

    path: str
    score: float
    passages: list[Passage] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


def by_words(db: sqlite3.Connection, asked: Query) -> dict[str, Ranked]:
    """The files that have words of the query, by path."""
    chosen = _chosen(db, asked)
    match = " OR ".join(f'"{word}"' for word in chosen)
    if not match:
        return {}
    pieces = _pieces(db, match)
    parts = (
        (1.0, {file: _decayed(best) for file, best in pieces.items()}),
        (SYMBOLS, _scores(db, "bm25(names, 1.0, 0.0)", f"symbols : ({match})")),
        (PATH, _scores(db, "bm25(names, 0.0, 1.0)", f"path : ({match})")),
    )
    totals: dict[int, float] = defaultdict(float)
    for weight, scores in parts:
        highest = max(scores.values(), default=0.0)
        for file, score in scores.items():
            totals[file] += weight * score / highest
    return _ranked(db, totals, pieces, _name_scores(db, chosen, pieces.values()))


def words_of(one: Ranked, names: Sequence[str], asked: Query) -> list[str]:
    """Why a file was found, for people: what it defines of the query, and its best passage."""
    last = {name.rsplit(".", 1)[-1].lower() for name in names}
    defined = [term for term in asked.terms if term in last]
    said = [f"defines {', '.join(defined[:3])}"] if defined else []
    best = next((p for p in one.passages if p.name), None)
    return [*said, f"{best.name} has words of it"] if best else said


def order(found: Iterable[Ranked], named: Collection[str]) -> list[Ranked]:
    """The best first; tests that the query does not name come last."""
    return sorted(found, key=lambda r: (is_test(r.path) and r.path not in named, -r.score, r.path))


def _chosen(db: sqlite3.Connection, asked: Query) -> dict[str, int]:
    """The words to look up, each with how many pieces have it."""
    terms = sorted(asked.terms, key=lambda term: -asked.terms[term])[:MOST_TERMS]
    having = {word: _having(db, word) for term in terms for word in words.of_query(term)}
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'chunks'").fetchone()
    total = row[0] if row else 0
    if total < LARGE:
        return having
    rare = sorted(filter(having.get, having), key=lambda word: having[word])
    chosen = [word for word in rare[:FEW_TERMS] if having[word] <= COMMON * total] or rare[:2]
    # A word that no piece has may still be in a path.
    return {word: count for word, count in having.items() if not count or word in chosen}


def _having(db: sqlite3.Connection, word: str) -> int:
    row = db.execute("SELECT doc FROM chunk_terms WHERE term = ?", (word,)).fetchone()
    return row[0] if row else 0


def _decayed(pieces: Sequence[Passage]) -> float:
    return sum(piece.score * DECAY**place for place, piece in enumerate(pieces))


def _scores(db: sqlite3.Connection, score: str, match: str) -> dict[int, float]:
    rows = db.execute(
        f"SELECT rowid, -{score} AS score FROM names WHERE names MATCH ?"
        f" ORDER BY score DESC LIMIT {_FILES}",
        (match,),
    )
    return {file: score for file, score in rows if score > 0}


def _name_scores(
    db: sqlite3.Connection, chosen: Mapping[str, int], pieces: Iterable[Sequence[Passage]]
) -> dict[str, float]:
    """How well the name of a passage answers: the rareness of the words it shares with the query,
    the best one 1."""
    (total,) = db.execute("SELECT count(*) FROM chunks").fetchone()
    rare = {word: math.log(1 + total / (1 + count)) for word, count in chosen.items()}
    names = {piece.name for best in pieces for piece in best if piece.name}
    scores = {name: sum(rare.get(w, 0.0) for w in _name_words(name)) for name in names}
    highest = max(scores.values(), default=0.0) or 1.0
    return {name: score / highest for name, score in scores.items()}


def _name_words(name: str) -> set[str]:
    return {word for part in name.split(".") for word in words.of_name(part)}


def _pieces(db: sqlite3.Connection, match: str) -> dict[int, list[Passage]]:
    """The best passages of each file, their paths left empty; those of dead ids are left out."""
    rows = db.execute(
        "SELECT file, name, line, end_line, score FROM"
        " (SELECT rowid AS id, -bm25(chunk_words) AS score FROM chunk_words"
        f" WHERE chunk_words MATCH ? ORDER BY score DESC LIMIT {_PIECES})"
        " JOIN chunks USING (id) ORDER BY score DESC",
        (match,),
    )
    found: dict[int, list[Passage]] = defaultdict(list)
    for file, *rest in rows:
        found[file].append(Passage("", *rest))
    return found


def _ranked(
    db: sqlite3.Connection,
    totals: Mapping[int, float],
    pieces: Mapping[int, list[Passage]],
    by_name: Mapping[str, float],
) -> dict[str, Ranked]:
    highest_piece = max((best[0].score for best in pieces.values()), default=1.0)
    highest = max(totals.values(), default=1.0)
    best = sorted(totals, key=lambda file: -totals[file])[:_FILES]
    marks = ",".join("?" * len(best))
    rows = db.execute(f"SELECT id, path, kind FROM files WHERE id IN ({marks})", best).fetchall()
    found: dict[str, Ranked] = {}
    for file, raw, kind in rows:
        path = os.fsdecode(raw)
        worth = 1.0
        if kind == "generated" or is_docs(path) or is_data(path):
            worth = PROSE
        of_file = FILE * totals[file] / highest
        passages = [
            replace(
                p,
                path=path,
                score=worth * (p.score / highest_piece + NAME * by_name.get(p.name, 0.0) + of_file),
            )
            for p in pieces.get(file, [])
        ]
        passages.sort(key=lambda p: -p.score)
        found[path] = Ranked(path, worth * totals[file], passages)
    return found
