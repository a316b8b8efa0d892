"""Record a session's events in its transcript and in the audit log; undo and redo with records."""

from __future__ import annotations

from typing import Any, Protocol

from localagent import __version__
from localagent.config.settings import Settings
from localagent.core.events import Event, ModelReplied, SessionStarted
from localagent.edits.textfile import sha256
from localagent.egress import lock
from localagent.history.audit.log import AuditLog, audit_dir
from localagent.history.audit.prune import prune as prune_audit
from localagent.history.checkpoints.undo import UndoResult, changed_from, redo, undo, undo_from
from localagent.history.checkpoints.workspace_lock import WorkspaceLock
from localagent.history.sessions import transcript
from localagent.models.base import ModelInfo
from localagent.models.router import Router
from localagent.project.project import Project


class Recorder(Protocol):
    """A place that stores events."""

    def append(self, event: Event) -> None:
        """Store one event. Raises WorkspaceError."""

    def aside(self, event: Event) -> None:
        """Store an event outside of the conversation. Only the audit log stores such events."""

    def close(self) -> None:
        """Finish writing."""

    def discard(self) -> None:
        """Finish writing, and delete a record without events."""


class WorkspaceUndo:
    """Undo and redo in a workspace, recorded in the audit log.

    `back_to` undoes turns of `session`. `lock` is the workspace's lock if the caller holds it.
    """

    def __init__(
        self, project: Project, session: str = "", lock: WorkspaceLock | None = None
    ) -> None:
        self._root = project.root
        self._audited = project.settings.audit != "off"
        self._session = session
        self._lock = lock

    def undo(self, which: str | None = None, force: bool = False) -> UndoResult:
        """Undo the turn `which`. Arguments and errors are those of `checkpoints.undo.undo`."""
        return self._record("undo", undo(self._root, which, force=force, lock=self._lock))

    def redo(self, which: str | None = None, force: bool = False) -> UndoResult:
        """Redo the turn `which`. Arguments and errors are those of `checkpoints.undo.redo`."""
        return self._record("redo", redo(self._root, which, force=force, lock=self._lock))

    def changed_from(self, turn: int) -> list[str]:
        """The paths that `back_to` would restore."""
        return changed_from(self._root, self._session, turn)

    def back_to(self, turn: int) -> list[UndoResult]:
        """Undo all turns of the session from `turn` on. Raises as `checkpoints.undo.undo_from`."""
        undone = undo_from(self._root, self._session, turn, lock=self._lock)
        return [self._record("undo", each) for each in undone]

    def _record(self, action: str, undone: UndoResult) -> UndoResult:
        """Write an undo or redo to the audit log of the session that made the turn."""
        if self._audited:
            with AuditLog(undone.session) as log:
                log.write({"type": action, "turn": undone.turn})
                for change in undone.changed:
                    log.append(change)
                log.sync()
        return undone


def open_records(
    recorder: transcript.TranscriptWriter, settings: Settings, models: Router
) -> Recorders:
    """The recorder of a session: first the audit log, unless it is off, then the transcript."""
    if settings.audit == "off":
        return Recorders(recorder)
    return Recorders(_log(recorder.session, settings, models, models.info()), recorder)


def open_audit(project: Project, models: Router, role: str) -> Recorder:
    """Start an audit log, under a new id, for work outside of a session by the model of `role`.

    If the setting `audit` is off, the returned recorder stores nothing.
    """
    settings = project.settings
    if settings.audit == "off":
        return Recorders()
    name = transcript.new_id()
    while (audit_dir() / f"{name}.jsonl").exists():
        name = transcript.new_id()
    info = models.info(role)
    log = _log(name, settings, models, info)
    state = lock.state()
    log.append(
        SessionStarted(
            session=name,
            workspace=str(project.root),
            model=info.id,
            model_sha256=info.sha256,
            planner="",
            sandbox="",
            version=__version__,
            read_only=True,
            egress=str(state) if state.locked else "",
        )
    )
    return log


def _log(session: str, settings: Settings, models: Router, info: ModelInfo) -> AuditLog:
    policy = settings.policy
    prune_audit(settings.audit_days, settings.audit_bytes, min_days=policy.audit_min_days)
    facts = _facts(settings, models, info)
    return AuditLog(session, texts=settings.audit == "texts", facts=facts)


def _facts(settings: Settings, models: Router, info: ModelInfo) -> dict[str, Any]:
    """The facts for the first record of the audit log; `info` describes the main model."""
    policy = settings.policy
    others = [models.info(role) for role in models.roles]
    return {
        "backend": info.backend,
        "template_sha256": info.template_sha256,
        "models": {each.id: each.sha256 for each in others},
        "mode": settings.mode,
        "policy": {str(file): sha256(file.read_bytes()) for file in policy.files},
        "offline": policy.offline,
        "allowed_hosts": list(policy.allowed_hosts),
        "sandboxes": list(policy.sandboxes),
        "audit_min_days": policy.audit_min_days,
        "locked": {
            str(file): [f"{key} = {value!r}" for key, value in table.items()]
            for file, table in policy.settings.items()
        },
        "audit": settings.audit,
    }


class Recorders:
    """Several recorders in order. If one cannot store an event, the next do not get the event."""

    def __init__(self, *places: Recorder) -> None:
        self._places = places
        self.replies_aside: list[ModelReplied] = []
        """The model's replies outside of the conversation: titles and commit messages."""

    def append(self, event: Event) -> None:
        """Store one event in each recorder. Raises WorkspaceError."""
        for place in self._places:
            place.append(event)

    def aside(self, event: Event) -> None:
        """Store an event outside of the conversation in each recorder. Raises WorkspaceError."""
        if isinstance(event, ModelReplied):
            self.replies_aside.append(event)
        for place in self._places:
            place.aside(event)

    def close(self) -> None:
        """Close each recorder."""
        for place in self._places:
            place.close()

    def discard(self) -> None:
        """Discard each recorder."""
        for place in self._places:
            place.discard()
