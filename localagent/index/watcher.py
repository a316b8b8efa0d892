"""Hears which files of the workspace change, through the system's own notices (watchdog).

What is heard is a hint, and the files themselves are looked at afterwards: notices get lost, and
some file systems (NFS, sshfs) give none. Only folders with indexed files are watched: a folder
whose subfolders all hold such files is watched with everything below it, and one beside a folder
like node_modules on its own.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver

_MOST_WATCHES = 64
"""Each watched tree or folder takes a thread of watchdog's."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A folder of the workspace ("" is its root), watched with what is below it, or alone."""

    folder: str
    recursive: bool


def to_watch(root: Path, files: Iterable[str]) -> tuple[Watched, ...]:
    """What to watch for these indexed files of the workspace at `root`."""
    folders = _folders(files)
    whole: dict[str, bool] = {}
    below: dict[str, list[str]] = {folder: [] for folder in folders}
    for folder in folders:
        if folder:
            below[_above(folder)].append(folder)
    for folder in sorted(folders, key=lambda f: f.count("/") + bool(f), reverse=True):
        inner = all(whole[child] for child in below[folder])
        whole[folder] = inner and not _has_heavy(root, folder, folders)
    found: list[Watched] = []
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        found.append(Watched(folder, whole[folder]))
        if not whole[folder]:
            waiting += below[folder]
    if len(found) > _MOST_WATCHES:
        return (Watched("", False), *(Watched(folder, True) for folder in sorted(below[""])))
    return tuple(sorted(found, key=lambda w: w.folder))


class Watcher:
    """Watches folders from its start to its end. `heard` is called, from a thread of its own, with
    the path of each file that may have changed, relative to the root, and with "" where all of them
    may have.
    """

    def __init__(
        self, root: Path, watched: Collection[Watched], heard: Callable[[str], None]
    ) -> None:
        from watchdog.observers import Observer

        self.limited = ""
        """Why nothing is watched; "" where all is well."""
        self._root = root
        self._heard = heard
        self._observer = Observer()
        try:
            self._start(self._observer, watched)
        except OSError as error:
            self.limited = _reason(error)
            self.close()

    def close(self) -> None:
        """Stop watching."""
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join()

    def _start(self, observer: BaseObserver, watched: Collection[Watched]) -> None:
        from watchdog.events import FileSystemEventHandler

        handler = FileSystemEventHandler()
        handler.on_any_event = self._changed  # type: ignore[method-assign]
        observer.start()
        for one in watched:
            observer.schedule(handler, str(self._root / one.folder), recursive=one.recursive)
        # Below a watched folder watchdog is silent about a limit that is reached; one more folder,
        # which nothing is heard from, tells.
        one_more = observer.schedule(FileSystemEventHandler(), self._root.anchor, recursive=False)
        observer.unschedule(one_more)

    def _changed(self, event: FileSystemEvent) -> None:
        if event.event_type in ("opened", "closed_no_write"):
            return
        if event.is_directory:
            if event.event_type != "modified":  # of a folder: something in it is told on its own
                self._heard("")
            return
        for path in (event.src_path, event.dest_path):
            if path:
                self._heard(os.path.relpath(os.fsdecode(path), self._root).replace(os.sep, "/"))


def _reason(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EMFILE):
        return f"{error.strerror} (fs.inotify.max_user_watches, fs.inotify.max_user_instances)"
    return error.strerror or str(error)


def _folders(files: Iterable[str]) -> set[str]:
    """All folders that hold these files, and those above them; "" is the root."""
    found = {""}
    for path in files:
        folder = _above(path)
        while folder not in found:
            found.add(folder)
            folder = _above(folder)
    return found


def _above(path: str) -> str:
    return path.rpartition("/")[0]


def _has_heavy(root: Path, folder: str, folders: Collection[str]) -> bool:
    """Whether a subfolder without indexed files has subfolders of its own: __pycache__ is watched
    along, node_modules is not."""
    try:
        with os.scandir(root / folder) as entries:
            others = [
                entry.path
                for entry in entries
                if entry.is_dir(follow_symlinks=False)
                and (f"{folder}/{entry.name}" if folder else entry.name) not in folders
            ]
        return any(_has_folders(path) for path in others)
    except OSError:
        return True  # it is gone, or cannot be read


def _has_folders(path: str) -> bool:
    with os.scandir(path) as entries:
        return any(entry.is_dir(follow_symlinks=False) for entry in entries)
