"""Keeps an index fresh in the background, for as long as a session lasts.

    watcher ── hints ──▶ thread: build, update ──▶ store
    session ── refresh ──┘

A thread of its own writes; whoever asks the index reads beside it, and finds what is there so far.
Hints come from the watcher and are collected for a moment; before each turn the session asks for a
full comparison, so a notice that was lost costs nothing.
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
from localagent.index.watcher import Watched, Watcher, to_watch
from localagent.index.workers import Readers
from localagent.workspace.workspace import IGNORE_FILE, Workspace

QUIET, LONGEST = 0.05, 0.25
"""Seconds without a new hint until hints are followed, and the longest that one waits."""

MANY = 200
"""Hints from which on everything is compared: a branch was switched, say."""

_RULES = {".gitignore", IGNORE_FILE}


class _Closed(Exception):
    """The index is closed while it is being built."""


class Updater:
    """Keeps the index in `file` equal to the workspace, from `start` to `close`."""

    def __init__(self, workspace: Workspace, file: Path) -> None:
        self.files: tuple[str, ...] = ()
        """All that may be shown and may be text, sorted, as of the last comparison."""
        self.failed = ""
        """Why the index cannot be written, or ""."""
        self.limited = ""
        """Why changes are noticed at the start of a turn only, or ""."""
        self.building: tuple[int, int] | None = None
        """While files are read: how many are done, of how many."""
        self._workspace = workspace
        self._file = file
        self._state = threading.Condition()
        self._hints: set[str] = set()
        self._asked = 1
        self._answered = 0
        self._closing = False
        self._store: Store | None = None
        self._readers = Readers(workspace)
        self._known: dict[str, Known] = {}
        self._watched: tuple[Watched, ...] = ()
        self._watched_files: tuple[str, ...] | None = None
        self._folders_changed = False
        self._watcher: Watcher | None = None
        self._thread = threading.Thread(target=self._run, name="index", daemon=True)

    def start(self) -> None:
        """Begin to build, or to compare."""
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether everything was compared once, or never will be."""
        return self._answered > 0 or bool(self.failed)

    def refresh(self, patience: float) -> None:
        """Compare everything; return when that is done, or after `patience` seconds."""
        if self.failed:
            self._list()
            return
        with self._state:
            if self._answered:  # the first comparison is still wanted by everybody
                self._asked += 1
            wanted = self._asked
            self._state.notify_all()
            self._state.wait_for(lambda: self._answered >= wanted or bool(self.failed), patience)

    def close(self) -> None:
        """Stop; what is done so far is kept."""
        with self._state:
            self._closing = True
            self._state.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    # The thread

    def _run(self) -> None:
        with contextlib.suppress(OSError, AttributeError):  # Linux: each thread has its own
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
        """Wait for work, and for hints to be complete; False at the end."""
        with self._state:
            self._state.wait_for(self._has_work)
            latest = time.monotonic() + LONGEST
            while self._asked == self._answered and not self._closing:
                count = len(self._hints)
                self._state.wait(QUIET)
                if len(self._hints) == count or time.monotonic() > latest:
                    break
            return not self._closing

    def _has_work(self) -> bool:
        return self._closing or bool(self._hints) or self._asked > self._answered

    def _follow(self) -> None:
        with self._state:
            hints, self._hints = self._hints, set()
            asked = self._asked
        if self._store is None or asked > self._answered or _concern_all(hints):
            self._compare()
        else:
            self._update(self._store, hints)
        with self._state:
            self._answered = asked
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
        changed, gone = update(store, self._workspace, self._known, paths, self._readers)
        names = {file.path for file in changed}
        for path in (*names, *gone):
            self._known.pop(path, None)
        self._known |= store.known(names)
        if gone or not names <= set(self.files):
            self.files = tuple(sorted((set(self.files) | names) - set(gone)))

    def _progress(self, done: int, total: int) -> None:
        self.building = (done, total) if total else None
        if self._closing:
            raise _Closed

    def _watch(self) -> None:
        # To look at every folder takes as long as to compare every file.
        changed, self._folders_changed = self._folders_changed, False
        if self.files == self._watched_files and not changed:
            return
        self._watched_files = self.files
        wanted = to_watch(self._workspace.root, self.files)
        if wanted == self._watched:
            return
        if self._watcher is not None:
            self._watcher.close()
        self._watcher = Watcher(self._workspace.root, wanted, self._hear)
        self._watched, self.limited = wanted, self._watcher.limited
        if not self.limited:
            self._hear("")  # for what changed since the comparison

    def _hear(self, path: str) -> None:
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


def _concern_all(hints: Collection[str]) -> bool:
    """Whether the hints tell that anything may have changed."""
    return len(hints) > MANY or any(
        hint == "" or hint.rpartition("/")[2] in _RULES for hint in hints
    )
