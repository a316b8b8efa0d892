"""The examination: all parts, in the order in which a run meets them."""

from __future__ import annotations

from pathlib import Path

from localagent.config import settings as config
from localagent.core.errors import LocalAgentError
from localagent.doctor.guarantee import audit_part, egress_part, policy_part
from localagent.doctor.index import index_part
from localagent.doctor.machine import machine
from localagent.doctor.model import models
from localagent.doctor.ollama import ollama_part
from localagent.doctor.report import Part, Problem, Report
from localagent.doctor.sandboxes import sandbox_part
from localagent.doctor.state import folders, settings_part
from localagent.workspace.workspace import Workspace


def examine(directory: Path, *more: Part, canaries: bool = True) -> Report:
    """Look at everything that a run in `directory` would need; `more` parts come last.

    `canaries`: every attempt to get out of each sandbox is made, some seconds a kind. Writes
    nothing but what the probe of the sandbox notes for the next run.
    """
    parts = [machine()]
    try:
        workspace = Workspace.open(directory)
        settings = config.load(workspace.root)
    except LocalAgentError as error:
        problem = Problem(error.message, error.hint)
        return Report((*parts, Part("settings", (), (problem,)), folders(), *more))
    parts += [settings_part(workspace.root, settings), policy_part(settings), folders()]
    parts += [egress_part(), sandbox_part(settings, canaries=canaries), audit_part(settings)]
    parts += [index_part(workspace), *models(settings), ollama_part(settings)]
    return Report((*parts, *more))
