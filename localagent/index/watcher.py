"""Reports which files of the workspace change, through the system's notifications (watchdog).

A notification is only a hint, after which the index compares the file. Notifications can get lost,
and some file systems (NFS, sshfs) send none. Only folders with indexed files are watched. A folder
is watched recursively if all its subfolders have indexed files. A folder with a subfolder like
node_modules is watched without its subfolders.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver

_MOST_WATCHES = 64
"""Most watches, because watchdog starts a thread for each watch."""


@dataclass(frozen=True, slots=True)
class WatchedFolder:
    """A folder to watch ("" is the root), with or without everything below the folder."""

    folder: str
    recursive: bool


def folders_to_watch(root: Path, files: Iterable[str]) -> tuple[WatchedFolder, ...]:
    """The folders to watch for these indexed files of the workspace at `root`."""
    folders = _folders(files)
    whole: dict[str, bool] = {}
    below: dict[str, list[str]] = {folder: [] for folder in folders}
    for folder in folders:
        if folder:
            below[_parent(folder)].append(folder)
    for folder in sorted(folders, key=lambda f: f.count("/") + bool(f), reverse=True):
        inner = all(whole[child] for child in below[folder])
        whole[folder] = inner and not _has_heavy(root, folder, folders)
    found: list[WatchedFolder] = []
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        found.append(WatchedFolder(folder, whole[folder]))
        if not whole[folder]:
            waiting += below[folder]
    if len(found) > _MOST_WATCHES:
        return (
            WatchedFolder("", False),
            *(WatchedFolder(folder, True) for folder in sorted(below[""])),
        )
    return tuple(sorted(found, key=lambda w: w.folder))


class Watcher:
    """Watches folders until `close`.

    A thread calls `on_change` with the path, relative to the root, of each file that may have
    changed. The path "" means that any file may have changed.
    """

    def __init__(
        self, root: Path, watched: Collection[WatchedFolder], on_change: Callable[[str], None]
    ) -> None:
        from watchdog.observers import Observer

        # A logger without a handler prints its errors on the user's screen.
        if not (logger := logging.getLogger("watchdog")).handlers:
            logger.addHandler(logging.NullHandler())
        self.limited = ""
        """The reason why nothing is watched, or ""."""
        self._root = root
        self._on_change = on_change
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

    def _start(self, observer: BaseObserver, watched: Collection[WatchedFolder]) -> None:
        from watchdog.events import FileSystemEventHandler

        handler = FileSystemEventHandler()
        handler.on_any_event = self._changed  # type: ignore[method-assign]
        observer.start()
        for one in watched:
            observer.schedule(handler, str(self._root / one.folder), recursive=one.recursive)
        # watchdog does not report that it reached a limit below a folder. Adding one more watch
        # then fails.
        one_more = observer.schedule(FileSystemEventHandler(), self._root.anchor, recursive=False)
        observer.unschedule(one_more)

    def _changed(self, event: FileSystemEvent) -> None:
        if event.event_type in ("opened", "closed_no_write"):
            return
        if event.is_directory:
            # skip a modified folder, because its files send their own events
            if event.event_type != "modified":
                self._on_change("")
            return
        for path in (event.src_path, event.dest_path):
            if path:
                self._on_change(os.path.relpath(os.fsdecode(path), self._root).replace(os.sep, "/"))


def _reason(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EMFILE):
        return f"{error.strerror} (fs.inotify.max_user_watches, fs.inotify.max_user_instances)"
    return error.strerror or str(error)


def _folders(files: Iterable[str]) -> set[str]:
    """All folders that contain these files, and their parents; "" is the root."""
    found = {""}
    for path in files:
        folder = _parent(path)
        while folder not in found:
            found.add(folder)
            folder = _parent(folder)
    return found


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _has_heavy(root: Path, folder: str, folders: Collection[str]) -> bool:
    """Whether a subfolder without indexed files has subfolders.

    By this rule __pycache__ is watched, and node_modules is not.
    """
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
        return True  # the folder is missing or unreadable


def _has_folders(path: str) -> bool:
    with os.scandir(path) as entries:
        return any(entry.is_dir(follow_symlinks=False) for entry in entries)
