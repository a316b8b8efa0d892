"""`localagent init`: an AGENTS.md from what the repository shows."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from localagent.cli.options import add_command, add_directory
from localagent.cli.output import confirmed, note, say
from localagent.core.errors import WorkspaceError
from localagent.ui.view.sanitize import clean

if TYPE_CHECKING:
    from localagent.cli.options import Commands
    from localagent.workspace.workspace import Workspace

_DESCRIPTION = """\
Write an AGENTS.md: the commands that build, test and format this project, its
layout, and the conventions that its files have in common. No model is asked.
It is a beginning: check it, and add what nobody can see from the files. An
AGENTS.md that is there is shown as it would change, and asked about."""


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands, "init", "write an AGENTS.md for this project", description=_DESCRIPTION
    )
    parser.add_argument("--print", action="store_true", help="only print it")
    parser.add_argument("--yes", action="store_true", help="write over one that is there")
    add_directory(parser)
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Describe the project, show it, and write it down."""
    from localagent.edits.diff import unified
    from localagent.permissions.consent import RULES
    from localagent.workspace.workspace import Workspace

    workspace = Workspace.open(args.directory)
    text = described(workspace)
    if args.print:
        say(clean(text).rstrip("\n"))
        return 0
    before = _before(workspace.path(RULES))
    if before == text:
        say(f"{RULES} says all that already")
        return 0
    say(clean(text if before is None else unified(RULES, before, text)).rstrip("\n"))
    if before is not None and not confirmed(f"change {RULES}?", args.yes, "written"):
        say("nothing was written")
        return 0
    write(workspace, text)
    note(f"wrote {RULES}; check it, and add what cannot be seen from the files")
    return 0


def described(workspace: Workspace) -> str:
    """The text for the project, from its files and its index."""
    from localagent.cli.index import opened
    from localagent.code.file_kinds import is_test, is_vendored
    from localagent.context.builder import text_of
    from localagent.permissions.consent import RULES
    from localagent.project.agents_file import MOST_USED, agents_file

    files = [path for path in workspace.files() if path != RULES]
    with opened(workspace) as index:
        mapped = [m for m in index.overview() if not is_test(m.path) and not is_vendored(m.path)]
        used = [(m.path, m.best(8)) for m in mapped[:MOST_USED] if m.score > 0]
    return agents_file(workspace.root.name, files, lambda path: text_of(workspace, path), used)


def write(workspace: Workspace, text: str) -> None:
    """Write the project's AGENTS.md as a whole, and agree to it: the user asked for it and has seen
    it. Raises WorkspaceError."""
    from localagent.core.atomic import write_atomic
    from localagent.permissions.consent import RULES, Consent, ProjectFile

    path = workspace.path(RULES)
    try:
        write_atomic(path, text, mode=None)
    except OSError as error:
        raise WorkspaceError(f"cannot write {path}: {error.strerror}") from None
    Consent(workspace.root).agree(ProjectFile(RULES, "rules", text.encode()))


def _before(path: Path) -> str | None:
    if path.is_symlink():
        raise WorkspaceError(f"{path} is a link", "init writes no file through a link")
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WorkspaceError(f"cannot read {path}: {error.strerror}") from None
