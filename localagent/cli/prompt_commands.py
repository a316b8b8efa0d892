"""`localagent commands`: the user's own commands, and those of the project."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from localagent.cli.options import add_command, add_directory
from localagent.cli.output import note, say, table
from localagent.ui.view.sanitize import clean, one_line

if TYPE_CHECKING:
    from localagent.cli.options import Commands

_DESCRIPTION = """\
Commands of your own: Markdown files whose text becomes the task, in the folder
commands/ beside your settings, or in .localagent/commands/ of a project (used
once you agreed to them). localagent run --command NAME carries one out. How to
write one: localagent docs extending"""
_EPILOG = """\
examples:
  localagent commands list
  localagent commands show review src/app.py
  localagent run --command review src/app.py
"""


def register(commands: Commands) -> None:
    """Add the command and its subcommands."""
    parser = add_command(
        *(commands, "commands", "your own commands, and the project's"),
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    action = add_command(actions, "list", "every command, and what it does")
    add_directory(action)
    action.set_defaults(execute=list_commands)
    action = add_command(actions, "show", "print the task that a command makes of its arguments")
    action.add_argument("name", metavar="NAME", help="a command of the list")
    action.add_argument("arguments", metavar="ARGUMENT", nargs="*", help="what it is given")
    add_directory(action)
    action.set_defaults(execute=show)


def list_commands(args: argparse.Namespace) -> int:
    """One line for each command: how it is called, its mode, whose it is, what it does."""
    from localagent.project.project import Project
    from localagent.project.prompt_commands import own_folder, prompt_commands

    known = prompt_commands(Project.open(args.directory))
    for text in known.notices:
        note(text)
    rows = [
        (
            one_line(f"{c.name} {c.arguments}".rstrip()),
            c.mode or "",
            "project" if c.project else "yours",
            one_line(c.description),
        )
        for c in known.found.values()
    ]
    rows += [(one_line(n), "", "not used", e.message) for n, e in known.unusable.items()]
    if not rows:
        note(f"there are none; yours lie in {own_folder()}")
    table(rows)
    return 0


def show(args: argparse.Namespace) -> int:
    """Print the task; to stderr, the file that it is from and the mode that it wants."""
    from localagent.project.project import Project
    from localagent.project.prompt_commands import prompt_commands

    command = prompt_commands(Project.open(args.directory)).get(args.name)
    task = command.task(args.arguments)
    note(one_line(command.path) + (f" (mode {command.mode})" if command.mode else ""))
    say(clean(task))
    return 0
