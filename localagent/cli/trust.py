"""`localagent trust`: what projects bring that changes what the agent does, and what you said."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from localagent.cli.options import add_command, add_directory
from localagent.cli.output import note, say, table
from localagent.core.errors import RefusedError, UsageError
from localagent.ui.view.sanitize import clean, one_line

if TYPE_CHECKING:
    from localagent.cli.options import Commands
    from localagent.permissions.consent import Consent, ProjectFile
    from localagent.workspace.workspace import Workspace

_DESCRIPTION = """\
A project can bring rules for the model (AGENTS.md), prompts, commands, tools
and planners (below .localagent/). None of them is used before you agreed to
exactly its content; a file that has changed since is not used until you agree
again. What you said is kept in localagent's data folder, not in the project."""
_EPILOG = """\
examples:
  localagent trust list
  localagent trust show AGENTS.md
  localagent trust add AGENTS.md
  localagent trust add --all --yes      in a container of yours, say
  localagent trust remove AGENTS.md

Tools and planners are programs: they run outside of the sandbox, with your
rights. Never agree to one that you have not read.
"""


def register(commands: Commands) -> None:
    """Add the command and its subcommands."""
    parser = add_command(
        commands,
        "trust",
        "what of a project's own rules and plug-ins is used",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    action = add_command(actions, "list", "what this project brings, and what you said")
    add_directory(action)
    action.set_defaults(execute=list_files)
    action = add_command(actions, "show", "print a file, and how it differs from what you know")
    action.add_argument("path", metavar="PATH", help="as localagent trust list shows it")
    add_directory(action)
    action.set_defaults(execute=show)
    action = add_command(actions, "add", "agree to files, after they are shown")
    _add_paths(action)
    action.add_argument("--yes", action="store_true", help="do not ask")
    action.set_defaults(execute=add)
    action = add_command(actions, "remove", "take back what was said")
    _add_paths(action)
    action.set_defaults(execute=remove)


def _add_paths(action: argparse.ArgumentParser) -> None:
    action.add_argument("paths", metavar="PATH", nargs="*", help="as localagent trust list shows")
    action.add_argument("--all", action="store_true", help="all files of this workspace")
    add_directory(action)


def list_files(args: argparse.Namespace) -> int:
    """One line for each file: what was said, its kind, its path."""
    workspace, consent, files = _found(args)
    rows: list[tuple[str, ...]] = [
        (consent.state(f), f.kind, f"{len(f.data)} bytes", one_line(f.path)) for f in files
    ]
    here = {file.path for file in files}
    for path, known in consent.remembered().items():
        if path not in here:
            said = "agreed" if known.agreed else "refused"
            rows.append((said, "(gone)", "", one_line(path)))
    if not rows:
        note(f"{workspace.root} brings nothing that needs your consent")
    table(rows)
    return 0


def show(args: argparse.Namespace) -> int:
    """Print the text; to stderr, how it differs from the one that the user spoke on."""
    _, consent, files = _found(args)
    file = _chosen(files, args.path)
    say(clean(file.text).rstrip("\n"))
    if consent.state(file) == "changed":
        sys.stderr.write(f"\nchanged since you were asked:\n{clean(consent.difference(file))}")
    return 0


def add(args: argparse.Namespace) -> int:
    """Show each file and agree to it, where the user says so."""
    from localagent.cli.consent import ask_about

    _, consent, files = _found(args)
    chosen = files if args.all else [_chosen(files, path) for path in _named(args)]
    wanted = [file for file in chosen if consent.state(file) != "agreed"]
    if not args.yes:
        if wanted and not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise RefusedError("nothing was agreed to: nobody can be asked here", "--yes agrees")
        ask_about(consent, wanted, sys.stdin.readline)
    else:
        for file in wanted:
            consent.agree(file)
    for file in chosen:
        say(f"{consent.state(file)}  {one_line(file.path)}")
    return 0


def remove(args: argparse.Namespace) -> int:
    """Forget what was said."""
    _, consent, _ = _found(args)
    known = consent.remembered()
    for path in list(known) if args.all else _named(args):
        if path not in known:
            raise UsageError(
                f"nothing was said on {path} in this workspace", "localagent trust list"
            )
        consent.forget(path)
        say(f"forgotten  {one_line(path)}")
    return 0


def _named(args: argparse.Namespace) -> list[str]:
    if not args.paths:
        raise UsageError("no file is named", "name one of localagent trust list, or give --all")
    return list(args.paths)


def _found(args: argparse.Namespace) -> tuple[Workspace, Consent, list[ProjectFile]]:
    """The workspace, what was said on it, and all that it brings, rules of folders included."""
    from localagent.permissions.consent import Consent, load, nested_rules, scan
    from localagent.workspace.workspace import Workspace

    workspace = Workspace.open(args.directory)
    scanned = scan(workspace)
    files = list(scanned.files)
    problems = list(scanned.unusable)
    for path in nested_rules(workspace):
        try:
            files.append(load(workspace, path, "rules"))
        except (OSError, ValueError) as error:
            problems.append(f"{path} is not used: {error}")
    for text in problems:
        note(text)
    return workspace, Consent(workspace.root), files


def _chosen(files: list[ProjectFile], path: str) -> ProjectFile:
    wanted = path.removeprefix("./")
    for file in files:
        if file.path == wanted:
            return file
    known = ", ".join(file.path for file in files[:8]) or "none"
    raise UsageError(f"{path} is no file that needs consent here", f"such files: {known}")
