"""The log of one turn's changes: `checkpoints/turn-0001.jsonl` in the session's folder.

The log has five kinds of lines:

    {"op": "intent", "id", "kind", "workspace", "time", "steps": [{path, before, after}, …]}
    {"op": "done", "id", "modes": {path: mode}}
    {"op": "reverted", "id", "left": [path, …]}
    {"op": "unlock", "workspace", "path", "inode", "mode", "unlocked"}
    {"op": "locked", "workspace"}

An "intent" is on disk before the change begins. An intent without a "done" or "reverted" line
belongs to a transaction that a killed process did not finish. `kind` says who changed the
workspace: the agent ("turn"), or the user by "undo" or "redo". `modes` lists the paths to which the
file system gave a mode other than requested (FAT, some mounts), with that mode.

An "unlock" is on disk before the owner of a path adds permissions to it, to read it or what is
below it. A "locked" says that all paths below the workspace have their modes again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from localagent.core.paths import private
from localagent.history.checkpoints.blobs import sync_folder
from localagent.history.checkpoints.change_set import PathChange
from localagent.history.sessions import jsonl
from localagent.workspace.safe_files import PathState, Unlock

TransactionKind = Literal["turn", "undo", "redo"]
Outcome = Literal["open", "done", "reverted"]

_NAME = re.compile(r"turn-(\d{4,})\.jsonl")


@dataclass(frozen=True, slots=True)
class Transaction:
    """One all-or-nothing change. `time` is in nanoseconds since 1970."""

    id: str
    kind: TransactionKind
    workspace: str
    time: int
    steps: tuple[PathChange, ...]
    outcome: Outcome = "open"


@dataclass(frozen=True, slots=True)
class TurnRecords:
    """The transactions of a log by id, and by workspace and path what may still be unlocked."""

    transactions: dict[str, Transaction] = field(default_factory=dict)
    unlocks: dict[tuple[str, str], Unlock] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NetChange:
    """The change of one path by a whole turn.

    `before` and `after` are the path's first and last state; `known` are all its states.
    """

    before: PathState
    after: PathState
    known: tuple[PathState, ...]


class TurnLog:
    """The log of the turn with the number `turn` of the session in `session_dir`."""

    def __init__(self, session_dir: Path, turn: int) -> None:
        self.session_dir = session_dir
        self.turn = turn
        self._path = session_dir / "checkpoints" / f"turn-{turn:04d}.jsonl"

    @property
    def session(self) -> str:
        """The session's id."""
        return self.session_dir.name

    def intent(self, apply: Transaction) -> None:
        """Record a transaction before it begins. Raises OSError."""
        steps = [step.to_dict() for step in apply.steps]
        record = {"op": "intent", "id": apply.id, "kind": apply.kind, "time": apply.time}
        self._append({**record, "workspace": apply.workspace, "steps": steps})

    def done(self, apply_id: str, modes: dict[str, int | None]) -> None:
        """Record that a transaction is done. Raises OSError."""
        self._append({"op": "done", "id": apply_id, "modes": modes})

    def reverted(self, apply_id: str, left: Sequence[str]) -> None:
        """Record that a transaction was taken back, except the paths `left`. Raises OSError."""
        self._append({"op": "reverted", "id": apply_id, "left": list(left)})

    def unlock(self, root: Path, unlock: Unlock) -> None:
        """Record a path below `root` before permissions are added to it. Raises OSError."""
        self._append({"op": "unlock", "workspace": str(root), **asdict(unlock)})

    def locked(self, root: Path) -> None:
        """Record that all paths below `root` have their modes again. Raises OSError."""
        self._append({"op": "locked", "workspace": str(root)})

    def _append(self, record: dict[str, Any]) -> None:
        new = not self._path.exists()
        with jsonl.Appender(private(self._path.parent) / self._path.name) as file:
            file.append(record, sync=True)
        if new:
            sync_folder(self._path.parent)
            sync_folder(self.session_dir)

    def transactions(self) -> list[Transaction]:
        """All transactions in order, without damaged lines. Raises OSError."""
        return list(self.records().transactions.values())

    def records(self) -> TurnRecords:
        """The content of the log, without damaged lines. Raises OSError."""
        records = TurnRecords()
        for record in jsonl.read(self._path).records:
            try:
                _replay(records, record)
            except (KeyError, TypeError, AttributeError):
                continue  # torn, or written by another version
        return records


def _replay(records: TurnRecords, record: dict[str, Any]) -> None:
    transactions, unlocks = records.transactions, records.unlocks
    if record["op"] == "unlock":
        unlock = Unlock(record["path"], record["inode"], record["mode"], record["unlocked"])
        unlocks[record["workspace"], unlock.path] = unlock
    elif record["op"] == "locked":
        for key in [key for key in unlocks if key[0] == record["workspace"]]:
            del unlocks[key]
    elif record["op"] == "intent":
        steps = tuple(PathChange.from_dict(step) for step in record["steps"])
        transactions[record["id"]] = Transaction(
            record["id"], record["kind"], record["workspace"], record["time"], steps
        )
    elif record["op"] == "done":
        apply = transactions[record["id"]]
        steps = tuple(_with_mode(step, record["modes"]) for step in apply.steps)
        transactions[apply.id] = replace(apply, steps=steps, outcome="done")
        for step in steps:  # the new mode counts; it may be the same as the unlocked one
            key = (apply.workspace, step.path)
            if key in unlocks and unlocks[key].mode != step.after.mode:
                del unlocks[key]
    elif record["op"] == "reverted":
        transactions[record["id"]] = replace(transactions[record["id"]], outcome="reverted")


def _with_mode(step: PathChange, modes: dict[str, int | None]) -> PathChange:
    if step.path not in modes:
        return step
    return replace(step, after=replace(step.after, mode=modes[step.path]))


def turn_logs(session_dir: Path) -> list[TurnLog]:
    """The logs of all turns of a session that changed the workspace, in order."""
    try:
        names = [entry.name for entry in (session_dir / "checkpoints").iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    turns = [int(match[1]) for name in names if (match := _NAME.fullmatch(name))]
    return [TurnLog(session_dir, turn) for turn in sorted(turns)]


def all_logs(sessions: Path) -> Iterator[TurnLog]:
    """The log of every turn of the sessions in the folder `sessions`."""
    try:
        folders = sorted(entry for entry in sessions.iterdir() if entry.is_dir())
    except FileNotFoundError:
        return
    for folder in folders:
        yield from turn_logs(folder)


def last_done(applies: Sequence[Transaction]) -> Transaction | None:
    """The last transaction that was completed and not reverted, or None."""
    return next((apply for apply in reversed(applies) if apply.outcome == "done"), None)


def net_changes(applies: Sequence[Transaction]) -> dict[str, NetChange]:
    """The changes of a turn that are in effect, by path.

    After an undo, there are none; after a redo, there are all of the turn's changes again.
    """
    live: dict[str, NetChange] = {}
    for apply in applies:
        if apply.outcome != "done":
            continue
        if apply.kind == "undo":
            live = {}
            continue
        for step in apply.steps:
            was = live.get(step.path, NetChange(step.before, step.before, (step.before,)))
            live[step.path] = NetChange(
                was.before, step.after, (*was.known, step.before, step.after)
            )
    return {path: change for path, change in live.items() if change.before != change.after}
