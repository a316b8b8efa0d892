"""Taking a turn's changes back, and bringing them again.

An undo is itself a checkpointed change, so it is as safe to kill as any other, running it again
completes it, and `redo` takes it back in turn. It needs the records in `checkpoints/` and the
kept contents only, not the transcript.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from localagent.core.errors import LocalAgentError, UsageError, WorkspaceError
from localagent.core.events import FileChanged
from localagent.core.paths import sessions_dir
from localagent.history.checkpoints.apply import explain
from localagent.history.checkpoints.change_set import ChangeSet, build_change_set
from localagent.history.checkpoints.checkpoint import commit, recover_workspace
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
from localagent.workspace.safe_files import PathState, SafeDir

_SHOWN = 5  # names in a message


@dataclass(frozen=True, slots=True)
class UndoResult:
    """What was undone or redone. `kept` are folders that the turn had made and that stay, since
    they now hold something else."""

    session: str
    turn: int
    changed: tuple[FileChanged, ...]
    kept: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Turn:
    """A turn's record, what stands of it, and its last undo if that is what came last."""

    log: TurnLog
    time: int
    live: dict[str, NetChange]
    undo: Transaction | None

    @property
    def name(self) -> str:
        return f"{self.log.session}:{self.log.turn}"


def undo(
    root: Path,
    which: str | None = None,
    *,
    force: bool = False,
    sessions: Path | None = None,
    lock: WorkspaceLock | None = None,
) -> UndoResult:
    """Give every path that a turn changed in `root` the content, mode and kind it had before,
    and remove the folders that the turn made and that are empty then.

    `which` is "SESSION:TURN", "SESSION" (its last turn), "TURN" (of the workspace's newest
    session that has it), or None: the last turn, of any session, that changed something here and
    is not undone yet. A session may be named by the start of its id.
    A path that was changed after the turn is not overwritten: then nothing is undone, unless
    `force`. `lock` is the workspace's lock where the caller holds it; else it is taken.

    Raises UsageError (no such turn, nothing to undo) and WorkspaceError (changed by hand, locked
    by another session, kept content gone, no space or permission).
    """

    def choose(turns: list[_Turn]) -> _Turn:
        return _chosen(turns, which, lambda turn: bool(turn.live), "undo")

    def goals(turn: _Turn) -> dict[str, NetChange]:
        return turn.live

    return _run("undo", Path(root), choose, goals, force, sessions, lock)


def redo(
    root: Path,
    which: str | None = None,
    *,
    force: bool = False,
    sessions: Path | None = None,
    lock: WorkspaceLock | None = None,
) -> UndoResult:
    """Take back the last undo in `root`, or that of the turn `which`; otherwise as `undo`."""

    def choose(turns: list[_Turn]) -> _Turn:
        return _chosen(turns, which, lambda turn: turn.undo is not None, "redo")

    def goals(turn: _Turn) -> dict[str, NetChange]:
        steps = turn.undo.steps if turn.undo else ()
        return {s.path: NetChange(s.before, s.after, (s.before, s.after)) for s in steps}

    return _run("redo", Path(root), choose, goals, force, sessions, lock)


def undo_from(
    root: Path,
    session: str,
    turn: int,
    *,
    sessions: Path | None = None,
    lock: WorkspaceLock | None = None,
) -> list[UndoResult]:
    """Take back what the turns of the session of this whole id changed in `root`, from `turn` on,
    the last one first: all, or where one cannot be undone, none. Raises as `undo`."""
    line = list(lineage(session))
    later = [
        one
        for one in _turns(root, sessions or sessions_dir())
        if one.live and one.log.turn >= turn and any(_from(one, each) for each in line)
    ]
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


def _run(
    kind: str,
    root: Path,
    choose: Callable[[list[_Turn]], _Turn],
    goals: Callable[[_Turn], dict[str, NetChange]],
    force: bool,
    sessions: Path | None,
    lock: WorkspaceLock | None,
) -> UndoResult:
    if not root.is_dir():
        raise WorkspaceError(f"there is no folder {root}", "name the workspace's folder")
    sessions = sessions or sessions_dir()
    with _locked(root, kind, lock):
        recover_workspace(root, sessions)
        turn = choose(_turns(root, sessions))
        changes = goals(turn)
        with SafeDir(root) as tree:
            try:
                planned = _plan(tree, turn, changes, force)
            except OSError as error:
                raise explain(error, str(error.filename or root)) from error
            changed = commit(
                tree, turn.log, "undo" if kind == "undo" else "redo", planned, {}, _UNBOUNDED
            )
    return UndoResult(turn.log.session, turn.log.turn, tuple(changed), planned.kept)


# What an undo overwrites was written by a turn, so it is no larger than what that was bounded by;
# and being unable to undo for want of room would be the worst of outcomes.
_UNBOUNDED = 1 << 62


def _plan(tree: SafeDir, turn: _Turn, changes: Mapping[str, NetChange], force: bool) -> ChangeSet:
    """The steps back. Raises WorkspaceError where someone else's work would be lost."""
    by_hand = [path for path, n in changes.items() if not _known(tree.state(path), n)]
    goals = {path: n.before for path, n in changes.items()}
    # Folders that are to go are spared when something else is in them, also under force.
    gone = {path: goal for path, goal in goals.items() if goal.kind == "absent"}
    kept = build_change_set(tree, gone, clear=False).kept
    planned = build_change_set(tree, {p: g for p, g in goals.items() if p not in kept}, clear=force)
    conflicts = sorted({*by_hand, *planned.blocked})
    if conflicts and not force:
        shown = ", ".join(conflicts[:_SHOWN])
        more = f" and {len(conflicts) - _SHOWN} more" if len(conflicts) > _SHOWN else ""
        raise WorkspaceError(
            f"changed since turn {turn.name}: {shown}{more}; nothing was undone",
            "--force overwrites them; what they hold now is kept, and `redo` brings it back",
        )
    return ChangeSet(planned.steps, tuple(sorted({*kept, *planned.kept})))


def _known(now: PathState, n: NetChange) -> bool:
    """Whether the turn itself found or left the path like this."""
    return now in n.known


def _locked(root: Path, purpose: str, lock: WorkspaceLock | None) -> AbstractContextManager[object]:
    if lock is not None:
        return nullcontext()
    taken = acquire(root, purpose)
    if isinstance(taken, Holder):
        raise WorkspaceError(f"{root} is in use by {taken}", "end that session first")
    return taken


def _turns(root: Path, sessions: Path) -> list[_Turn]:
    """All turns that changed something in `root`, oldest change first."""
    turns = []
    for log, applies in all_logs(sessions, str(root.resolve())):
        last = last_done(applies)
        if last is not None:
            undone = last if last.kind == "undo" else None
            turns.append(_Turn(log, last.time, net_changes(applies), undone))
    return sorted(turns, key=lambda turn: turn.time)


def _chosen(
    turns: list[_Turn], which: str | None, fits: Callable[[_Turn], bool], verb: str
) -> _Turn:
    named = turns if which is None else list(_matching(turns, which))
    fitting = [turn for turn in named if fits(turn)]
    if fitting:
        return fitting[-1]
    if which is None:
        raise UsageError(f"there is nothing to {verb} in this workspace")
    if not named:
        raise UsageError(f"no turn {which} changed anything in this workspace", _existing(turns))
    raise UsageError(f"there is nothing to {verb} in turn {which}", _existing(turns))


def _matching(turns: list[_Turn], which: str) -> Iterable[_Turn]:
    session, _, number = which.rpartition(":")
    if not session and not number.isdigit():
        session, number = which, ""
    elif not session or len(number) > 4:
        # "20261122" is the start of a session's id rather than a turn's number.
        session, number = ("", number) if len(number) <= 4 else (which, "")
    found = [turn for turn in turns if not number or turn.log.turn == int(number)]
    if session:
        return _of(session, found, turns)
    newest = max((turn.log.session for turn in found), default="")
    return [turn for turn in found if turn.log.session == newest]


def _of(session: str, found: list[_Turn], turns: list[_Turn]) -> list[_Turn]:
    """Those of `found` that are a session's, with the turns that it has from where it was forked.

    Raises UsageError where these were deleted, and for an unknown session.
    """
    known = sorted({*session_ids(), *(turn.log.session for turn in turns)})
    line = list(lineage(find_session(session, known)))
    of_it = [turn for turn in found if any(_from(turn, one) for one in line)]
    if not of_it and len(line) > 1 and not exists(line[-1].session):
        raise UsageError(
            f"what was changed before {line[0].session} was forked can no longer be undone",
            f"session {line[-1].session}, where it was made, is deleted",
        )
    return of_it


def _from(turn: _Turn, session: Parent) -> bool:
    return turn.log.session == session.session and turn.log.turn <= session.turn


def _existing(turns: list[_Turn]) -> str:
    names = [turn.name for turn in turns[-_SHOWN:]]
    return f"turns that changed something here: {', '.join(names)}" if names else ""
