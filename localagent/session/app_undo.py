"""Undo and redo, as the command line and a session offer them: those of the journal, and a record
in the audit log."""

from __future__ import annotations

from pathlib import Path

from localagent.config.settings import load as load_settings
from localagent.history.audit.log import AuditLog
from localagent.history.checkpoints.undo import Undone, undo_from
from localagent.history.checkpoints.undo import redo as redo_turn
from localagent.history.checkpoints.undo import undo as undo_turn
from localagent.history.checkpoints.workspace_lock import WorkspaceLock
from localagent.workspace.workspace import Workspace


def undo(
    workspace: Path,
    target: str | None = None,
    *,
    force: bool = False,
    lock: WorkspaceLock | None = None,
) -> Undone:
    """Take back a turn's changes (the last one's by default); see `journal.undo`."""
    root = Workspace.open(workspace).root
    return _logged("undo", root, undo_turn(root, target, force=force, lock=lock))


def redo(
    workspace: Path,
    target: str | None = None,
    *,
    force: bool = False,
    lock: WorkspaceLock | None = None,
) -> Undone:
    """Take back an undo; see `journal.undo`."""
    root = Workspace.open(workspace).root
    return _logged("redo", root, redo_turn(root, target, force=force, lock=lock))


class WorkspaceUndoing:
    """Implements `session.Undoing`. `lock` is the workspace's, where the session holds it."""

    def __init__(self, root: Path, session: str, lock: WorkspaceLock | None) -> None:
        self._root = root
        self._session = session
        self._lock = lock

    def undo(self, which: str | None, force: bool) -> Undone:
        """See `journal.undo.undo`."""
        done = undo_turn(self._root, which, force=force, lock=self._lock)
        return _logged("undo", self._root, done)

    def redo(self, which: str | None, force: bool) -> Undone:
        """See `journal.undo.redo`."""
        done = redo_turn(self._root, which, force=force, lock=self._lock)
        return _logged("redo", self._root, done)

    def back_to(self, turn: int) -> list[Undone]:
        """See `journal.undo.undo_from`."""
        done = undo_from(self._root, self._session, turn, lock=self._lock)
        return [_logged("undo", self._root, one) for one in done]


def _logged(what: str, root: Path, done: Undone) -> Undone:
    """Put an undo or redo into the audit log of the session whose turn it was."""
    if load_settings(root).audit != "off":
        with AuditLog(done.session) as log:
            log.write({"type": what, "turn": done.turn})
            for change in done.changed:
                log.append(change)
            log.sync()
    return done
