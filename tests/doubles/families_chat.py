"""A session with a scripted model and all models of models.lock: a program for a terminal."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from localagent.config.settings import Settings
from localagent.models.base import ModelInfo, Profile
from localagent.models.catalog import lock
from localagent.models.router import PinnedModel, Router
from localagent.models.scripted import ScriptedModel, ScriptedReply
from localagent.session.models import model_info, open_model
from localagent.ui.chat.chat import open_chat
from localagent.ui.tui.app import Preferences, Start, Tui
from localagent.ui.tui.terminal_guard import guarded
from tests.doubles.opening import command_line, opening

SCRIPTED = ModelInfo("scripted", "scripted", "", Profile(planner="react"))
ANSWER = "```done\nThe scripted one says so.\n```"
REPLIES = [
    ScriptedReply("```list path=.\n```", when="what do you say", reading=5),
    ScriptedReply(ANSWER, repeat=True),
]


def main() -> int:
    settings = Settings()
    catalog = {
        entry.id: PinnedModel(
            model_info(entry, settings), entry.all_bytes, partial(open_model, entry, settings)
        )
        for entry in lock.load().entries
    }
    catalog["scripted"] = PinnedModel(SCRIPTED, 0, lambda: ScriptedModel(REPLIES, SCRIPTED))
    models = Router(catalog, "scripted")
    given = opening(Path.cwd(), max_tokens=60)
    with guarded(0):
        start = Start(
            Path.cwd(),
            "0.0.0",
            lambda: Preferences("auto", "emacs", {}, ("mode", "model", "planner")),
            lambda: (open_chat(*given, models, command_line=command_line()), ()),
        )
        return Tui(start).run()


if __name__ == "__main__":
    sys.exit(main())
