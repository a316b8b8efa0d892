"""`localagent undo` and `localagent redo`: take back what a turn changed, and take that back."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from localagent.cli.options import add_command, add_directory
from localagent.cli.output import say
from localagent.ui.view.sanitize import one_line

if TYPE_CHECKING:
    from pathlib import Path

    from localagent.cli.options import Commands
    from localagent.history.checkpoints.undo import UndoResult
    from localagent.session.recorders import WorkspaceUndo

_DESCRIPTION = """\
Give every file that a turn changed the content, mode and place that it had
before; also what a command changed. Git's index, branches and stash stay as
they are."""
_EPILOG = """\
examples:
  localagent undo                       the last turn here that changed something
  localagent undo 2                     turn 2 of the newest session here
  localagent undo 20261122-1708-ab3d:1  turn 1 of that session

A file that was changed since is not overwritten: then nothing is undone,
unless --force is given.
"""


_REDO = """\
Take back an undo: give every file the content that the turn had given it."""


def register(commands: Commands) -> None:
    """Add both commands."""
    parser = add_command(
        commands, "undo", "take back what a turn changed", description=_DESCRIPTION, epilog=_EPILOG
    )
    _add_arguments(parser)
    parser.set_defaults(execute=undo)
    parser = add_command(commands, "redo", "take back an undo", description=_REDO)
    _add_arguments(parser)
    parser.set_defaults(execute=redo)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "turn", metavar="TURN", nargs="?", help="TURN, SESSION or SESSION:TURN (default: the last)"
    )
    parser.add_argument(
        "--force", action="store_true", help="also overwrite what was changed since"
    )
    add_directory(parser)


def undo(args: argparse.Namespace) -> int:
    """Undo, and say what was done."""
    _tell("undid", _open(args.directory).undo(args.turn, args.force))
    return 0


def redo(args: argparse.Namespace) -> int:
    """Redo, and say what was done."""
    _tell("did again", _open(args.directory).redo(args.turn, args.force))
    return 0


def _open(directory: Path) -> WorkspaceUndo:
    from localagent.project.project import Project
    from localagent.session.recorders import WorkspaceUndo

    return WorkspaceUndo(Project.open(directory))


def _tell(verb: str, done: UndoResult) -> None:
    say(f"{verb} turn {done.turn} of session {done.session}:")
    for change in done.changed:
        if change.after_sha256 is None:
            what = "removed"
        else:
            what = "changed back" if change.before_sha256 else "brought back"
        say(f"  {what} {one_line(change.path, 1000)}")
    for folder in done.kept:
        say(f"  kept {one_line(folder, 1000)}, which holds something else now")
