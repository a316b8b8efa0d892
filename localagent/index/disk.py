"""The index on disk, ready to be asked; implements `base.Index`.

    DiskIndex ─▶ build (what changed is read) ─▶ store (SQLite) ◀─ ranking ◀─ query
                   └▶ scan   └▶ digest: words, chunks, outline

What is told of one file (`symbols`) is always read from the file itself.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from localagent.errors import OutsideWorkspace
from localagent.index.base import Hit, Passage, Symbol
from localagent.index.build import Progress, bring_up_to_date
from localagent.index.digest import MAX_BYTES, definitions
from localagent.index.kinds import is_test
from localagent.index.named import raise_frames, raise_named
from localagent.index.overview import Mapped, overview
from localagent.index.query import parse_query
from localagent.index.ranking import Answer, Ranked, by_words, order, words_of
from localagent.index.store import Counts, Store, index_file
from localagent.index.updater import Updater
from localagent.index.written import of_frame
from localagent.workspace import Workspace

PATIENCE = 2.0
"""Seconds that a turn waits for a live index; after that it goes on with what is there."""

_FILES = 100  # that passages are taken from


class DiskIndex:
    """See `Index`. `file` is where the index lies (default: in the user's cache).

    It is brought up to date when it is first asked and on `refresh`; `progress` is told then how
    many files are read. Where it is `live`, a thread keeps it fresh from the start: it answers with
    what is there so far. Everything raises OSError and sqlite3.Error where the index cannot be
    used, but a live one finds only what a query names then, and `notice` tells.
    """

    def __init__(
        self,
        workspace: Workspace,
        file: Path | None = None,
        progress: Progress = lambda _done, _total: None,
        *,
        live: bool = False,
    ) -> None:
        self._workspace = workspace
        self._file = file or index_file(workspace.root)
        self._progress = progress
        self._updater = Updater(workspace, self._file) if live else None
        if self._updater is not None:
            self._updater.start()
        self._store: Store | None = None
        self._files: Sequence[str] = ()  # as of the last refresh

    def close(self) -> None:
        """Close the file."""
        self._close_store()
        if self._updater is not None:
            self._updater.close()

    def __enter__(self) -> DiskIndex:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def refresh(self) -> None:
        """Take notice of what changed on disk; a live one goes on after `PATIENCE` seconds."""
        self._close_store()
        if self._updater is None:
            self._store, done = bring_up_to_date(self._file, self._workspace, self._progress)
            self._files = done.files
            return
        self._updater.refresh(PATIENCE)
        if not self._updater.failed:
            self._store = Store(self._file, self._workspace.root)

    def notice(self) -> str:
        """What the user should know of a live index that does not find everything, or ""."""
        if self._updater is None:
            return ""
        if self._updater.failed:
            return (
                f"the index cannot be used ({self._updater.failed}):"
                " only files that you name are found"
            )
        if self._updater.building is not None:
            done, total = self._updater.building
            return f"the index is still being made, {done:,} of {total:,} files so far"
        return ""

    def limited(self) -> str:
        """Why a live index notices changes at the start of a turn only, or ""."""
        return self._updater.limited if self._updater is not None else ""

    def counts(self) -> Counts:
        """How much there is in it."""
        store = self._opened()
        return store.counts() if store is not None else Counts(0, 0, 0, 0, 0, 0)

    def files(self) -> Sequence[str]:
        """All files that may be text, sorted."""
        self._opened()
        return self._files if self._updater is None else self._updater.files

    def symbols(self, path: str) -> Sequence[Symbol]:
        """The definitions of one file as it is now; none for what is not there, or is no text."""
        try:
            data = self._workspace.read_bytes(path, MAX_BYTES + 1)
        except (OSError, OutsideWorkspace):
            return []
        return definitions(path, data)

    def definitions(self, name: str) -> Sequence[Symbol]:
        """The definitions with this name, those outside of tests first."""
        store = self._opened()
        last = name.strip().removesuffix("()").rsplit(".", 1)[-1]
        found = store.definitions(last) if store is not None and last else []
        return sorted(found, key=lambda s: (is_test(s.path), s.path, s.line))

    def overview(self, below: str = "") -> list[Mapped]:
        """See `index.overview`."""
        store = self._opened()
        return overview(store, below) if store is not None else []

    def search(self, query: str, limit: int = 10) -> Sequence[Hit]:
        """The files that best answer `query`, best first."""
        return [
            Hit(found.path, round(found.score, 3), tuple(found.reasons))
            for found in self.ranked(query, limit)
        ]

    def passages(self, query: str, limit: int = 10) -> Sequence[Passage]:
        """The pieces that best answer `query`, best first, in files that answer it as well."""
        files = {one.path: one for one in self.ranked(query, _FILES)}
        found = [passage for one in files.values() for passage in one.passages]
        found.sort(key=lambda p: (is_test(p.path), -p.score, p.path, p.line))
        return [replace(p, reasons=tuple(files[p.path].reasons)) for p in found[:limit]]

    def ranked(self, query: str, limit: int = 10) -> list[Ranked]:
        """The files that best answer `query`, with their best passages and reasons."""
        asked = parse_query(query)
        store = self._opened()
        answer = by_words(store.connection, asked) if store is not None else Answer({})
        found = answer.files
        named = raise_named(found, asked, self.files())
        frames = [
            (path, line)
            for written, line in asked.frames
            if (path := of_frame(self._workspace, written, self.files())) is not None
        ]
        raise_frames(found, frames)
        best = list(islice(filter(self._is_there, order(found.values(), named)), limit))
        answer.fill(best)
        for one in best:
            names = [s.name for s in store.symbols(one.path)] if store is not None else []
            one.reasons += words_of(one, names, asked)
        return best

    def _is_there(self, one: Ranked) -> bool:
        """Whether a file still exists: it may be gone since the index was brought up to date."""
        return os.path.lexists(self._workspace.root / one.path)

    def _opened(self) -> Store | None:
        """The index for reading; None where a live one cannot be used."""
        if self._store is None and not (self._updater is not None and self._updater.failed):
            self.refresh()
        return self._store

    def _close_store(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None
