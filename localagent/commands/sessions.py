"""`localagent sessions`: list, show and export what was recorded."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from localagent.commands.options import add_command, add_directory
from localagent.commands.output import note, say, table
from localagent.ui.clean import one_line

if TYPE_CHECKING:
    from localagent.commands.options import Commands

_EPILOG = """\
examples:
  localagent sessions list
  localagent sessions show ab3d
  localagent sessions export ab3d > session.ndjson

ID is a session's id, or its beginning or end where that is enough.
"""


def register(commands: Commands) -> None:
    """Add the command and its subcommands."""
    text = "List, show and export recorded sessions."
    parser = add_command(
        commands, "sessions", "recorded sessions", description=text, epilog=_EPILOG
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = add_command(actions, "list", "the sessions of this workspace, newest first")
    listing.add_argument("--all", action="store_true", help="of every workspace")
    add_directory(listing)
    listing.set_defaults(execute=list_sessions)
    for name, summary, execute in (
        ("show", "draw a session again", show),
        ("export", "write a session's events to stdout, one JSON object a line", export),
    ):
        action = add_command(actions, name, summary)
        action.add_argument("id", metavar="ID", help="the session's id, or enough of it")
        action.set_defaults(execute=execute)


def list_sessions(args: argparse.Namespace) -> int:
    """One line for each session: id, outcome, changed files, title or first task."""
    from localagent.journal import transcript

    found = transcript.list_sessions(None if args.all else args.directory)
    if not found:
        note("no session is recorded" + ("" if args.all else " for this workspace (try --all)"))
    rows = []
    for session in found:
        files = f"{len(session.files)} changed" if session.files else ""
        where = f"{session.workspace}: " if args.all else ""
        outcome = session.outcome or ("unfinished" if session.turns else "empty")
        rows.append(
            (
                session.session,
                outcome,
                files,
                one_line(where + (session.title or session.prompt), 100),
            )
        )
    table(rows)
    return 0


def show(args: argparse.Namespace) -> int:
    """Draw the recorded events."""
    from localagent.journal import transcript
    from localagent.ui.render import Renderer
    from localagent.ui.terminal import terminal_screen

    recorded = transcript.read(args.id)
    with terminal_screen(sys.stdout) as screen:
        screen.live_line = False
        renderer = Renderer(screen)
        for event in recorded.events:
            renderer.draw(event)
    if recorded.damaged:
        note(f"{recorded.damaged} lines of the transcript could not be read")
    return 0


def export(args: argparse.Namespace) -> int:
    """Write the stored events as NDJSON."""
    from localagent.events import to_dict
    from localagent.journal import transcript

    for entry in transcript.read(args.id).entries:
        record = {"seq": entry.seq, "time": entry.time, **to_dict(entry.event)}
        say(json.dumps(record))
    return 0
