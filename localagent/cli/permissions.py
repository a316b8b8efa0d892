"""`localagent permissions`: what need not be asked here, and forgetting it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from localagent.cli.options import add_command, add_directory
from localagent.cli.output import note, say, table

if TYPE_CHECKING:
    from localagent.cli.options import Commands
    from localagent.config.settings import Settings

_DESCRIPTION = """\
What you said yes to and had remembered in a workspace, and the rules that
decide before anything is asked. What is remembered lies in your config folder:
a repository can neither add to it nor read it."""
_EPILOG = """\
examples:
  localagent permissions list
  localagent permissions forget 2
  localagent permissions forget "make -j2"
  localagent permissions forget all

A rule that denies, also one of the project's, holds whatever is remembered.
"""


def register(commands: Commands) -> None:
    """Add the command and its subcommands."""
    parser = add_command(
        commands,
        "permissions",
        "what need not be asked, and the rules",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = add_command(actions, "list", "what is remembered here, and the rules")
    add_directory(listing)
    listing.set_defaults(execute=list_permissions)
    action = add_command(actions, "forget", "ask again")
    action.add_argument(
        "which", metavar="WHICH", help='a number of the list, what is remembered, or "all"'
    )
    add_directory(action)
    action.set_defaults(execute=forget)


def remembered_rows(grants: tuple[object, ...]) -> list[tuple[str, str]]:
    """What is remembered, each with its number for `forget`."""
    return [(str(number), str(grant)) for number, grant in enumerate(grants, 1)]


def rule_rows(settings: Settings) -> list[tuple[str, str, str, str]]:
    """The rules in the order in which they are asked: action, tool, pattern, whose it is."""
    owned = [(rule, "yours") for rule in settings.permissions]
    owned += [(rule, "the project's") for rule in settings.project_permissions]
    return [(rule.action, rule.tool, rule.pattern, whose) for rule, whose in owned]


def list_permissions(args: argparse.Namespace) -> int:
    """What is remembered, then the rules."""
    from localagent.config import settings as config
    from localagent.permissions.grants import WorkspaceGrants
    from localagent.workspace.workspace import Workspace

    root = Workspace.open(args.directory).root
    grants = WorkspaceGrants(root).all()
    if not grants:
        note("nothing is remembered for this workspace")
    table(remembered_rows(grants))
    settings = config.load(root)
    rules = rule_rows(settings)
    if rules:
        say("rules:")
        table(rules)
    say(f"mode: {settings.mode} ({settings.source('mode')})")
    return 0


def forget(args: argparse.Namespace) -> int:
    """Forget one thing, or all."""
    from localagent.permissions.grants import WorkspaceGrants
    from localagent.workspace.workspace import Workspace

    gone = WorkspaceGrants(Workspace.open(args.directory).root).forget(args.which)
    for grant in gone:
        say(f"asked again from now on: {grant}")
    return 0
