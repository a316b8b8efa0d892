"""`localagent prompts`: every text that the model sees, and texts of your own in their place."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from localagent.cli.options import add_command, add_directory
from localagent.cli.output import confirmed, note, say, table
from localagent.core.errors import UsageError, WorkspaceError
from localagent.ui.view.sanitize import clean, one_line

if TYPE_CHECKING:
    from localagent.cli.options import Commands
    from localagent.context.prompts import Prompts

_DESCRIPTION = """\
The texts that the model is shown are files. A file of the same name in the
folder prompts/ beside your settings takes the place of one; so does one in
.localagent/prompts/ of a project, once you agreed to it."""
_EPILOG = """\
examples:
  localagent prompts list
  localagent prompts show workflow/system
  localagent prompts export workflow/system      to change it
  localagent prompts export --all --to DIR
"""
_WHOSE = {"own": "yours", "project": "project", "shipped": "", "plug-in": "plug-in"}


def register(commands: Commands) -> None:
    """Add the command and its subcommands."""
    parser = add_command(
        *(commands, "prompts", "the texts that the model sees"),
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    action = add_command(actions, "list", "every text, whose it is, and what is put into it")
    add_directory(action)
    action.set_defaults(execute=list_prompts)
    action = add_command(actions, "show", "print a text as it is used")
    action.add_argument("name", metavar="NAME", help="a text of the list")
    action.add_argument("--shipped", action="store_true", help="localagent's own in any case")
    add_directory(action)
    action.set_defaults(execute=show)
    action = add_command(actions, "export", "copy localagent's own texts, to change them")
    action.add_argument("names", metavar="NAME", nargs="*", help="a text of the list")
    action.add_argument("--all", action="store_true", help="all of them")
    action.add_argument(
        "--to", metavar="DIR", type=Path, help="where to (default: your own folder of prompts)"
    )
    action.add_argument("--yes", action="store_true", help="write over files that are there")
    action.set_defaults(execute=export)


def list_prompts(args: argparse.Namespace) -> int:
    """One line for each text; what is wrong with one that replaces another ends it."""
    from localagent.context.prompts import placeholders, shipped_names

    prompts = _prompts(args.directory)
    table(
        [
            (
                name,
                _WHOSE[prompts.source(name).whose],
                " ".join(f"{{{{{key}}}}}" for key in placeholders(_shipped(name))),
            )
            for name in shipped_names()
        ]
    )
    for text in prompts.check():
        note(one_line(text))
    return 0


def show(args: argparse.Namespace) -> int:
    """Print the text; to stderr, its file."""
    prompts = _prompts(args.directory)
    source = prompts.source(args.name)
    text = _shipped(args.name) if args.shipped else prompts.text(args.name)
    note(one_line("localagent's own" if args.shipped else source.file))
    say(clean(text))
    return 0


def export(args: argparse.Namespace) -> int:
    """Write the texts, those that are there after a yes only."""
    from localagent.context.prompts import shipped_names
    from localagent.core.paths import config_dir

    if not args.names and not args.all:
        raise UsageError("no text is named", "name one of localagent prompts list, or give --all")
    names = shipped_names() if args.all else args.names
    texts = {name: _shipped(name) for name in names}
    folder = args.to or config_dir() / "prompts"
    for name, text in texts.items():
        path = folder / f"{name}.md"
        if path.exists() and not _over(path, text, args.yes):
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n", encoding="utf-8", newline="\n")
        except OSError as error:
            raise WorkspaceError(f"cannot write {path}: {error.strerror}") from None
        say(str(path))
    return 0


def _over(path: Path, text: str, yes: bool) -> bool:
    """Whether a file that is there is written over: where it differs, after a yes."""
    try:
        same = path.read_text(encoding="utf-8").rstrip("\n") == text
    except (OSError, UnicodeDecodeError):
        same = False
    if same:
        note(f"{path} is the same already")
        return False
    return confirmed(f"{path} is there and differs; write over it?", yes, "written over")


def _prompts(directory: Path) -> Prompts:
    from localagent.project.project import Project

    return Project.open(directory).prompts()


def _shipped(name: str) -> str:
    """localagent's own text. Raises ConfigError where there is none."""
    from localagent.context.prompts import Prompts

    return Prompts().text(name)
