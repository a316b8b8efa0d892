"""The index on disk: one SQLite file for each repository, without the source text.

    files ─┬─ chunks ──── chunk_words (FTS5: the words of each piece, by the chunk's id)
           ├─ symbols
           ├─ grams (the trigram filter of each file)
           ├─ commits (with the words of their messages; see `git_history`)
           ├───────────── names (FTS5: words of path and symbols, by the file's id)
           └───────────── uses  (FTS5: calls and imports, by the file's id)

`uses` has the files that call a name, but no lines. Lines are read from the current file, so the
table takes a hundredth of the source's size instead of a tenth.

The full-text tables are contentless: they have the words of a text, but not the text. SQLite before
3.43 cannot delete from such a table. So the words of a changed or deleted file stay, under ids
without rows, until the index is rebuilt (`is_worn`). Ids are never used twice.

One transaction replaces a file's rows, so a reader never sees half a file. Two processes may write;
one waits for the other. A worn index is emptied in place, in one transaction. Only a damaged index,
or an index of another version, is removed and made again. The database and its write-ahead log are
two files, so a lock keeps other processes out until both are removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from localagent.code.symbols import Symbol
from localagent.core.locks import locked
from localagent.core.paths import cache_dir, private
from localagent.index import git_history
from localagent.index.digest import Entry
from localagent.index.trigrams import Filters

VERSION = 8
"""Version of the tables and their contents. A file of another version is rebuilt."""

WAIT = 10.0
"""Seconds that a writer waits for another writer."""

_WORN = 0.5
"""Dead chunks for each live chunk above which the index is rebuilt."""

# Only spaces separate words, which consist of letters, digits and "_".
_WORDS = "content='', tokenize='unicode61 remove_diacritics 0 tokenchars _'"
_FULL_TEXT = ("chunk_words", "names", "uses")
_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE files (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    path BLOB NOT NULL UNIQUE,
    mtime INTEGER NOT NULL,
    size INTEGER NOT NULL,
    hash BLOB NOT NULL,
    kind TEXT NOT NULL,
    lines INTEGER NOT NULL
);
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    file INTEGER NOT NULL,
    name TEXT NOT NULL,
    line INTEGER NOT NULL,
    end_line INTEGER NOT NULL
);
CREATE INDEX chunks_file ON chunks (file);
CREATE TABLE symbols (
    file INTEGER NOT NULL,
    name TEXT NOT NULL,
    last TEXT NOT NULL,
    kind TEXT NOT NULL,
    line INTEGER NOT NULL,
    end_line INTEGER NOT NULL,
    signature TEXT NOT NULL
);
CREATE INDEX symbols_file ON symbols (file);
CREATE INDEX symbols_last ON symbols (last);
CREATE TABLE grams (file INTEGER PRIMARY KEY, bits BLOB NOT NULL);
CREATE VIRTUAL TABLE chunk_words USING fts5 (words, {words});
CREATE VIRTUAL TABLE names USING fts5 (symbols, path, {words});
CREATE VIRTUAL TABLE uses USING fts5 (calls, imports, detail=column, {words});
CREATE VIRTUAL TABLE called USING fts5vocab (uses, col);
CREATE VIRTUAL TABLE chunk_terms USING fts5vocab (chunk_words, row);
"""
# These tables have few and short texts, so they keep the texts and can delete them.
_KEPT_WORDS = _WORDS.removeprefix("content='', ")


@dataclass(frozen=True, slots=True)
class Known:
    """The state of a file in the index; `mtime` is in nanoseconds, `size` in bytes."""

    mtime: int
    size: int
    hash: bytes
    kind: str


@dataclass(frozen=True, slots=True)
class Counts:
    """Sizes of an index.

    `dead` are chunks that only the full-text tables still have; `bytes` is the size on disk.
    """

    files: int
    lines: int
    chunks: int
    symbols: int
    dead: int
    bytes: int


def index_file(root: Path) -> Path:
    """The path of the index of the repository at `root`."""
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:20]
    return cache_dir() / "index" / f"{name}.sqlite"


class Store:
    """The open index of one repository. Use a `Store` from one thread only.

    Raises OSError if the folder of the index cannot be made, and sqlite3.Error if the disk is full.
    """

    def __init__(self, file: Path, root: Path) -> None:
        self.file = file
        self._root = root
        private(file.parent)
        self._db = self._opened()

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def connection(self) -> sqlite3.Connection:
        """The database, for queries."""
        return self._db

    def known(self, paths: Iterable[str] | None = None) -> dict[str, Known]:
        """The state of all files, or of those files of `paths` that the index has, by path."""
        select = "SELECT path, mtime, size, hash, kind FROM files"
        if paths is None:
            rows = self._db.execute(select).fetchall()
        else:
            found = (
                self._db.execute(f"{select} WHERE path = ?", (os.fsencode(path),)).fetchone()
                for path in paths
            )
            rows = [row for row in found if row is not None]
        return {os.fsdecode(path): Known(*rest) for path, *rest in rows}

    def add(self, entries: Iterable[Entry], touched: Iterable[Entry] = ()) -> None:
        """Store files in place of their old rows; either all are stored or none.

        Files that were only `touched` keep their rows and get their new times.
        """
        with self._writing():
            for entry in entries:
                self._forget([entry.path])
                self._insert(entry)
            self._db.executemany(
                "UPDATE files SET mtime = ?, size = ? WHERE path = ?",
                [(entry.mtime, entry.size, os.fsencode(entry.path)) for entry in touched],
            )

    def remove(self, paths: Iterable[str]) -> None:
        """Remove files that are deleted, or that the model may no longer read."""
        with self._writing():
            self._forget(paths)

    def clear(self) -> None:
        """Remove all rows; other processes may have the index open."""
        db = self._db
        # no word of a hidden file may stay in the database file
        db.execute("PRAGMA secure_delete = ON")
        with self._writing():
            for table in _FULL_TEXT:
                db.execute(f"INSERT INTO {table} ({table}) VALUES ('delete-all')")
            for table in (
                "files",
                "chunks",
                "symbols",
                "grams",
                *git_history.NAMES,
                "sqlite_sequence",
            ):
                db.execute(f"DELETE FROM {table}")
            self._set_meta("head", "")
        db.execute("PRAGMA secure_delete = OFF")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def follow_history(self) -> None:
        """Update the stored commits to the history of HEAD."""
        head = git_history.head(self._root)
        if head is None or head == self._meta("head"):
            return
        found = git_history.changes(self._db, self._root, head)
        if found is not None:
            with self._writing():
                git_history.apply(self._db, found)
                self._set_meta("head", head)

    def is_worn(self) -> bool:
        """Whether a rebuilt index would be smaller and better."""
        counts = self.counts()
        return counts.dead > 1000 and counts.dead > _WORN * counts.chunks

    def counts(self) -> Counts:
        """The number of files, lines, pieces and definitions in the index, and its size on disk."""
        return counts_of(self._db, self.file)

    def symbols(self, path: str) -> list[Symbol]:
        """The definitions of one file, in the order of their lines."""
        return self._symbols("WHERE files.path = ? ORDER BY line", os.fsencode(path))

    def piece(self, path: str, line: int) -> tuple[str, int, int] | None:
        """The piece of a file around a line: its name, first and last line."""
        row: tuple[str, int, int] | None = self._db.execute(
            "SELECT name, line, end_line FROM chunks JOIN files ON files.id = chunks.file"
            " WHERE path = ? AND line <= ? AND end_line >= ?",
            (os.fsencode(path), line, line),
        ).fetchone()
        return row

    def without(self, filters: Filters) -> set[str]:
        """The indexed files that the trigram filters exclude."""
        rows = self._db.execute("SELECT path, bits FROM grams JOIN files ON id = file")
        return {os.fsdecode(path) for path, bits in rows if not filters.allow(bits)}

    def paths(self) -> frozenset[str]:
        """The paths of all indexed files."""
        rows = self._db.execute("SELECT path FROM files")
        return frozenset(os.fsdecode(path) for (path,) in rows)

    def all_symbols(self) -> list[Symbol]:
        """All definitions, file by file in the order of their lines."""
        return self._symbols("ORDER BY files.path, line")

    def definitions(self, last: str) -> list[Symbol]:
        """The definitions with this unqualified name."""
        return self._symbols("WHERE last = ? ORDER BY files.path, line", last)

    def with_prefix(self, text: str, limit: int) -> list[Symbol]:
        """Definitions whose unqualified names begin with `text`."""
        end = f"{text}\U0010ffff"
        return self._symbols("WHERE last >= ? AND last < ? ORDER BY last LIMIT ?", text, end, limit)

    # The file

    def _opened(self) -> sqlite3.Connection:
        with locked(_lock(self.file)):
            try:
                return self._connected()
            except sqlite3.OperationalError:
                raise  # the database is busy or the disk is full: the file is intact
            except sqlite3.DatabaseError:
                _remove(self.file)  # the file is damaged, of another version, or no database
                return self._connected()

    def _connected(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.file, timeout=WAIT, isolation_level=None)
        try:
            os.chmod(self.file, 0o600)  # noqa: PTH101
            db.execute("PRAGMA journal_mode = WAL")
            # A power cut may lose the last files that were stored; the next comparison reads them
            # again.
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA cache_size = -65536")
            db.execute("PRAGMA temp_store = MEMORY")
            self._db = db
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version == 0:
                self._make_tables()
            elif version != VERSION or self._meta("root") != os.fsencode(self._root).hex():
                raise sqlite3.DatabaseError("another version")
        except BaseException:
            db.close()
            raise
        return db

    def _make_tables(self) -> None:
        with self._writing():
            tables = _TABLES.format(words=_WORDS) + git_history.TABLES.format(words=_KEPT_WORDS)
            for statement in tables.strip().rstrip(";").split(";\n"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {VERSION}")
            self._set_meta("root", os.fsencode(self._root).hex())

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _meta(self, key: str) -> str:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else ""

    def _set_meta(self, key: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    # Rows

    def _forget(self, paths: Iterable[str]) -> None:
        for path in paths:
            row = self._db.execute(
                "SELECT id FROM files WHERE path = ?", (os.fsencode(path),)
            ).fetchone()
            if row is not None:
                for table in ("chunks", "symbols", "grams"):
                    self._db.execute(f"DELETE FROM {table} WHERE file = ?", row)
                self._db.execute("DELETE FROM files WHERE id = ?", row)

    def _insert(self, entry: Entry) -> None:
        db, digest = self._db, entry.digest
        file = db.execute(
            "INSERT INTO files (path, mtime, size, hash, kind, lines) VALUES (?, ?, ?, ?, ?, ?)",
            (
                os.fsencode(entry.path), entry.mtime, entry.size,
                digest.hash, digest.kind, digest.lines,
            ),
        ).lastrowid  # fmt: skip
        db.execute("INSERT INTO names (rowid, symbols, path) VALUES (?, ?, ?)",
                   (file, entry.symbol_words, entry.path_words))  # fmt: skip
        if digest.calls or digest.imports:
            db.execute("INSERT INTO uses (rowid, calls, imports) VALUES (?, ?, ?)",
                       (file, " ".join(digest.calls), " ".join(digest.imports)))  # fmt: skip
        if digest.grams:
            db.execute("INSERT INTO grams VALUES (?, ?)", (file, digest.grams))
        for piece in digest.pieces:
            chunk = db.execute(
                "INSERT INTO chunks (file, name, line, end_line) VALUES (?, ?, ?, ?)",
                (file, piece.name, piece.line, piece.end_line),
            ).lastrowid
            db.execute("INSERT INTO chunk_words (rowid, words) VALUES (?, ?)", (chunk, piece.words))
        db.executemany(
            "INSERT INTO symbols VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (file, s.name, s.name.rsplit(".", 1)[-1], s.kind, s.line, s.end_line, s.signature)
                for s in digest.symbols
            ],
        )

    def _symbols(self, which: str, *values: object) -> list[Symbol]:
        rows = self._db.execute(
            "SELECT name, symbols.kind, files.path, line, end_line, signature"
            f" FROM symbols JOIN files ON files.id = symbols.file {which}",
            values,
        )
        return [
            Symbol(name, kind, os.fsdecode(path), line, end, signature)
            for name, kind, path, line, end, signature in rows
        ]


def pieces_ever(db: sqlite3.Connection) -> int:
    """The number of pieces ever stored, including dead pieces."""
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'chunks'").fetchone()
    return row[0] if row else 0


def counts_of(db: sqlite3.Connection, file: Path) -> Counts:
    """The counts of the index that is open as `db`."""
    files, lines = db.execute("SELECT count(*), coalesce(sum(lines), 0) FROM files").fetchone()
    (chunks,) = db.execute("SELECT count(*) FROM chunks").fetchone()
    (symbols,) = db.execute("SELECT count(*) FROM symbols").fetchone()
    size = sum(path.stat().st_size for path in (file, _sibling(file, "-wal")) if path.exists())
    return Counts(files, lines, chunks, symbols, pieces_ever(db) - chunks, size)


def peek(file: Path) -> Counts | None:
    """Read the counts of an index without changing the file; None for an index of another version.

    Raises sqlite3.Error for a file that is no index, and OSError for an unreadable file.
    """
    # Without a write-ahead log, no process writes, and reading must not create a log.
    how = "mode=ro" if _sibling(file, "-wal").exists() else "mode=ro&immutable=1"
    with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?{how}", timeout=1, uri=True)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        return counts_of(db, file) if version == VERSION else None


def drop(file: Path) -> None:
    """Remove an index; processes that have the index open keep their copy."""
    with contextlib.suppress(FileNotFoundError), locked(_lock(file)):
        _remove(file)


def _remove(file: Path) -> None:
    for path in (file, _sibling(file, "-wal"), _sibling(file, "-shm")):
        path.unlink(missing_ok=True)


def _lock(file: Path) -> Path:
    return _sibling(file, ".lock")


def _sibling(file: Path, ending: str) -> Path:
    return file.with_name(file.name + ending)


def remove_orphans(folder: Path) -> list[Path]:
    """Remove indexes in `folder` whose repositories no longer exist; return the removed files.

    Unreadable files stay, until a process opens them as its index.
    """
    orphans = [file for file in sorted(folder.glob("*.sqlite")) if _is_orphan(file)]
    for file in orphans:
        with contextlib.suppress(OSError):
            drop(file)
    return orphans


def _is_orphan(file: Path) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as db:
            row = db.execute("SELECT value FROM meta WHERE key = 'root'").fetchone()
        return row is not None and not os.path.lexists(bytes.fromhex(row[0]))
    except (OSError, sqlite3.Error, ValueError):
        return False
