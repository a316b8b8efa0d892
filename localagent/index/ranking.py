"""Ranks files and passages for a query by sums of BM25 scores.

    a file's score    = its best pieces, each counting 0.7 of the one before
                        + 0.15 x its symbols' names + 0.3 x its path + 0.3 x past commits
    a passage's score = its own words + 0.25 x its name + 0.5 x its file

Each part is divided by its own best value, so that the parts have the weights above. The weights
were measured on 280 bug-fix commits of eight Python projects (`scripts/bench localise`; the index's
documentation has the table). BM25 over whole files does not help: it ranks long files lower, and
most changes are in long files. Tests come last, because a task quotes the test more often than the
code at fault.
"""

from __future__ import annotations

import math
import os
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePosixPath

from localagent.code.file_kinds import is_data, is_docs, is_test, is_vendored
from localagent.core.errors import OutsideWorkspace
from localagent.index import tokenizer
from localagent.index.base import Passage
from localagent.index.git_history import decayed, similar_commits
from localagent.index.query import Query, search_words
from localagent.index.store import pieces_ever
from localagent.workspace.workspace import Workspace

SYMBOLS, PATH = 0.15, 0.3
COMMITS = 0.3
"""Weight of a file's past commits whose messages have the query's words."""

DECAY = 0.7
"""Weight of a file's next piece, relative to the previous piece."""

NAME, FILE = 0.25, 0.5
PROSE = 0.3
"""Weight of docs, data, generated and vendored files, relative to code with the same words."""

FEW_TERMS = 16
COMMON = 0.03
"""In a large index the search uses only the rarest `FEW_TERMS` words, and only words that at most
this share of the pieces has. The search then takes half the time and finds as many files (issue
4)."""

OFTEN = 0.2
"""In a medium index the search uses words that at most this share of the pieces has. The search
then takes two fifths less time, and finds 0.3 fewer of 100 files among the first ten."""

SMALL, LARGE = 2_000, 20_000
"""Least number of pieces of a medium index and of a large index."""

_FILES = 300
_PIECES = 1500
"""Most pieces that count for their files. With 600 pieces, the search finds 2 to 3 fewer of 100
files among the first five in repositories of 100,000 lines."""


_Row = tuple[str, int, int, float]  # a piece: name, first line, last line, BM25 score


@dataclass(slots=True)
class Ranked:
    """A file with its score and its best passages.

    `reasons` tell the user why the file was chosen. `worth` is the file's weight relative to code
    with the same words.
    """

    path: str
    score: float
    worth: float = 1.0
    passages: list[Passage] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class WordMatches:
    """The files that match the words of a query, by path; `fill` adds the files' passages."""

    files: dict[str, Ranked]
    _pieces: Mapping[str, Sequence[_Row]] = field(default_factory=dict)
    _rare: Mapping[str, float] = field(default_factory=dict)
    _commits: Mapping[str, str] = field(default_factory=dict)

    def fill(self, chosen: Sequence[Ranked]) -> None:
        """Add the passages of these files, the best passage of each file first."""
        rows = {one.path: self._pieces.get(one.path, ()) for one in chosen}
        names = {name for found in rows.values() for name, *_ in found if name}
        by_name = {name: self._of_name(name) for name in names}
        best_name = max(by_name.values(), default=0.0) or 1.0
        best_piece = max((row[-1] for found in rows.values() for row in found), default=1.0)
        best_file = max((one.score for one in self.files.values()), default=0.0) or 1.0
        for one in chosen:
            found = [
                Passage(
                    one.path,
                    name,
                    line,
                    end,
                    one.worth * (score / best_piece + NAME * by_name.get(name, 0.0) / best_name)
                    + FILE * one.score / best_file,
                )
                for name, line, end, score in rows[one.path]
            ]
            one.passages += sorted(found, key=lambda p: -p.score)
            if one.path in self._commits:
                one.reasons.append(f"commit {self._commits[one.path][:10]} matches your words")

    def _of_name(self, name: str) -> float:
        """The total rareness of the words that a definition's name shares with the query."""
        found = {word for part in name.split(".") for word in tokenizer.name_words(part)}
        return sum(self._rare.get(word, 0.0) for word in found)


def by_words(db: sqlite3.Connection, query: Query) -> WordMatches:
    """The files that contain words of the query."""
    chosen = _chosen(db, query)
    match = " OR ".join(f'"{word}"' for word in chosen)
    if not match:
        return WordMatches({})
    pieces = _pieces(db, match)
    changed = similar_commits(db, query)
    parts = (
        (
            1.0,
            {file: decayed((score for *_, score in best), DECAY) for file, best in pieces.items()},
        ),
        (SYMBOLS, _scores(db, "bm25(names, 1.0, 0.0)", f"symbols : ({match})")),
        (PATH, _scores(db, "bm25(names, 0.0, 1.0)", f"path : ({match})")),
        (COMMITS, {file: one.score for file, one in changed.items()}),
    )
    totals: dict[int, float] = defaultdict(float)
    for weight, scores in parts:
        highest = max(scores.values(), default=0.0) or 1.0
        for file, score in scores.items():
            totals[file] += weight * score / highest
    best = sorted(totals, key=lambda file: -totals[file])[:_FILES]
    marks = ",".join("?" * len(best))
    rows = db.execute(f"SELECT id, path, kind FROM files WHERE id IN ({marks})", best)
    paths = {file: (os.fsdecode(raw), kind) for file, raw, kind in rows}
    total = pieces_ever(db)
    worths = {path: _worth(path, kind) for path, kind in paths.values()}
    return WordMatches(
        {
            path: Ranked(path, totals[file] * worths[path], worths[path])
            for file, (path, _) in paths.items()
        },
        {path: pieces.get(file, ()) for file, (path, _) in paths.items()},
        {word: math.log(1 + total / (1 + count)) for word, count in chosen.items()},
        {path: changed[file].commit for file, (path, _) in paths.items() if file in changed},
    )


def _worth(path: str, kind: str) -> float:
    less = kind == "generated" or is_docs(path) or is_data(path) or is_vendored(path)
    return PROSE if less else 1.0


def word_reasons(one: Ranked, names: Sequence[str], query: Query) -> list[str]:
    """The reasons for a file: the query's words that the file defines, and its best passage."""
    last = {name.rsplit(".", 1)[-1].lower() for name in names}
    defined = [term for term in query.terms if term in last]
    said = [f"defines {', '.join(defined[:3])}"] if defined else []
    best = next((p for p in one.passages if p.name), None)
    if best is None:
        return said
    if not said and any(reason.startswith("commit ") for reason in one.reasons):
        return [f"so does {best.name}"]
    return [*said, f"{best.name} matches your words"]


def order(found: Iterable[Ranked], named: Collection[str]) -> list[Ranked]:
    """Sort the files, best first; tests that the query does not name come last."""
    return sorted(found, key=lambda r: (is_test(r.path) and r.path not in named, -r.score, r.path))


def _chosen(db: sqlite3.Connection, query: Query) -> dict[str, int]:
    """The words to search for, each with the number of pieces that contain the word."""
    wanted = search_words(query)
    having = {word: _having(db, word) for word in wanted}
    total = pieces_ever(db)
    if total < SMALL:
        return having
    few, common = (FEW_TERMS, COMMON) if total >= LARGE else (len(wanted), OFTEN)
    rare = sorted(filter(having.get, having), key=having.__getitem__)
    chosen = {word for word in rare[:few] if having[word] <= common * total} or rare[:2]
    # A word that is in no piece may still be in a path.
    return {word: count for word, count in having.items() if not count or word in chosen}


def _having(db: sqlite3.Connection, word: str) -> int:
    row = db.execute("SELECT doc FROM chunk_terms WHERE term = ?", (word,)).fetchone()
    return row[0] if row else 0


def _scores(db: sqlite3.Connection, score: str, match: str) -> dict[int, float]:
    rows = db.execute(
        f"SELECT rowid, -{score} AS score FROM names WHERE names MATCH ?"
        f" ORDER BY score DESC LIMIT {_FILES}",
        (match,),
    )
    return {file: score for file, score in rows if score > 0}


def _pieces(db: sqlite3.Connection, match: str) -> dict[int, list[_Row]]:
    """The best pieces of each file, by file id; ids of deleted pieces are left out."""
    rows = db.execute(
        "SELECT file, name, line, end_line, score FROM"
        " (SELECT rowid AS id, -bm25(chunk_words) AS score FROM chunk_words"
        f" WHERE chunk_words MATCH ? ORDER BY score DESC LIMIT {_PIECES})"
        " JOIN chunks USING (id) ORDER BY score DESC",
        (match,),
    )
    found: dict[int, list[_Row]] = defaultdict(list)
    for file, *row in rows:
        found[file].append(tuple(row))
    return found


def matching_paths(files: Sequence[str], texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The paths of `files` (sorted) that any of the texts means, each with the first such text."""
    if not texts:
        return
    by_last = _by_last(tuple(files))
    likely = {path for text in texts for path in by_last.get(_last(text), ())}
    for path in sorted(likely):
        found = next((text for text in texts if is_path(path, text)), None)
        if found is not None:
            yield path, found


@lru_cache(maxsize=4)
def _by_last(files: tuple[str, ...]) -> dict[str, list[str]]:
    """Map the last part of each path, with and without suffix, to the paths."""
    found: dict[str, list[str]] = {}
    for path in files:
        last = _last(path)
        for name in {last, PurePosixPath(last).stem}:
            found.setdefault(name, []).append(path)
    return found


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def frame_path(workspace: Workspace, text: str, files: Sequence[str]) -> str | None:
    """The file of the workspace that a frame's path means."""
    try:
        inside = workspace.relative(text)
    except OutsideWorkspace:
        return None
    if inside in files:
        return inside
    hits = [path for path in files if path.endswith("/" + inside)]
    return hits[0] if len(hits) == 1 else None


def is_path(path: str, text: str) -> bool:
    """Whether `text` (a path, the end of one, or a dotted module) means `path`."""
    bare = text.removeprefix("./").strip("/")
    if not bare:
        return False
    stem = str(PurePosixPath(path).with_suffix(""))
    return any(
        name == bare or name.endswith("/" + bare) or bare.endswith("/" + name)
        for name in (path, stem if "/" in bare else path)
    )


PATH_BOOST, FRAME_BOOST = 10.0, 5.0
"""Boosts above the best score, for a file that the query names and for the innermost frame."""


def boost_paths(found: dict[str, Ranked], query: Query, files: Sequence[str]) -> set[str]:
    """Boost the files that the query names above all other files; return their paths."""
    highest = _highest(found)
    named: set[str] = set()
    for path, text in matching_paths(files, query.paths):
        one = found.setdefault(path, Ranked(path, 0.0))
        one.score += highest + PATH_BOOST
        one.reasons.insert(0, f"the query names {text}")
        named.add(path)
    return named


Piece = Callable[[str, int], tuple[str, int, int] | None]
"""Returns the piece around a line of a file: the definition's name, first and last line."""


def boost_frames(found: dict[str, Ranked], frames: Sequence[tuple[str, int]], piece: Piece) -> None:
    """Boost the files of a traceback (outermost frame first), the innermost frame most."""
    highest = _highest(found)
    seen: set[str] = set()
    for depth, (path, line) in enumerate(reversed(frames)):
        if path in seen:
            continue
        seen.add(path)
        one = found.setdefault(path, Ranked(path, 0.0))
        one.score += (highest + FRAME_BOOST) * (1 - 0.5 * depth / len(frames))
        one.reasons.insert(0, f"the traceback passes line {line}")
        name, first, last = piece(path, line) or ("", line, line)
        one.passages.insert(0, Passage(path, name, first, last, one.score))


def _highest(found: dict[str, Ranked]) -> float:
    return max((one.score for one in found.values()), default=1.0)
