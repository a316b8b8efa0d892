"""Reading the audit log for people: which sessions it has, and their records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from localagent.core.errors import UsageError, WorkspaceError
from localagent.history.audit.hash_chain import scan
from localagent.history.audit.log import HEAD, audit_dir
from localagent.history.sessions.transcript import find_session


@dataclass(frozen=True, slots=True)
class LoggedSession:
    """One session of the log. `changed` counts the files that were written, `refused` the actions
    that were not allowed or were blocked; `unreadable` lines do not fit their hash."""

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
    """All sessions of the log, newest first. Raises WorkspaceError."""
    found = [_logged(name) for name in _names()]
    return sorted(found, key=lambda one: (one.started, one.session), reverse=True)


def find(name: str) -> str:
    """The one session of the log that is `name`, or begins or ends with it. Raises UsageError."""
    names = _names()
    if not names:
        raise UsageError("the audit log is empty", "sessions are logged unless audit is off")
    return find_session(name, names)


def raw(session: str) -> bytes:
    """A session's file as it is. Raises WorkspaceError."""
    path = audit_dir() / f"{session}.jsonl"
    try:
        return path.read_bytes()
    except OSError as error:
        raise WorkspaceError(f"cannot read {path}: {error.strerror or error}") from error


def records(session: str) -> list[dict[str, Any] | None]:
    """A session's records in order; None for a line that does not fit its hash."""
    return [line.record for line in scan(raw(session))]


def _names() -> list[str]:
    folder = audit_dir()
    try:
        return sorted(p.stem for p in folder.glob("*.jsonl") if p.name != HEAD)
    except OSError as error:
        raise WorkspaceError(f"cannot read {folder}: {error.strerror or error}") from error


def _logged(session: str) -> LoggedSession:
    data = raw(session)
    lines = list(scan(data))
    good = [line.record for line in lines if line.record is not None]
    times = [str(record.get("time", "")) for record in good] or [""]
    begun: dict[str, Any] = next((r for r in good if r.get("type") == "session"), {})
    written = {str(r.get("path")) for r in good if r.get("type") == "written"}
    refused = sum(_is_refusal(record) for record in good)
    return LoggedSession(
        session=session,
        started=times[0],
        ended=times[-1],
        workspace=str(begun.get("workspace", "")),
        model=str(begun.get("model", "")),
        records=len(good),
        changed=len(written),
        refused=refused,
        bytes=len(data),
        unreadable=len(lines) - len(good),
    )


def _is_refusal(record: dict[str, Any]) -> bool:
    kind = record.get("type")
    return kind == "blocked" or (kind == "decision" and not record.get("allowed"))
