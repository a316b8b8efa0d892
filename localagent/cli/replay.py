"""`localagent replay`: run a recorded session again, with the model's recorded replies."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from localagent.cli.options import add_command, add_directory
from localagent.cli.output import say

if TYPE_CHECKING:
    from localagent.cli.options import Commands

_DESCRIPTION = """\
Run a recorded session again: the model's replies come from the record, tools
and checks run for real. Reports the first observation that differs. The
workspace must be as it was before the session, and is changed as it was then;
give a copy of it with -C."""
_EPILOG = """\
exit codes: 0 nothing differs, 1 something does
"""


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands, "replay", "run a recorded session again", description=_DESCRIPTION, epilog=_EPILOG
    )
    parser.set_defaults(execute=execute)
    parser.add_argument("id", metavar="ID", help="the session's id, or enough of it")
    add_directory(parser)


def execute(args: argparse.Namespace) -> int:
    """Draw the events of the replay, and the difference where there is one."""
    from localagent.history.sessions.replay import Difference
    from localagent.project.project import Project
    from localagent.session.replay import replay
    from localagent.ui.view.render import Renderer
    from localagent.ui.view.screen import terminal_screen

    difference: Difference | None = None
    with terminal_screen(sys.stdout) as screen:
        renderer = Renderer(screen)
        for item in replay(args.id, Project.open(args.directory)):
            if isinstance(item, Difference):
                difference = item
            else:
                renderer.draw(item)
    if difference is None:
        say("replayed: nothing differs from the record")
        return 0
    say(str(difference))
    return 1
