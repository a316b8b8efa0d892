"""The audit log: a tamper-evident record of what every session did.

    audit/<session>.jsonl   one chain per session (see `hash_chain`)
    audit/head.jsonl        one chain for all: the number and hash of each session's new record
    audit/lock              held during a write

The chain in a session's file reveals a changed, inserted, moved or removed record. The head reveals
a shortened or missing file. A program that can write to this folder can forge every file, including
the head. Only a head hash that the user noted elsewhere reveals such a forgery (`audit head`,
`audit verify --head`).

The sandbox hides localagent's data folder, so commands cannot reach these files. The log writes the
record of an event before the front end sees the event. If the log cannot write, WorkspaceError ends
the turn, so no action goes unrecorded.
"""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localagent.core.clock import timestamp
from localagent.core.errors import UsageError, WorkspaceError
from localagent.core.events import Blocked, Decision, Event, SessionStarted, TurnFinished
from localagent.core.locks import locked
from localagent.core.paths import data_dir, private
from localagent.history.audit.hash_chain import Link, append, end_of, open_chain, repair, scan
from localagent.history.audit.records import record_of
from localagent.history.sessions.transcript import find_session

HEAD = "head.jsonl"
LOCK = "lock"
TIP, PRUNED, BASE, COMPACTED = "tip", "pruned", "base", "compacted"
# The records of these events are synced to disk at once; all other records at the end of the turn.
_SYNCED = (Decision, Blocked, TurnFinished)


def audit_dir() -> Path:
    """The folder of the audit log; the folder may not exist yet."""
    return data_dir() / "audit"


class AuditLog:
    """The log of one session, open for appending. Several processes may append at the same time."""

    def __init__(
        self, session: str, *, texts: bool = False, facts: dict[str, Any] | None = None
    ) -> None:
        """Open the log of `session`, and create it if it is missing. Raises WorkspaceError.

        With `texts`, records hold prompts and replies in full; without, they hold only the hashes.
        `facts` are added to the record of the session's start.
        """
        self.session = session
        self._texts = texts
        self._facts = facts or {}
        self._fd = -1
        self._tip = Link()
        try:
            self._folder = private(audit_dir())
            with locked(self._folder / LOCK):
                self._fd = open_chain(self._folder / f"{session}.jsonl")
                _hold(self._fd)
        except OSError as error:
            self.close()
            raise _failed(error) from error

    def append(self, event: Event) -> None:
        """Append the record of `event`, if it has one. Raises WorkspaceError."""
        record = record_of(event, texts=self._texts)
        if record is None:
            return
        if isinstance(event, SessionStarted):
            record |= self._facts
        self.write(record, sync=isinstance(event, _SYNCED))

    aside = append
    """Record an event outside of the conversation (`session.Recorder`).

    The audit log treats such an event like any other, because a model reads it too.
    """

    def write(self, record: dict[str, Any], *, sync: bool = False) -> None:
        """Append one record. With `sync`, wait until the record is on disk.

        Raises WorkspaceError.
        """
        try:
            with locked(self._folder / LOCK):
                # The head is opened anew for each record, because `prune` may have replaced it.
                head = open_chain(self._folder / HEAD)
                try:
                    if self._tip != end_of(self._fd):  # another process wrote last
                        self._record_tip(head, _unrecorded(self._folder, self.session, self._fd))
                    self._record_tip(head, repair(self._fd))
                    self._record_tip(head, append(self._fd, {"time": timestamp(), **record}))
                    if sync:
                        os.fsync(head)
                finally:
                    os.close(head)
            if sync:
                os.fsync(self._fd)
        except OSError as error:
            raise _failed(error) from error

    def _record_tip(self, head: int, link: Link | None) -> None:
        """Record the new end of this session's chain in the head."""
        if link is not None:
            tip = {"type": TIP, "file": self.session, "count": link.seq, "last": link.hash}
            append(head, {"time": timestamp(), **tip})
            self._tip = link

    def sync(self) -> None:
        """Wait until every record is on disk. Raises WorkspaceError."""
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise _failed(error) from error

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def discard(self) -> None:
        """Close the file, and delete it if it is empty."""
        empty = self._fd >= 0 and os.fstat(self._fd).st_size == 0
        self.close()
        if empty:
            with contextlib.suppress(OSError):
                (self._folder / f"{self.session}.jsonl").unlink()

    def __enter__(self) -> AuditLog:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _hold(fd: int) -> None:
    """Lock the open file, so that `prune` skips it until it is closed."""
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)


def _unrecorded(folder: Path, session: str, fd: int) -> Link | None:
    """The last record of a session if the head has no entry for it, or None.

    A writer that is killed leaves at most one such record. If there are more, `verify` reports
    them.
    """
    link = end_of(fd)
    known = 0
    data = (folder / HEAD).read_bytes() if link.seq else b""
    for record in (line.record for line in scan(data) if line.record is not None):
        if record.get("type") == BASE:
            known = record["files"].get(session, (0, ""))[0]
        elif record.get("file") == session:
            known = record["count"] if record.get("type") == TIP else 0  # 0: the file was pruned
    return link if link.seq == known + 1 else None


def _failed(error: OSError) -> WorkspaceError:
    return WorkspaceError(
        f"cannot write the audit log: {error.strerror or error}",
        f"check the free space and the permissions of {audit_dir()}",
    )


# Reading


@dataclass(frozen=True, slots=True)
class LoggedSession:
    """A summary of one session in the audit log.

    `changed` counts the written files, and `refused` the denied and blocked actions. `unreadable`
    counts the lines that do not match their hash.
    """

    session: str
    started: str
    ended: str
    workspace: str
    model: str
    records: int
    changed: int
    refused: int
    bytes: int
    unreadable: int


def sessions() -> list[LoggedSession]:
    """All sessions in the audit log, newest first. Raises WorkspaceError."""
    logged = [_summary(name) for name in _names()]
    return sorted(logged, key=lambda one: (one.started, one.session), reverse=True)


def find(name: str) -> str:
    """The id of the logged session that `name` identifies. Raises UsageError.

    `name` is a session id, or the start or end of exactly one.
    """
    names = _names()
    if not names:
        raise UsageError(
            "the audit log is empty", "sessions are logged unless the setting audit is off"
        )
    return find_session(name, names)


def raw(session: str) -> bytes:
    """The bytes of a session's file. Raises WorkspaceError."""
    path = audit_dir() / f"{session}.jsonl"
    try:
        return path.read_bytes()
    except OSError as error:
        raise WorkspaceError(f"cannot read {path}: {error.strerror or error}") from error


def records(session: str) -> list[dict[str, Any] | None]:
    """A session's records in order, with None for each line that does not match its hash."""
    return [line.record for line in scan(raw(session))]


def _names() -> list[str]:
    folder = audit_dir()
    try:
        return sorted(p.stem for p in folder.glob("*.jsonl") if p.name != HEAD)
    except OSError as error:
        raise WorkspaceError(f"cannot read {folder}: {error.strerror or error}") from error


def _summary(session: str) -> LoggedSession:
    data = raw(session)
    lines = list(scan(data))
    good = [line.record for line in lines if line.record is not None]
    times = [str(record.get("time", "")) for record in good] or [""]
    start: dict[str, Any] = next((r for r in good if r.get("type") == "session"), {})
    return LoggedSession(
        session=session,
        started=times[0],
        ended=times[-1],
        workspace=str(start.get("workspace", "")),
        model=str(start.get("model", "")),
        records=len(good),
        changed=len({str(r.get("path")) for r in good if r.get("type") == "written"}),
        refused=sum(_is_refusal(record) for record in good),
        bytes=len(data),
        unreadable=len(lines) - len(good),
    )


def _is_refusal(record: dict[str, Any]) -> bool:
    kind = record.get("type")
    return kind == "blocked" or (kind == "decision" and not record.get("allowed"))
