"""The index on disk, which implements `base.Index`.

    DiskIndex ─▶ build (reads changed files) ─▶ store (SQLite) ◀─ ranking ◀─ query
                   └▶ digest: words, chunks, symbols

The symbols of a single file always come from the file, not from the index.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from localagent.code.file_kinds import is_test, may_be_text
from localagent.code.symbols import Symbol
from localagent.core.errors import OutsideWorkspace
from localagent.index.base import Hit, Passage, Reference
from localagent.index.build import Progress, bring_up_to_date, is_unchanged, stat_file
from localagent.index.digest import MAX_BYTES, definitions
from localagent.index.overview import FileOutline, overview
from localagent.index.query import Filter, parse_query
from localagent.index.ranking import (
    Ranked,
    WordMatches,
    boost_frames,
    boost_paths,
    by_words,
    frame_path,
    order,
    word_reasons,
)
from localagent.index.relations import Relations
from localagent.index.store import Counts, Known, Store, index_file
from localagent.index.trigrams import Filters, literals_of
from localagent.index.updater import Updater
from localagent.workspace.workspace import Workspace

EVERYTHING = Filter()

PATIENCE = 2.0
"""Seconds that a turn waits for a live index before it uses the files indexed so far."""

_FILES = 100  # most files from which passages are taken


class _OutOfTime(Exception):
    """Raised if a build takes longer than `patience`."""


class DiskIndex:
    """The index of a workspace, in the database file `file`, by default in the user's cache.

    The first query and `refresh` bring the index up to date and report to `progress`. After
    `patience` seconds these methods stop waiting and use the files indexed so far; `warning` says
    so. A thread keeps a `live` index fresh. If the index cannot be used, all methods raise OSError
    and sqlite3.Error. A live index raises no errors, but then finds only files that a query names,
    and `warning` says so.
    """

    def __init__(
        self,
        workspace: Workspace,
        file: Path | None = None,
        progress: Progress = lambda _done, _total: None,
        *,
        live: bool = False,
        patience: float | None = None,
    ) -> None:
        self._workspace = workspace
        self._file = file or index_file(workspace.root)
        self._progress = progress
        self._patience = patience
        self._unfinished: tuple[int, int] | None = None
        self._updater = Updater(workspace, self._file) if live else None
        if self._updater is not None:
            self._updater.start()
        self._store: Store | None = None
        self._relations: Relations | None = None
        self._files: Sequence[str] = ()  # the workspace's files, as of the last refresh

    def close(self) -> None:
        """Close the index, and stop the thread of a live index."""
        self._close_store()
        if self._updater is not None:
            self._updater.close()

    def __enter__(self) -> DiskIndex:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def refresh(self) -> None:
        """Update the index to the disk; a live index waits at most `PATIENCE` seconds."""
        self._close_store()
        if self._updater is None:
            self._bring_up_to_date()
            return
        self._updater.refresh(PATIENCE)
        if not self._updater.failed:
            self._store = Store(self._file, self._workspace.root)

    def _bring_up_to_date(self) -> None:
        until = time.monotonic() + (self._patience or 0.0)

        def progress(done: int, total: int) -> None:
            self._progress(done, total)
            if self._patience is not None and 0 < done < total and time.monotonic() > until:
                self._unfinished = (done, total)
                raise _OutOfTime

        self._unfinished = None
        try:
            self._store, found = bring_up_to_date(self._file, self._workspace, progress)
            self._files = found.files
        except _OutOfTime:
            self._store = Store(self._file, self._workspace.root)
            self._files = tuple(path for path in self._workspace.files() if may_be_text(path))

    def ready(self) -> bool:
        """Whether the index is complete."""
        return self._updater is None or self._updater.ready

    def warning(self) -> str:
        """A message for the user while the index is incomplete, or ""."""
        if self._updater is None:
            return progress_warning(*self._unfinished) if self._unfinished is not None else ""
        if self._updater.failed:
            return (
                f"the index cannot be used ({self._updater.failed}):"
                " only files that you name are found"
            )
        if self._updater.building is not None:
            return progress_warning(*self._updater.building)
        if not self._updater.ready:
            return "the index is still being built: localagent is listing the files"
        return ""

    def limited(self) -> str:
        """The reason why a live index notices changes only at the start of a turn, or ""."""
        return self._updater.limited if self._updater is not None else ""

    def counts(self) -> Counts:
        """The number of files, definitions and pieces in the index, and its size on disk."""
        store = self._opened()
        return store.counts() if store is not None else Counts(0, 0, 0, 0, 0, 0)

    def files(self) -> Sequence[str]:
        """All files that may be text, sorted."""
        self._opened()
        return self._files if self._updater is None else self._updater.files

    def symbols(self, path: str) -> Sequence[Symbol]:
        """The definitions of a file as it is on disk now; empty for a missing or binary file."""
        try:
            data = self._workspace.read_bytes(path, MAX_BYTES + 1)
        except (OSError, OutsideWorkspace):
            return []
        return definitions(path, data)

    def definitions(self, name: str) -> Sequence[Symbol]:
        """The definitions with this name; those in tests come last."""
        relations = self.relations()
        return relations.definitions(name) if relations is not None else []

    def may_have(
        self, pattern: str, files: Sequence[str], *, regex: bool, fresh: bool = False
    ) -> Sequence[str]:
        """The files that may contain `pattern`, whatever the case of letters.

        The result includes files that changed since the last refresh, unless the caller says that
        the index is `fresh`. A fresh index skips the comparison with the disk, which would take
        most of the time.
        """
        filters = Filters(literals_of(pattern, regex=regex))
        store = self._opened() if filters else None
        if store is None:
            return files
        try:
            without = store.without(filters)
            known = {} if fresh else store.known()
        except sqlite3.Error:  # without filters, the search only takes longer
            return files
        return [
            f
            for f in files
            if f not in without or not (fresh or self._is_as_it_was(f, known.get(f)))
        ]

    def _is_as_it_was(self, path: str, known: Known | None) -> bool:
        file = stat_file(self._workspace, path)
        return file is not None and is_unchanged(file, known)

    def callers(self, name: str, limit: int = 20) -> Sequence[Reference]:
        """The calls of a function or class; calls in tests come last."""
        relations = self.relations()
        found = relations.references(name, calls_only=True) if relations is not None else ()
        return list(islice(found, limit))

    def imports(self, path: str) -> Sequence[str]:
        """The files of the workspace that a file imports, in the order of its lines."""
        relations = self.relations()
        return relations.imports(path) if relations is not None else []

    def tests_for(self, path: str) -> Sequence[str]:
        """The tests of a file, the most likely first."""
        relations = self.relations()
        return relations.tests_for(path) if relations is not None else []

    def relations(self) -> Relations | None:
        """The relations of files; None if a live index cannot be used."""
        store = self._opened()
        if store is None:
            self._relations = None
        elif self._relations is None:
            self._relations = Relations(store, self._workspace)
        return self._relations

    def overview(self, below: str = "") -> list[FileOutline]:
        """The outline of the files below a folder; see `overview.overview`."""
        store = self._opened()
        return overview(store, below) if store is not None else []

    def search(self, query: str, limit: int = 10) -> Sequence[Hit]:
        """The files that best answer `query`, best first."""
        return [
            Hit(found.path, round(found.score, 3), tuple(found.reasons))
            for found in self.ranked(query, limit)
        ]

    def passages(self, query: str, limit: int = 10) -> Sequence[Passage]:
        """The pieces of the best files that best answer `query`, best first."""
        files = {one.path: one for one in self.ranked(query, _FILES)}
        found = [passage for one in files.values() for passage in one.passages]
        found.sort(key=lambda p: (is_test(p.path), -p.score, p.path, p.line))
        return [replace(p, reasons=tuple(files[p.path].reasons)) for p in found[:limit]]

    def ranked(self, query: str, limit: int = 10, only: Filter = EVERYTHING) -> list[Ranked]:
        """The files of the filter `only` that best answer `query`, with passages and reasons."""
        words = parse_query(query)
        store = self._opened()
        answer = by_words(store.connection, words) if store is not None else WordMatches({})
        found = answer.files
        named = boost_paths(found, words, self.files())
        frames = [
            (path, line)
            for text, line in words.frames
            if (path := frame_path(self._workspace, text, self.files())) is not None
        ]
        boost_frames(found, frames, store.piece if store is not None else _no_piece)
        wanted = (one for one in order(found.values(), named) if only.file(one.path))
        if only.of_symbols and store is not None:
            wanted = (one for one in wanted if any(map(only.symbol, store.symbols(one.path))))
        best = list(islice(filter(self._is_there, wanted), limit))
        answer.fill(best)
        for one in best:
            names = [s.name for s in store.symbols(one.path)] if store is not None else []
            one.reasons += word_reasons(one, names, words)
        return best

    def _is_there(self, one: Ranked) -> bool:
        """Whether a file still exists; it may have been deleted since the last refresh."""
        return os.path.lexists(self._workspace.root / one.path)

    def _opened(self) -> Store | None:
        """The open store; None if a live index cannot be used."""
        if self._store is None and not (self._updater is not None and self._updater.failed):
            self.refresh()
        return self._store

    def _close_store(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = self._relations = None


def _no_piece(_path: str, _line: int) -> None:
    """Return an empty piece, because without an index no definition around a line is known."""


def progress_warning(done: int, total: int) -> str:
    """Return the warning about an index that holds `done` of `total` files."""
    if 0 < total <= done:
        return f"the index is still being built: all {total:,} files are read, but not yet linked"
    return f"the index is still being built, {done:,} of {total:,} files so far"
