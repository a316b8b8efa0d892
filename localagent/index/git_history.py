"""Past commits: the words of their messages, and the files that each of them changed.

Tasks often use words from earlier commit messages about the same code that are not in the code
itself. The effect was measured on 900 bug fixes (`scripts/bench localise`; ADR 9 has the table).
Only the local repository is read, and the index keeps only the words of a message.
"""

from __future__ import annotations

import math
import os
import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from localagent.code.file_kinds import is_data, is_docs, is_test
from localagent.index import tokenizer
from localagent.index.query import Query, search_words
from localagent.redaction.secret_files import is_secret
from localagent.workspace.git.run import PLAIN_DIFF, ask_git

MOST = 5000
"""Most commits in the index, which keeps the newest commits without merges."""

WIDE = 20
"""A commit that changes more code files than this says nothing about any of the files."""

ALIKE = 15
"""Most commits that count for one query."""

DECAY = 0.7
"""Weight of a file's next commit, relative to the previous commit."""

TABLES = """
CREATE TABLE commits (id INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, files INTEGER NOT NULL);
CREATE TABLE commit_files (id INTEGER NOT NULL, path BLOB NOT NULL);
CREATE INDEX commit_files_id ON commit_files (id);
CREATE VIRTUAL TABLE commit_words USING fts5 (words, {words});
"""
NAMES = ("commits", "commit_files", "commit_words")

_CHARS = 2000  # most characters of a message
_FORMAT = "--format=%x01%H%x02%B%x03"
_RECORD = re.compile(r"\x01([0-9a-f]{40,64})\x02(.*?)\x03\0?\n?(.*?)(?=\x01[0-9a-f]{40}|\Z)", re.S)
_TRAILER = re.compile(r"^(?:[A-Z][\w-]+-by|Change-Id): .*$", re.M | re.I)


@dataclass(frozen=True, slots=True)
class _Commit:
    """A commit, and the files of the workspace that the commit changed."""

    hash: str
    message: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HistoryChanges:
    """The hashes of commits that left the history, and the commits that are new in the history."""

    removed: tuple[str, ...]
    new: tuple[_Commit, ...]


@dataclass(frozen=True, slots=True)
class SimilarCommits:
    """Commits that changed a file and whose messages have words of a query.

    `score` is the sum of the best commits' scores; `commit` is the hash of the best commit.
    """

    score: float
    commit: str


def head(root: Path) -> str | None:
    """The hash of HEAD; "" without a commit, None if git fails."""
    done = ask_git(root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    return done.stdout.decode("ascii", "replace").strip() if done is not None else None


def changes(db: sqlite3.Connection, root: Path, head: str) -> HistoryChanges | None:
    """The difference between the tables and the history of `head`; None if git fails."""
    wanted = _history(root, head) if head else {}
    known = {name for (name,) in db.execute("SELECT hash FROM commits")}
    commits = (
        _commits(root, [name for name in wanted if name not in known]) if wanted is not None else ()
    )
    if wanted is None or commits is None:
        return None
    return HistoryChanges(tuple(name for name in known if name not in wanted), tuple(commits))


def apply(db: sqlite3.Connection, found: HistoryChanges) -> None:
    """Write the changes to the tables, in the caller's transaction.

    Another process may have written some of the changes in the meantime.
    """
    ids = dict(db.execute("SELECT hash, id FROM commits"))
    removed = [(ids[name],) for name in found.removed if name in ids]
    for table, column in (("commits", "id"), ("commit_files", "id"), ("commit_words", "rowid")):
        db.executemany(f"DELETE FROM {table} WHERE {column} = ?", removed)
    for one in found.new:
        if one.hash not in ids:
            _insert(db, one)


def similar_commits(db: sqlite3.Connection, query: Query) -> dict[int, SimilarCommits]:
    """The files that were changed by commits similar to the query, by file id."""
    match = " OR ".join(f'"{word}"' for word in search_words(query))
    if not match:
        return {}
    rows = db.execute(
        "SELECT files.id, score, commits.files, commits.hash FROM"
        " (SELECT rowid AS id, -bm25(commit_words) AS score FROM commit_words"
        f" WHERE commit_words MATCH ? ORDER BY score DESC LIMIT {ALIKE})"
        " JOIN commits USING (id) JOIN commit_files USING (id)"
        " JOIN files ON files.path = commit_files.path",
        (match,),
    )
    by_file: dict[int, list[tuple[float, str]]] = defaultdict(list)
    for file, score, files, name in rows:
        # SQLite before 3.35 has no sqrt().
        by_file[file].append((score / math.sqrt(files), name))
    found = {}
    for file, scores in by_file.items():
        scores.sort(reverse=True)
        found[file] = SimilarCommits(decayed((score for score, _ in scores), DECAY), scores[0][1])
    return found


def decayed(scores: Iterable[float], decay: float) -> float:
    """The sum of scores, sorted best first; each score weighs `decay` of the previous score."""
    return sum(score * decay**place for place, score in enumerate(scores))


def _history(root: Path, head: str) -> dict[str, None] | None:
    """The hashes of the newest commits; None if git fails."""
    done = ask_git(root, "rev-list", "--no-merges", f"--max-count={MOST}", head, "--")
    if done is None or done.returncode != 0:
        return None
    return dict.fromkeys(done.stdout.decode("ascii", "replace").split())


def _commits(root: Path, hashes: Sequence[str]) -> list[_Commit] | None:
    """The commits with these hashes; None if git fails."""
    if not hashes:
        return []
    done = ask_git(
        root, "log", "--no-walk=unsorted", "--stdin", "-z", "--name-only", "--relative",
        "--no-renames", *PLAIN_DIFF, "--no-show-signature", _FORMAT,
        text="\n".join(hashes).encode(),
    )  # fmt: skip
    if done is None or done.returncode != 0:
        return None
    return [
        _Commit(match[1], match[2], tuple(path for path in match[3].split("\0") if path.strip()))
        for match in _RECORD.finditer(os.fsdecode(done.stdout))
    ]


def _insert(db: sqlite3.Connection, one: _Commit) -> None:
    """Insert a commit; a commit that changes too many files is stored as its hash only."""
    code = [path for path in one.paths if _is_code(path)]
    if len(code) > WIDE:
        code = []
    id_ = db.execute(
        "INSERT INTO commits (hash, files) VALUES (?, ?)", (one.hash, len(code))
    ).lastrowid
    if code:
        text = tokenizer.index_text(tokenizer.count_words(_TRAILER.sub("", one.message)[:_CHARS]))
        db.execute("INSERT INTO commit_words (rowid, words) VALUES (?, ?)", (id_, text))
        db.executemany(
            "INSERT INTO commit_files VALUES (?, ?)", [(id_, os.fsencode(p)) for p in code]
        )


def _is_code(path: str) -> bool:
    return not (is_test(path) or is_docs(path) or is_data(path) or is_secret(path))
