"""An advisory lock that lets only one session at a time write to a workspace.

The lock is a file in the state folder, locked with flock (msvcrt on Windows). The kernel releases
the lock when the process that holds it ends for any reason. The file's content names the holder in
messages; the lock does not depend on the content.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from localagent.core.errors import WorkspaceError
from localagent.core.locks import BUSY, lock_now, unlock
from localagent.core.paths import private, state_dir, workspace_key
from localagent.history.checkpoints.turn_log import Transaction

ORPHAN_SECONDS = 2.0
"""How long `acquire` waits for the processes that a dead holder left behind."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The process and session that hold a workspace's lock. An unknown `pid` is 0."""

    pid: int
    session: str

    def __str__(self) -> str:
        return f"session {self.session or '?'} (process {self.pid or '?'})"

    def alive(self) -> bool:
        """Whether the process exists. An unknown process counts as alive."""
        if not self.pid or sys.platform == "win32":
            return True
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:  # another user's process
            return True
        return True


class WorkspaceLock:
    """A workspace's lock, held until `release` or the end of a `with` block."""

    def __init__(self, fd: int, session: str, workspace: str) -> None:
        self._fd = fd
        self._workspace = workspace
        self.session = session

    def release(self) -> None:
        """Release the lock; a second call does nothing."""
        if self._fd >= 0:
            # The file is not deleted: otherwise two sessions could lock two files with this name.
            os.ftruncate(self._fd, 0)
            unlock(self._fd)
            os.close(self._fd)
            self._fd = -1

    def pass_on(self, session: str) -> None:
        """Pass the lock to another session of this process. Raises OSError."""
        _sign(self._fd, session, self._workspace)
        self.session = session

    def __enter__(self) -> WorkspaceLock:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()


def acquire(root: Path, session_id: str) -> WorkspaceLock | Holder:
    """Take the lock on the workspace `root` without waiting for a live holder.

    A process that the holder was just starting may keep the lock for a moment after the holder's
    death; up to `ORPHAN_SECONDS` are spent on that. Returns the lock, or its holder if another
    session has it. Raises WorkspaceError if the lock file cannot be opened.
    """
    end = time.monotonic() + ORPHAN_SECONDS
    while True:
        lock = _acquire_now(root, session_id)
        if isinstance(lock, WorkspaceLock) or lock.alive() or time.monotonic() > end:
            return lock
        time.sleep(0.02)


def _acquire_now(root: Path, session_id: str) -> WorkspaceLock | Holder:
    real = os.path.realpath(root)
    try:
        path = workspace_file(real, "lock")
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        fd = os.open(path, flags, 0o600)
    except OSError as error:
        raise WorkspaceError(
            f"cannot lock the workspace: {error.strerror} ({error.filename})",
            "check the free space and the permissions of localagent's state folder",
        ) from error
    try:
        lock_now(fd)
        _sign(fd, session_id, real)
    except OSError as error:
        holder = _holder(fd)
        os.close(fd)
        if error.errno in BUSY:
            return holder
        raise WorkspaceError(f"cannot lock the workspace: {error.strerror}", "") from error
    return WorkspaceLock(fd, session_id, real)


def workspace_file(root: str | Path, kind: str) -> Path:
    """The path of the file with the suffix `kind` for the workspace `root`, in the folder `locks`.

    Makes the folder if it is missing. Raises OSError.
    """
    return private(state_dir() / "locks") / f"{workspace_key(root)}.{kind}"


def _sign(fd: int, session: str, workspace: str) -> None:
    """Write this process, the session and the workspace into the lock file."""
    content = {"pid": os.getpid(), "session": session, "workspace": workspace}
    os.ftruncate(fd, 0)
    os.lseek(fd, 0, os.SEEK_SET)
    os.write(fd, json.dumps(content).encode())


def _holder(fd: int) -> Holder:
    """Read the holder from the lock file. A holder that has just begun may be missing there."""
    try:
        os.lseek(fd, 0, os.SEEK_SET)
        content = json.loads(os.read(fd, 1 << 16))
        return Holder(int(content["pid"]), str(content["session"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Holder(0, "")


def next_timestamp(workspace: Path, earlier: Iterable[Transaction]) -> int:
    """The time of a new change, in nanoseconds since 1970.

    The time is later than all of `earlier`, and later than the last change in `workspace`. The
    caller must hold the workspace's lock.
    """
    with suppress(OSError):
        place = workspace_file(workspace, "last")
        now = max(_now(earlier), _read(place) + 1)
        place.write_text(str(now), encoding="ascii")
        return now
    return _now(earlier)


def _now(earlier: Iterable[Transaction]) -> int:
    return max([time.time_ns(), *(apply.time + 1 for apply in earlier)])


def _read(place: Path) -> int:
    try:
        return int(place.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return 0  # the first change, or a torn write
