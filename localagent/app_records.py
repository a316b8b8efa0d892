"""Where a session's events are kept: its transcript, and the audit log."""

from __future__ import annotations

from localagent.config import Settings
from localagent.edits.textfile import sha256
from localagent.events import Event
from localagent.journal import transcript
from localagent.journal.audit import AuditLog
from localagent.journal.audit_prune import prune as prune_audit
from localagent.models.base import ModelInfo
from localagent.session import Recorder


def open_records(
    recorder: transcript.TranscriptWriter, settings: Settings, info: ModelInfo
) -> Recorder:
    """The audit log, unless it is switched off, and then the transcript."""
    if settings.audit == "off":
        return recorder
    prune_audit(settings.audit_days, settings.audit_bytes)
    policy = settings.policy
    facts = {
        "backend": info.backend,
        "template_sha256": info.template_sha256,
        "mode": settings.mode,
        "policy": {str(file): sha256(file.read_bytes()) for file in policy.files},
        "offline": policy.offline,
        "allowed_hosts": list(policy.allowed_hosts),
        "sandboxes": list(policy.sandboxes),
        "locked": {
            str(file): [f"{key} = {value!r}" for key, value in table.items()]
            for file, table in policy.settings.items()
        },
        "audit": settings.audit,
    }
    log = AuditLog(recorder.session, texts=settings.audit == "texts", facts=facts)
    return Recorders(log, recorder)


class Recorders:
    """Several places where events are kept, asked in order: what the first cannot keep is not
    handed on."""

    def __init__(self, *places: Recorder) -> None:
        self._places = places

    def append(self, event: Event) -> None:
        """Keep one event everywhere. Raises WorkspaceError."""
        for place in self._places:
            place.append(event)

    def close(self) -> None:
        """Close all."""
        for place in self._places:
            place.close()

    def discard(self) -> None:
        """Finish all, and keep nothing."""
        for place in self._places:
            place.discard()
