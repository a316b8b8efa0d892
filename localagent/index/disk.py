"""The index on disk, ready to be asked; implements `base.Index`.

    DiskIndex ─▶ build (what changed is read) ─▶ store (SQLite) ◀─ ranking ◀─ query
                   └▶ scan   └▶ digest: words, chunks, outline

What is told of one file (`symbols`) is always read from the file itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from localagent.errors import OutsideWorkspace
from localagent.index.base import Hit, Symbol
from localagent.index.build import Progress, bring_up_to_date
from localagent.index.digest import MAX_BYTES, definitions
from localagent.index.kinds import is_test
from localagent.index.named import raise_frames, raise_named
from localagent.index.query import parse_query
from localagent.index.ranking import Passage, Ranked, by_words, order, words_of
from localagent.index.store import Counts, Store, index_file
from localagent.index.written import of_frame
from localagent.workspace import Workspace


class DiskIndex:
    """See `Index`. `file` is where the index lies (default: in the user's cache).

    `progress` is told how many files are read when it is brought up to date. Everything raises
    OSError and sqlite3.Error where the index cannot be written.
    """

    def __init__(
        self,
        workspace: Workspace,
        file: Path | None = None,
        progress: Progress = lambda _done, _total: None,
    ) -> None:
        self._workspace = workspace
        self._file = file or index_file(workspace.root)
        self._progress = progress
        self._store: Store | None = None
        self._files: Sequence[str] = ()  # as of the last refresh

    def close(self) -> None:
        """Close the file."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def __enter__(self) -> DiskIndex:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def refresh(self) -> None:
        """Take notice of what changed on disk."""
        self.close()
        self._store, done = bring_up_to_date(self._file, self._workspace, self._progress)
        self._files = done.files

    def counts(self) -> Counts:
        """How much there is in it."""
        return self._opened().counts()

    def files(self) -> Sequence[str]:
        """All files that may be text, sorted."""
        self._opened()
        return self._files

    def symbols(self, path: str) -> Sequence[Symbol]:
        """The definitions of one file as it is now; none for what is not there, or is no text."""
        try:
            data = self._workspace.read_bytes(path, MAX_BYTES + 1)
        except (OSError, OutsideWorkspace):
            return []
        return definitions(path, data)

    def definitions(self, name: str) -> Sequence[Symbol]:
        """The definitions with this name, those outside of tests first."""
        last = name.strip().removesuffix("()").rsplit(".", 1)[-1]
        found = self._opened().definitions(last) if last else []
        return sorted(found, key=lambda s: (is_test(s.path), s.path, s.line))

    def search(self, query: str, limit: int = 10) -> Sequence[Hit]:
        """The files that best answer `query`, best first."""
        return [
            Hit(found.path, round(found.score, 3), tuple(found.reasons))
            for found in self.ranked(query, limit)
        ]

    def passages(self, query: str, limit: int = 10) -> Sequence[Passage]:
        """The pieces that best answer `query`: of the best files in turn, at most three each."""
        found = [p for ranked in self.ranked(query, limit) for p in ranked.passages[:3]]
        return found[:limit]

    def ranked(self, query: str, limit: int = 10) -> list[Ranked]:
        """The files that best answer `query`, with their best passages and reasons."""
        asked = parse_query(query, usual=True)
        store = self._opened()
        found = by_words(store.connection, asked)
        named = raise_named(found, asked, self.files())
        frames = [
            (path, line)
            for written, line in asked.frames
            if (path := of_frame(self._workspace, written, self.files())) is not None
        ]
        raise_frames(found, frames)
        best = order(found.values(), named)[:limit]
        for one in best:
            one.reasons += words_of(one, [s.name for s in store.symbols(one.path)], asked)
        return best

    def _opened(self) -> Store:
        if self._store is None:
            self.refresh()
        assert self._store is not None
        return self._store
