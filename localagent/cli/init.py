"""`localagent init`: write an AGENTS.md from the files of the repository."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from localagent.cli.index import open_index
from localagent.cli.options import add_command, add_directory
from localagent.cli.output import CliResult, Console, text_result
from localagent.ui.chat.output import Output
from localagent.ui.view.sanitize import clean

if TYPE_CHECKING:
    from localagent.cli.options import Commands
    from localagent.workspace.workspace import Workspace

_DESCRIPTION = """\
Write an AGENTS.md: the commands that build, test and format this project, its
layout, and the conventions that its files share. No model is used. It is a
start: check it, and add what the files do not show. If an AGENTS.md exists,
init shows the changes and asks before it writes."""


def register(commands: Commands) -> None:
    """Add the command init to the parser."""
    parser = add_command(
        *(commands, "init", "write an AGENTS.md for this project", execute),
        description=_DESCRIPTION,
    )
    parser.add_argument("--print", action="store_true", help="only print the text")
    parser.add_argument("--yes", action="store_true", help="overwrite an existing file")
    add_directory(parser)


def execute(args: argparse.Namespace) -> CliResult:
    """Describe the project, show the text or its changes, and write AGENTS.md."""
    from localagent.edits.diff import unified
    from localagent.permissions.consent import RULES
    from localagent.project.rules_file import read_rules, write_rules
    from localagent.workspace.workspace import Workspace

    workspace = Workspace.open(args.directory)
    text = _description(workspace, args.console)
    if args.print:
        return text_result(clean(text).rstrip("\n"))
    before = read_rules(workspace)
    if before == text:
        return text_result(f"{RULES} already has this text")
    change = text if before is None else unified(RULES, before, text)
    args.console.show(Output("text", clean(change).rstrip("\n")))
    question = f"change {RULES}?"
    if before is not None and not args.console.confirm(question, yes=args.yes, action="written"):
        return text_result("nothing was written")
    write_rules(workspace, text)
    hint = f"wrote {RULES}; check it, and add what the files do not show"
    return CliResult([Output("note", hint)])


def _description(workspace: Workspace, console: Console) -> str:
    """Compose the text of AGENTS.md from the files and the index of the project."""
    from localagent.code.file_kinds import is_test, is_vendored
    from localagent.context.builder import text_of
    from localagent.permissions.consent import RULES
    from localagent.project.agents_file import MOST_USED, agents_file

    files = [path for path in workspace.files() if path != RULES]
    with open_index(workspace, console) as index:
        outlines = [m for m in index.overview() if not is_test(m.path) and not is_vendored(m.path)]
        used = [(m.path, m.best(8)) for m in outlines[:MOST_USED] if m.score > 0]
    return agents_file(workspace.root.name, files, lambda path: text_of(workspace, path), used)
