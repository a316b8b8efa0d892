"""`localagent permissions`: list what is allowed without asking, and forget answers."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from localagent.cli.options import add_command, add_command_group, add_directory
from localagent.cli.output import CliResult, text_result
from localagent.ui.chat.output import Output

if TYPE_CHECKING:
    from localagent.cli.options import Commands

_DESCRIPTION = """\
The answers that you let localagent remember in a workspace, and the rules that
decide before it asks. Remembered answers lie in your config folder: a
repository can neither add to them nor read them."""
_EPILOG = """\
examples:
  localagent permissions list
  localagent permissions forget 2
  localagent permissions forget "make -j2"
  localagent permissions forget all

Rules that deny, including those of the project, override remembered answers.
"""


def register(commands: Commands) -> None:
    """Add the command permissions and its actions to the parser."""
    actions = add_command_group(
        commands,
        "permissions",
        "what is allowed without asking, and the rules",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    add_directory(add_command(actions, "list", "remembered answers, and the rules", show))
    action = add_command(actions, "forget", "ask again", forget)
    action.add_argument("which", metavar="WHICH", help='a number of the list, its text, or "all"')
    add_directory(action)


def show(args: argparse.Namespace) -> CliResult:
    """List the remembered answers, then the rules in their order, then the mode."""
    from localagent.permissions.grants import WorkspaceGrants
    from localagent.project.project import Project

    project = Project.open(args.directory)
    settings = project.settings
    outputs = []
    if grants := WorkspaceGrants(project.root).all():
        rows = tuple((str(number), str(grant)) for number, grant in enumerate(grants, 1))
        outputs.append(Output("table", rows=rows))
    else:
        outputs.append(Output("note", "nothing is remembered for this workspace"))
    rules = [
        *((rule, "yours") for rule in settings.permissions),
        *((rule, "the project's") for rule in settings.project_permissions),
    ]
    if rules:
        rule_rows = tuple((rule.action, rule.tool, rule.pattern, owner) for rule, owner in rules)
        outputs.append(Output("table", title="rules:", rows=rule_rows))
    outputs.append(Output("text", f"mode: {settings.mode} ({settings.source('mode')})"))
    return CliResult(outputs)


def forget(args: argparse.Namespace) -> CliResult:
    """Forget one remembered answer, or all answers."""
    from localagent.permissions.grants import WorkspaceGrants
    from localagent.workspace.workspace import Workspace

    forgotten = WorkspaceGrants(Workspace.open(args.directory).root).forget(args.which)
    return text_result(*(f"forgotten, so localagent asks again: {grant}" for grant in forgotten))
