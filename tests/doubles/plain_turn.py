"""A turn in a folder, without a session: nothing is permitted, refused or kept."""

from __future__ import annotations

from pathlib import Path

from localagent.agent.turn import Services, Turn, TurnRequest
from localagent.context.prompts import Prompts
from localagent.index.disk import DiskIndex
from localagent.models.base import ModelInfo, Profile
from localagent.models.scripted import ScriptedModel
from localagent.sandbox.kinds.plain import PlainSandbox
from localagent.session.factory import NoTurn
from localagent.tools.registry import standard_tools
from localagent.workspace.workspace import Workspace


def turn_in(folder: Path, **profile: object) -> Turn:
    """A turn that asks for calc.py to be fixed, of a model with this profile."""
    workspace = Workspace.open(folder)
    info = ModelInfo("scripted", "scripted", "", Profile(**profile))  # type: ignore[arg-type]
    services = Services(
        model=ScriptedModel([], info),
        workspace=workspace,
        index=DiskIndex(workspace),
        sandbox=PlainSandbox(),
        tools=standard_tools(),
        gate=None,  # type: ignore[arg-type]
        journal=NoTurn(),
        prompts=Prompts(),
    )
    return Turn(services, TurnRequest(1, "Fix calc.py so that the tests in calc_test.py pass"))
