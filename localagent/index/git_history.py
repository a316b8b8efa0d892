"""Past commits: the words of their messages, and the files that each of them changed.

A task is often put in the words in which earlier changes of the same code were told, and the code
itself may not have them. Measured on 900 bug fixes (`scripts/bench localise`; ADR 9 has the table).
Only git's own record on this disk is read, and of a message only its words are kept.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from localagent.code.file_kinds import is_data, is_docs, is_test
from localagent.index import tokenizer
from localagent.index.query import Query, looked_up
from localagent.redaction.secret_files import is_secret
from localagent.workspace.git.run import ask_git

MOST = 5000
"""Commits that are kept, the newest; without merges."""

WIDE = 20
"""Files of code from which on a commit says nothing of any of them."""

ALIKE = 15
"""Commits that are taken from a query's answer."""

DECAY = 0.7
"""What a file's next commit counts of the one before."""

TABLES = """
CREATE TABLE commits (id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, files INTEGER NOT NULL);
CREATE TABLE commit_files (id INTEGER NOT NULL, path BLOB NOT NULL);
CREATE INDEX commit_files_id ON commit_files (id);
CREATE VIRTUAL TABLE commit_words USING fts5 (words, {words});
"""
NAMES = ("commits", "commit_files", "commit_words")

_CHARS = 2000  # of a message
_FORMAT = "--format=%x01%H%x02%B%x03"
_RECORD = re.compile(r"\x01([0-9a-f]{40,64})\x02(.*?)\x03\0?\n?(.*?)(?=\x01[0-9a-f]{40}|\Z)", re.S)
_TRAILER = re.compile(r"^(?:[A-Z][\w-]+-by|Change-Id): .*$", re.M | re.I)


@dataclass(frozen=True, slots=True)
class _Commit:
    """A commit, with the files below the workspace's root that it changed."""

    hash: str
    message: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class News:
    """The hashes of commits that are gone from the history, and those that are new in it."""

    gone: tuple[str, ...]
    new: tuple[_Commit, ...]


@dataclass(frozen=True, slots=True)
class Alike:
    """A file that commits changed whose messages have words of a query: how well the best of them
    answers it, added up, and the best one's hash."""

    score: float
    commit: str


def head(root: Path) -> str | None:
    """The hash of the commit that is checked out, "" without one; None where git does not tell."""
    done = ask_git(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    return done.stdout.decode("ascii", "replace").strip() if done is not None else None


def news(db: sqlite3.Connection, root: Path, head: str) -> News | None:
    """What of the history of `head` is not in the tables; None where git does not tell."""
    wanted = _history(root, head) if head else {}
    known = {name for (name,) in db.execute("SELECT hash FROM commits")}
    told = _told(root, [name for name in wanted if name not in known]) if wanted is not None else ()
    if wanted is None or told is None:
        return None
    return News(tuple(name for name in known if name not in wanted), tuple(told))


def put(db: sqlite3.Connection, found: News) -> None:
    """Take the news into the tables, in the caller's transaction; another process may have done so
    meanwhile."""
    ids = dict(db.execute("SELECT hash, id FROM commits"))
    gone = [(ids[name],) for name in found.gone if name in ids]
    for table, column in (("commits", "id"), ("commit_files", "id"), ("commit_words", "rowid")):
        db.executemany(f"DELETE FROM {table} WHERE {column} = ?", gone)
    for one in found.new:
        if one.hash not in ids:
            _insert(db, one)


def alike(db: sqlite3.Connection, asked: Query) -> dict[int, Alike]:
    """The files that commits like the query changed, by their ids."""
    match = " OR ".join(f'"{word}"' for word in looked_up(asked))
    if not match:
        return {}
    rows = db.execute(
        "SELECT files.id, score / sqrt(commits.files), commits.hash FROM"
        " (SELECT rowid AS id, -bm25(commit_words) AS score FROM commit_words"
        f" WHERE commit_words MATCH ? ORDER BY score DESC LIMIT {ALIKE})"
        " JOIN commits USING (id) JOIN commit_files USING (id)"
        " JOIN files ON files.path = commit_files.path",
        (match,),
    )
    by_file: dict[int, list[tuple[float, str]]] = defaultdict(list)
    for file, score, name in rows:
        by_file[file].append((score, name))
    found = {}
    for file, scores in by_file.items():
        scores.sort(reverse=True)
        found[file] = Alike(decayed((score for score, _ in scores), DECAY), scores[0][1])
    return found


def decayed(scores: Iterable[float], decay: float) -> float:
    """The sum of scores, the best first, each of which counts `decay` of the one before."""
    return sum(score * decay**place for place, score in enumerate(scores))


def _history(root: Path, head: str) -> dict[str, None] | None:
    """The hashes of the newest commits; None where git does not tell."""
    done = ask_git(root, "rev-list", "--no-merges", f"--max-count={MOST}", head, "--")
    if done is None or done.returncode != 0:
        return None
    return dict.fromkeys(done.stdout.decode("ascii", "replace").split())


def _told(root: Path, hashes: Sequence[str]) -> list[_Commit] | None:
    """These commits; None where git does not tell."""
    if not hashes:
        return []
    done = ask_git(
        root, "log", "--no-walk=unsorted", "--stdin", "-z", "--name-only", "--relative",
        "--no-renames", "--no-ext-diff", "--no-textconv", "--no-show-signature", _FORMAT,
        text="\n".join(hashes).encode(),
    )  # fmt: skip
    if done is None or done.returncode != 0:
        return None
    return [
        _Commit(match[1], match[2], tuple(path for path in match[3].split("\0") if path.strip()))
        for match in _RECORD.finditer(os.fsdecode(done.stdout))
    ]


def _insert(db: sqlite3.Connection, one: _Commit) -> None:
    """One commit; one that says nothing of any file is kept by its hash alone."""
    code = [path for path in one.paths if _is_code(path)]
    if len(code) > WIDE:
        code = []
    id_ = db.execute(
        "INSERT INTO commits (hash, files) VALUES (?, ?)", (one.hash, len(code))
    ).lastrowid
    if code:
        text = tokenizer.stored(tokenizer.counted(_TRAILER.sub("", one.message)[:_CHARS]))
        db.execute("INSERT INTO commit_words (rowid, words) VALUES (?, ?)", (id_, text))
        db.executemany(
            "INSERT INTO commit_files VALUES (?, ?)", [(id_, os.fsencode(p)) for p in code]
        )


def _is_code(path: str) -> bool:
    return not (is_test(path) or is_docs(path) or is_data(path) or is_secret(path))
