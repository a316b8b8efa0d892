"""The audit log: what every session did, in a form in which later changes show.

    audit/<session>.jsonl   one chain a session (see `hashchain`)
    audit/head.jsonl        one chain for all: after each record of a session its number and hash
    audit/lock              held while something is written

A session's own file shows a changed, inserted, moved or removed record; the head shows a shortened
or missing file. Someone who may write here can make all of it anew, head and all; that shows only
against a head hash that was noted elsewhere (`audit head`, `audit verify --head`).

The sandbox hides localagent's data folder, so what a command starts cannot reach these files. A
record is written before the front end sees the event. Where it cannot be written, WorkspaceError
ends the turn: nothing is done that would not be in the log.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

from localagent.core.clock import timestamp
from localagent.core.errors import WorkspaceError
from localagent.core.events import Blocked, Decision, Event, SessionStarted, TurnFinished
from localagent.core.locks import locked
from localagent.core.paths import data_dir, private
from localagent.history.audit.hash_chain import Link, append, end_of, open_chain, repair, scan
from localagent.history.audit.records import record_of

HEAD = "head.jsonl"
LOCK = "lock"
TIP, PRUNED, BASE, COMPACTED = "tip", "pruned", "base", "compacted"
# What a machine that loses power must not lose; the rest is on the disk by the end of the turn.
_SYNCED = (Decision, Blocked, TurnFinished)


def audit_dir() -> Path:
    """The folder of the audit log. It may not exist."""
    return data_dir() / "audit"


class AuditLog:
    """The log of one session, to be appended to. Several processes may write at once."""

    def __init__(
        self, session: str, *, texts: bool = False, facts: dict[str, Any] | None = None
    ) -> None:
        """Open the log of `session`; it is made where it is missing. With `texts`, prompts and
        replies are stored as they are and not as hashes alone. `facts` are told with the session's
        start. Raises WorkspaceError."""
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
        """Record what `event` tells, where it tells something. Raises WorkspaceError."""
        record = record_of(event, texts=self._texts)
        if record is None:
            return
        if isinstance(event, SessionStarted):
            record |= self._facts
        self.write(record, sync=isinstance(event, _SYNCED))

    aside = append
    """See `session.Recorder`: all that is shown to a model is in the log."""

    def write(self, record: dict[str, Any], *, sync: bool = False) -> None:
        """Append one record; with `sync` wait until it is on the disk. Raises WorkspaceError."""
        try:
            with locked(self._folder / LOCK):
                # Opened each time, since `prune` may have put another file in its place.
                head = open_chain(self._folder / HEAD)
                try:
                    if self._tip != end_of(self._fd):  # somebody else wrote last
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
        """Add to the head that this session's file goes to `link` now."""
        if link is not None:
            tip = {"type": TIP, "file": self.session, "count": link.seq, "last": link.hash}
            append(head, {"time": timestamp(), **tip})
            self._tip = link

    def sync(self) -> None:
        """Wait until all of it is on the disk. Raises WorkspaceError."""
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
        """Close the file, and remove it where nothing was ever written to it."""
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
    """Keep `prune` from a file that is written, until it is closed."""
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)


def _unrecorded(folder: Path, session: str, fd: int) -> Link | None:
    """The last record of a session where the process that wrote it was killed before it told the
    head. More than one is nothing that a kill leaves: that is for `verify` to find."""
    link = end_of(fd)
    known = 0
    data = (folder / HEAD).read_bytes() if link.seq else b""
    for record in (line.record for line in scan(data) if line.record is not None):
        if record.get("type") == BASE:
            known = record["files"].get(session, (0, ""))[0]
        elif record.get("file") == session:
            known = record["count"] if record.get("type") == TIP else 0  # 0: it was pruned
    return link if link.seq == known + 1 else None


def _failed(error: OSError) -> WorkspaceError:
    return WorkspaceError(
        f"cannot write the audit log: {error.strerror or error}",
        f"check the space and the permissions of {audit_dir()}",
    )
