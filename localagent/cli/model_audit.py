"""The audit log of a model's work outside of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from localagent.core.events import Event
    from localagent.models.router import Router
    from localagent.project.project import Project
    from localagent.session.recorders import Recorder


class ModelAudit:
    """Records the work of the model of `role`; the first record opens the log."""

    def __init__(self, project: Project, models: Router, role: str) -> None:
        self._project = project
        self._models = models
        self._role = role
        self._log: Recorder | None = None

    def record(self, event: Event) -> None:
        """Record the latest switches of models, then `event`. Raises WorkspaceError."""
        from localagent.core.events import ModelSwitched
        from localagent.session.recorders import open_audit

        switches = self._models.drain_switches()
        if self._log is None:  # the first record names the model anyway
            self._log = open_audit(self._project, self._models, self._role)
            switches = []
        for switch in switches:
            info = switch.info
            self._log.aside(ModelSwitched(switch.role, info.id, info.sha256, "", switch.why))
        self._log.aside(event)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._log is not None:
            self._log.close()
