"""Undo and redo of a turn's changes.

An undo is itself a change with a checkpoint. If it is killed, the next run takes it back like any
other unfinished change. `redo` reverses a completed undo. An undo needs the logs in `checkpoints/`
and the stored contents, but no transcript.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from localagent.core.errors import LocalAgentError, UsageError, WorkspaceError
from localagent.core.events import FileChanged
from localagent.core.paths import sessions_dir
from localagent.history.checkpoints.change_set import ChangeSet, build_change_set
from localagent.history.checkpoints.checkpoint import commit, recover_workspace
from localagent.history.checkpoints.transaction import explain
from localagent.history.checkpoints.turn_log import (
    NetChange,
    Transaction,
    TurnLog,
    all_logs,
    last_done,
    net_changes,
)
from localagent.history.checkpoints.workspace_lock import Holder, WorkspaceLock, acquire
from localagent.history.sessions.catalog import exists, lineage
from localagent.history.sessions.transcript import Parent, find_session, session_ids
from localagent.workspace.safe_files import SafeDir

Kind = Literal["undo", "redo"]
_MAX_NAMES = 5  # in a message
# An undo may store any number of bytes. The turn's own changes were already limited, and the user
# must never be unable to undo them.
_UNBOUNDED = 1 << 62


@dataclass(frozen=True, slots=True)
class UndoResult:
    """The result of an undo or redo.

    `kept` are the turn's folders that were not deleted, because they now hold other files.
    """

    session: str
    turn: int
    changed: tuple[FileChanged, ...]
    kept: tuple[str, ...]

    @property
    def reverted(self) -> dict[str, tuple[str | None, str | None]]:
        """The SHA-256 of each file's content before and after the changes that were taken back."""
        return {c.path: (c.after_sha256, c.before_sha256) for c in self.changed}


@dataclass(frozen=True, slots=True)
class _Turn:
    """A turn's log, its changes in effect, and its undo if the undo is its last transaction."""

    log: TurnLog
    time: int
    live: dict[str, NetChange]
    undo: Transaction | None

    @property
    def name(self) -> str:
        return f"{self.log.session}:{self.log.turn}"

    def changes(self, kind: Kind) -> dict[str, NetChange]:
        """The changes to take back, by path: for "undo" the turn's, for "redo" its undo's."""
        if kind == "undo":
            return self.live
        steps = self.undo.steps if self.undo else ()
        return {s.path: NetChange(s.before, s.after, (s.before, s.after)) for s in steps}


def undo(
    root: Path,
    which: str | None = None,
    *,
    force: bool = False,
    sessions: Path | None = None,
    lock: WorkspaceLock | None = None,
) -> UndoResult:
    """Undo a turn: restore the old content, mode and kind of every path that it changed in `root`.

    A folder that the turn made is deleted if the undo leaves it empty. `which` selects the turn:

    - "SESSION:TURN"; SESSION is an id, or the start of one;
    - "SESSION": the last turn of this session;
    - "TURN": the turn with this number in the newest session that has one;
    - None: the last turn, of any session, with changes in effect here.

    `lock` is the workspace's lock if the caller holds it. If a path changed after the turn, nothing
    is undone, unless `force` says to overwrite such paths.

    Raises UsageError (no such turn, or nothing to undo) and WorkspaceError (changed by hand, locked
    by another session, stored content missing, no space, or no permission).
    """

    return _run("undo", Path(root), which, force, sessions, lock)


def redo(
    root: Path,
    which: str | None = None,
    *,
    force: bool = False,
    sessions: Path | None = None,
    lock: WorkspaceLock | None = None,
) -> UndoResult:
    """Reverse the last undo in `root`, or the undo of the turn `which`.

    The parameters and the errors are those of `undo`.
    """
    return _run("redo", Path(root), which, force, sessions, lock)


def undo_from(
    root: Path,
    session: str,
    turn: int,
    *,
    sessions: Path | None = None,
    lock: WorkspaceLock | None = None,
) -> list[UndoResult]:
    """Undo the turns of a session in `root`, from the last turn back to `turn`.

    `session` is a full id. If one of the turns cannot be undone, none is. Raises the same errors as
    `undo`.
    """
    later = _turns_from(root, session, turn, sessions or sessions_dir())
    if not later:
        return []
    with _locked(root, "undo", lock) as held:
        mine = held if isinstance(held, WorkspaceLock) else lock
        done: list[UndoResult] = []
        try:
            for one in sorted(later, key=lambda one: one.log.turn, reverse=True):
                done.append(undo(root, one.name, sessions=sessions, lock=mine))
        except LocalAgentError:
            for each in reversed(done):
                redo(root, f"{each.session}:{each.turn}", sessions=sessions, lock=mine)
            raise
    return done


def changed_from(root: Path, session: str, turn: int) -> list[str]:
    """The paths that `undo_from` would restore, in order."""
    turns = _turns_from(root, session, turn, sessions_dir())
    return sorted({path for one in turns for path in one.live})


def _turns_from(root: Path, session: str, turn: int, sessions: Path) -> list[_Turn]:
    """The turns of a session from `turn` on that have changes in effect in `root`."""
    line = list(lineage(session))
    return [
        one
        for one in _turns(root, sessions)
        if one.live and one.log.turn >= turn and any(_from(one, each) for each in line)
    ]


def _run(
    kind: Kind,
    root: Path,
    which: str | None,
    force: bool,
    sessions: Path | None,
    lock: WorkspaceLock | None,
) -> UndoResult:
    if not root.is_dir():
        raise WorkspaceError(f"there is no folder {root}", "name the workspace's folder")
    sessions = sessions or sessions_dir()
    with _locked(root, kind, lock):
        if failed := recover_workspace(root, sessions).failed:
            raise WorkspaceError(
                f"cannot take back the unfinished change of {failed[0]}",
                "check the owners and the modes of the files and their folders",
            )
        turn = _chosen(_turns(root, sessions), which, kind)
        with SafeDir(root, turn.log) as tree:
            try:
                change_set = _changes_back(tree, turn, turn.changes(kind), force)
            except OSError as error:
                raise explain(error, str(error.filename or root)) from error
            changed = commit(tree, turn.log, kind, change_set, {}, _UNBOUNDED)
    return UndoResult(turn.log.session, turn.log.turn, tuple(changed), change_set.kept)


def _changes_back(
    tree: SafeDir, turn: _Turn, changes: Mapping[str, NetChange], force: bool
) -> ChangeSet:
    """Build the change set that takes `changes` back.

    Raises WorkspaceError if a path changed after the turn, unless `force` is given.
    """
    by_hand = [path for path, n in changes.items() if tree.state(path) not in n.known]
    goals = {path: n.before for path, n in changes.items()}
    # Even with `force`, a folder that holds other files is not deleted.
    deleted = {path: goal for path, goal in goals.items() if goal.kind == "absent"}
    kept = build_change_set(tree, deleted, clear=False).kept
    change_set = build_change_set(
        tree, {p: g for p, g in goals.items() if p not in kept}, clear=force
    )
    conflicts = sorted({*by_hand, *change_set.blocked})
    if conflicts and not force:
        names = ", ".join(conflicts[:_MAX_NAMES])
        more = f" and {len(conflicts) - _MAX_NAMES} more" if len(conflicts) > _MAX_NAMES else ""
        raise WorkspaceError(
            f"changed since turn {turn.name}: {names}{more}; nothing was undone",
            "--force overwrites them; `redo` then restores their present content",
        )
    return ChangeSet(change_set.steps, tuple(sorted({*kept, *change_set.kept})))


def _locked(root: Path, purpose: str, lock: WorkspaceLock | None) -> AbstractContextManager[object]:
    if lock is not None:
        return nullcontext()
    taken = acquire(root, purpose)
    if isinstance(taken, Holder):
        raise WorkspaceError(f"{root} is in use by {taken}", "end that session first")
    return taken


def _turns(root: Path, sessions: Path) -> list[_Turn]:
    """All turns with a change in `root`, oldest change first."""
    turns = []
    workspace = str(root.resolve())
    for log in all_logs(sessions):
        applies = [apply for apply in log.transactions() if apply.workspace == workspace]
        last = last_done(applies)
        if last is not None:
            undone = last if last.kind == "undo" else None
            turns.append(_Turn(log, last.time, net_changes(applies), undone))
    return sorted(turns, key=lambda turn: turn.time)


def _chosen(turns: list[_Turn], which: str | None, kind: Kind) -> _Turn:
    matching = turns if which is None else list(_matching(turns, which))
    possible = [turn for turn in matching if turn.changes(kind)]
    if possible:
        return possible[-1]
    if which is None:
        raise UsageError(f"there is nothing to {kind} in this workspace")
    if not matching:
        raise UsageError(f"no turn {which} changed anything in this workspace", _existing(turns))
    raise UsageError(f"there is nothing to {kind} in turn {which}", _existing(turns))


def _matching(turns: list[_Turn], which: str) -> Iterable[_Turn]:
    session, _, number = which.rpartition(":")
    if not session and not number.isdigit():
        session, number = which, ""
    elif not session or len(number) > 4:
        # A long number such as "20261122" is the start of a session's id, not a turn's number.
        session, number = ("", number) if len(number) <= 4 else (which, "")
    matching = [turn for turn in turns if not number or turn.log.turn == int(number)]
    if session:
        return _of(session, matching, turns)
    newest = max((turn.log.session for turn in matching), default="")
    return [turn for turn in matching if turn.log.session == newest]


def _of(session: str, candidates: list[_Turn], turns: list[_Turn]) -> list[_Turn]:
    """The turns in `candidates` that belong to a session, or to its ancestors before the fork.

    Raises UsageError for an unknown session, and if a deleted ancestor may have held the turn.
    """
    known = sorted({*session_ids(), *(turn.log.session for turn in turns)})
    line = list(lineage(find_session(session, known)))
    of_it = [turn for turn in candidates if any(_from(turn, one) for one in line)]
    if not of_it and len(line) > 1 and not exists(line[-1].session):
        raise UsageError(
            f"changes made before {line[0].session} was forked can no longer be undone",
            f"session {line[-1].session}, which made these changes, was deleted",
        )
    return of_it


def _from(turn: _Turn, session: Parent) -> bool:
    return turn.log.session == session.session and turn.log.turn <= session.turn


def _existing(turns: list[_Turn]) -> str:
    names = [turn.name for turn in turns[-_MAX_NAMES:]]
    return f"turns that changed something here: {', '.join(names)}" if names else ""
