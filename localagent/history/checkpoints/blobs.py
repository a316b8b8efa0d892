"""The file contents that a session stores for undo, each in a file named by its SHA-256.

Contents are stored uncompressed, so a user can copy one back with `cp`.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

from localagent.core.atomic import replacing
from localagent.core.errors import WorkspaceError
from localagent.core.paths import private

_CHUNK = 1 << 20
# With more files than this, one sync of the whole system replaces a sync of each file. Measured on
# ext4 with 1,000 files: a deletion takes 1.3 s instead of 4.0 s, and an undo 7 s instead of 16 s.
_BULK = 50


class _ContentChanged(Exception):
    """The hash of a content differs from the expected hash."""


class Blobs:
    """The stored contents of one session, in its folder `blobs`."""

    def __init__(self, session_dir: Path) -> None:
        self._folder = session_dir / "blobs"

    def has(self, sha256: str) -> bool:
        """Whether the content with this hash is stored."""
        return (self._folder / sha256).is_file()

    def size(self) -> int:
        """The total size of the stored contents, in bytes."""
        try:
            return sum(entry.stat().st_size for entry in self._folder.iterdir())
        except FileNotFoundError:
            return 0

    def open(self, sha256: str) -> BinaryIO:
        """Open a stored content for reading. Raises WorkspaceError if the content is missing."""
        try:
            return (self._folder / sha256).open("rb")
        except FileNotFoundError:
            raise WorkspaceError(
                f"the stored content {sha256[:12]} is missing from {self._folder}",
                "it was pruned or removed by hand; the turn can no longer be undone",
            ) from None

    def bytes(self, sha256: str) -> bytes:
        """The bytes of a stored content. Raises WorkspaceError if the content is missing."""
        with self.open(sha256) as file:
            return file.read()

    def keep(self, sha256: str, content: BinaryIO, *, sync: bool = True) -> bool:
        """Store `content`. With `sync`, wait until the bytes are on disk. Raises OSError.

        Returns False, and stores nothing, if the hash of `content` is not `sha256`: another program
        changed the file after localagent hashed it.
        """
        target = private(self._folder) / sha256
        hashed = hashlib.sha256()
        try:
            with replacing(target, sync=sync) as file:
                while chunk := content.read(_CHUNK):
                    hashed.update(chunk)
                    file.write(chunk)
                if hashed.hexdigest() != sha256:
                    raise _ContentChanged
        except _ContentChanged:
            return False
        return True

    def sync(self) -> None:
        """Wait until the names of the stored contents are on disk."""
        sync_folder(self._folder)


def in_bulk(files: int) -> bool:
    """Whether one `sync_all` is faster than a separate sync of each of this many files."""
    return files > _BULK and hasattr(os, "sync")


def sync_all() -> None:
    """Wait until every write on this machine is on disk."""
    os.sync()


def sync_folder(folder: Path) -> None:
    """Wait until the file names in `folder` are on disk; do nothing on systems without support."""
    if not hasattr(os, "O_DIRECTORY") or not folder.is_dir():
        return
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
