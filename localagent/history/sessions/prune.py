"""Deleting old sessions, so that what is kept stays within bounds."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from localagent.core.errors import WorkspaceError
from localagent.core.paths import sessions_dir
from localagent.history.checkpoints.workspace_lock import Holder, acquire
from localagent.history.sessions.transcript import find_session, is_in_use, list_sessions

_PREFIX = ".pruned-"


@dataclass(frozen=True, slots=True)
class Pruned:
    """One deleted session and how many bytes that freed."""

    session: str
    bytes: int


def disk_use(session: str) -> int:
    """Bytes that a session takes: transcript, records and kept contents."""
    return _size(sessions_dir() / session)


def candidates(max_bytes: int, keep: int = 10) -> list[Pruned]:
    """What `prune` would delete, oldest first; nothing is changed."""
    sessions = list_sessions()
    sizes = {found.session: disk_use(found.session) for found in sessions}
    total = sum(sizes.values())
    chosen: list[Pruned] = []
    for found in reversed(sessions[keep:]):
        if total <= max_bytes:
            break
        if is_in_use(found.session) or _at_work(found.session, found.workspace):
            continue
        total -= sizes[found.session]
        chosen.append(Pruned(found.session, sizes[found.session]))
    return chosen


def prune(max_bytes: int, keep: int = 10) -> list[Pruned]:
    """Delete the oldest sessions, whole, until all together take at most `max_bytes`.

    The newest `keep` stay in any case, and so does a session that is at work now. What is deleted
    can no longer be undone, resumed or replayed. Returns what was deleted, oldest first; a call
    that is killed is completed by the next. Raises WorkspaceError where deleting fails.
    """
    _finish_deleting()
    chosen = candidates(max_bytes, keep)
    for found in chosen:
        _remove(found.session)
    return chosen


def delete(session: str) -> Pruned:
    """Delete the session whose id is `session`, or begins or ends with it.

    Raises UsageError where there is none, and WorkspaceError where it is at work or deleting fails.
    """
    name = find_session(session)
    if is_in_use(name):
        raise WorkspaceError(f"session {name} is in use by another process", "end it there first")
    gone = Pruned(name, disk_use(name))
    _remove(name)
    return gone


def _remove(session: str) -> None:
    folder = sessions_dir() / session
    try:
        # Renamed first: a session that is half deleted must not be taken for a whole one.
        folder.rename(folder.with_name(_PREFIX + folder.name))
    except OSError as error:
        raise WorkspaceError(f"cannot delete {folder}: {error.strerror}") from error
    _finish_deleting()


def _finish_deleting() -> None:
    for folder in sessions_dir().glob(f"{_PREFIX}*"):
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise WorkspaceError(f"cannot delete {folder}: {error.strerror}") from error


def _at_work(session: str, workspace: str) -> bool:
    """Whether the session holds its workspace's lock."""
    if not workspace:
        return False
    taken = acquire(Path(workspace), "prune")
    if isinstance(taken, Holder):
        # One that has just begun may not have written its name yet.
        return taken.session in ("", session)
    taken.release()
    return False


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        if not path.is_symlink() and path.is_file():
            total += path.stat().st_size
    return total
