"""A session with two scripted models of different planners, "first" and "second": a program."""

from __future__ import annotations

import sys
from pathlib import Path

from localagent.models.base import ModelInfo, Profile
from localagent.models.router import PinnedModel, Router
from localagent.models.scripted import ScriptedModel
from localagent.ui.chat.chat import open_chat
from localagent.ui.tui.app import Preferences, Start, Tui
from localagent.ui.tui.terminal_guard import guarded
from tests.doubles.opening import command_line, opening

PARTS = ("mode", "model", "planner")


def pinned(name: str, planner: str, text: str) -> PinnedModel:
    info = ModelInfo(name, "scripted", "", Profile(planner=planner))  # type: ignore[arg-type]
    return PinnedModel(info, 0, lambda: ScriptedModel([text] * 9, info))


def main() -> int:
    catalogue = {
        "first": pinned("first", "workflow", "The first says so."),
        "second": pinned("second", "react", "```done\nThe second says so.\n```"),
    }
    models = Router(catalogue, "first")
    with guarded(0):
        start = Start(
            Path.cwd(),
            "0.0.0",
            lambda: Preferences("auto", "emacs", {}, PARTS),
            lambda: (open_chat(*opening(Path.cwd()), models, command_line=command_line()), ()),
        )
        return Tui(start).run()


if __name__ == "__main__":
    sys.exit(main())
