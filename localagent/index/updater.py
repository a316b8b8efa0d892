"""Keeps an index fresh in the background while a session lasts.

    watcher ── hints ──▶ thread: build, update ──▶ store
    session ── refresh ──┘

One thread writes. Meanwhile, readers use the store and find the files indexed so far. The thread
collects the watcher's hints for a moment before it updates. Before each turn, the session asks for
a full comparison, so a lost notification does no harm.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Collection
from pathlib import Path

from localagent.code.file_kinds import may_be_text
from localagent.index.build import bring_up_to_date, update
from localagent.index.store import Known, Store
from localagent.index.watcher import WatchedFolder, Watcher, folders_to_watch
from localagent.index.workers import Readers
from localagent.workspace.workspace import IGNORE_FILE, Workspace

QUIET, LONGEST = 0.05, 0.25
"""Seconds without a new hint after which the thread updates the index, and the longest wait."""

MANY = 200
"""More hints than this cause a full comparison, for example after a change of branch."""

_RULES = {".gitignore", IGNORE_FILE}


class _Closed(Exception):
    """The session closed the index during a build."""


class Updater:
    """Keeps the index in `file` equal to the workspace, from `start` to `close`."""

    def __init__(self, workspace: Workspace, file: Path) -> None:
        self.files: tuple[str, ...] = ()
        """All text files that the model may read, sorted, as of the last comparison."""
        self.failed = ""
        """The reason why the index cannot be written, or ""."""
        self.limited = ""
        """The reason why the index notices changes only at the start of a turn, or ""."""
        self.building: tuple[int, int] | None = None
        """During a build: the number of finished files and of all files."""
        self._workspace = workspace
        self._file = file
        self._state = threading.Condition()
        self._hints: set[str] = set()
        self._requested = 1
        self._finished = 0
        self._closing = False
        self._store: Store | None = None
        self._readers = Readers(workspace)
        self._known: dict[str, Known] = {}
        self._watched: tuple[WatchedFolder, ...] = ()
        self._watched_files: tuple[str, ...] | None = None
        self._folders_changed = False
        self._watcher: Watcher | None = None
        self._thread = threading.Thread(target=self._run, name="index", daemon=True)

    def start(self) -> None:
        """Start the thread, which first builds the index or compares it with the disk."""
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether one comparison is complete, or the index has failed."""
        return self._finished > 0 or bool(self.failed)

    def refresh(self, patience: float) -> None:
        """Compare all files; return when the comparison is done, or after `patience` seconds."""
        if self.failed:
            self._list()
            return
        with self._state:
            if self._finished:  # the first comparison answers every request
                self._requested += 1
            wanted = self._requested
            self._state.notify_all()
            self._state.wait_for(lambda: self._finished >= wanted or bool(self.failed), patience)

    def close(self) -> None:
        """Stop the thread; the store keeps all finished files."""
        with self._state:
            self._closing = True
            self._state.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    # The thread

    def _run(self) -> None:
        # on Linux, each thread has its own nice value
        with contextlib.suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        try:
            while self._wait():
                self._follow()
        except _Closed:
            pass
        except (OSError, sqlite3.Error) as error:
            self._fail(str(error))
        finally:
            for open_ in (self._watcher, self._store, self._readers):
                if open_ is not None:
                    open_.close()

    def _wait(self) -> bool:
        """Wait for work, then until no new hints come; return False once the index is closed."""
        with self._state:
            self._state.wait_for(self._has_work)
            latest = time.monotonic() + LONGEST
            while self._requested == self._finished and not self._closing:
                count = len(self._hints)
                self._state.wait(QUIET)
                if len(self._hints) == count or time.monotonic() > latest:
                    break
            return not self._closing

    def _has_work(self) -> bool:
        return self._closing or bool(self._hints) or self._requested > self._finished

    def _follow(self) -> None:
        with self._state:
            hints, self._hints = self._hints, set()
            requested = self._requested
        if self._store is None or requested > self._finished or _affects_all(hints):
            self._compare()
        else:
            self._update(self._store, hints)
        with self._state:
            self._finished = requested
            self._state.notify_all()

    def _compare(self) -> None:
        if self._store is not None:
            self._store.close()
        self._store, done = bring_up_to_date(self._file, self._workspace, self._progress)
        self.building = None
        self.files = done.files
        self._known = self._store.known()
        self._watch()

    def _update(self, store: Store, paths: Collection[str]) -> None:
        changed, deleted = update(store, self._workspace, self._known, paths, self._readers)
        names = {file.path for file in changed}
        for path in (*names, *deleted):
            self._known.pop(path, None)
        self._known |= store.known(names)
        if deleted or not names <= set(self.files):
            self.files = tuple(sorted((set(self.files) | names) - set(deleted)))

    def _progress(self, done: int, total: int) -> None:
        self.building = (done, total) if total else None
        if self._closing:
            raise _Closed

    def _watch(self) -> None:
        # Walking the folders takes as long as comparing all files.
        changed, self._folders_changed = self._folders_changed, False
        if self.files == self._watched_files and not changed:
            return
        self._watched_files = self.files
        wanted = folders_to_watch(self._workspace.root, self.files)
        if wanted == self._watched:
            return
        if self._watcher is not None:
            self._watcher.close()
        self._watcher = Watcher(self._workspace.root, wanted, self._on_change)
        self._watched, self.limited = wanted, self._watcher.limited
        if not self.limited:
            self._on_change("")  # a file may have changed since the comparison

    def _on_change(self, path: str) -> None:
        with self._state:
            self._hints.add(path)
            self._folders_changed = self._folders_changed or not path
            self._state.notify_all()

    def _fail(self, reason: str) -> None:
        self.building = None
        self._list()
        with self._state:
            self.failed = reason
            self._state.notify_all()

    def _list(self) -> None:
        self.files = tuple(path for path in self._workspace.files() if may_be_text(path))


def _affects_all(hints: Collection[str]) -> bool:
    """Whether these changes may affect files other than the changed ones."""
    return len(hints) > MANY or any(
        hint == "" or hint.rpartition("/")[2] in _RULES for hint in hints
    )
