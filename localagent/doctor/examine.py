"""The examination: all parts, in the order in which a run meets them."""

from __future__ import annotations

from pathlib import Path

from localagent import config
from localagent.doctor.index import index_part
from localagent.doctor.machine import machine, sandbox
from localagent.doctor.model import models
from localagent.doctor.report import Part, Problem, Report
from localagent.doctor.state import folders, settings_part
from localagent.errors import LocalAgentError
from localagent.workspace import Workspace


def examine(directory: Path) -> Report:
    """Look at everything that a run in `directory` would need. Writes nothing but what the
    probe of the sandbox notes for the next run."""
    parts = [machine()]
    try:
        workspace = Workspace.open(directory)
        settings = config.load(workspace.root)
    except LocalAgentError as error:
        problem = Problem(error.message, error.hint)
        return Report((*parts, Part("settings", (), (problem,)), folders()))
    parts += [settings_part(workspace.root, settings), folders(), sandbox(settings.sandbox)]
    parts.append(index_part(workspace))
    return Report((*parts, *models(settings)))
