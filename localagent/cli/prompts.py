"""`localagent prompts` and `localagent commands`: list and print prompts and user commands."""

from __future__ import annotations

import argparse
import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from localagent.cli.options import add_command, add_command_group, add_directory
from localagent.cli.output import CliResult, Console, text_result
from localagent.core.errors import UsageError, WorkspaceError
from localagent.ui.chat.output import Output
from localagent.ui.view.sanitize import clean, one_line

if TYPE_CHECKING:
    from localagent.cli.options import Commands

_PROMPTS = """\
The texts that the model sees are files. A file of the same name in the folder
prompts/ beside your settings replaces a text; so does a file in
.localagent/prompts/ of a project, once you agreed to it."""
_PROMPTS_EXAMPLES = """\
examples:
  localagent prompts list
  localagent prompts show workflow/system
  localagent prompts export workflow/system      to change it
  localagent prompts export --all --to DIR
"""
_COMMANDS = """\
Your own commands: Markdown files whose text becomes the task. They lie in the
folder commands/ beside your settings, or in .localagent/commands/ of a project
(used once you agreed to them). localagent run --command NAME carries one out.
How to write a command: localagent docs extending"""
_COMMANDS_EXAMPLES = """\
examples:
  localagent commands list
  localagent commands show review src/app.py
  localagent run --command review src/app.py
"""
_OWNERS = {"own": "yours", "project": "project", "shipped": "", "plug-in": "plug-in"}


def register(commands: Commands) -> None:
    """Add the commands prompts and commands, with their actions, to the parser."""
    actions = add_command_group(
        commands,
        "commands",
        "your own commands, and the project's",
        description=_COMMANDS,
        epilog=_COMMANDS_EXAMPLES,
    )
    add_directory(add_command(actions, "list", "every command, and what it does", list_commands))
    action = add_command(
        actions, "show", "print the task that a command makes of its arguments", show_command
    )
    action.add_argument("name", metavar="NAME", help="a command of the list")
    action.add_argument("arguments", metavar="ARGUMENT", nargs="*", help="its arguments")
    add_directory(action)
    actions = add_command_group(
        commands,
        "prompts",
        "the texts that the model sees",
        description=_PROMPTS,
        epilog=_PROMPTS_EXAMPLES,
    )
    add_directory(
        add_command(actions, "list", "every text, its owner, and its placeholders", list_prompts)
    )
    action = add_command(actions, "show", "print a text as it is used", show_prompt)
    action.add_argument("name", metavar="NAME", help="a text of the list")
    action.add_argument(
        "--shipped",
        action="store_true",
        help="print localagent's own text, even if yours replaces it",
    )
    add_directory(action)
    action = add_command(actions, "export", "copy localagent's own texts, to change them", export)
    action.add_argument("names", metavar="NAME", nargs="*", help="a text of the list")
    action.add_argument("--all", action="store_true", help="copy all texts")
    action.add_argument(
        "--to",
        metavar="DIR",
        type=Path,
        help="folder to copy to (default: your own folder of prompts)",
    )
    action.add_argument("--yes", action="store_true", help="overwrite existing files")


def list_commands(args: argparse.Namespace) -> CliResult:
    """List commands, one row each: arguments, mode, owner and description."""
    from localagent.project.project import Project
    from localagent.project.prompt_commands import prompt_commands, user_folder

    known = prompt_commands(Project.open(args.directory))
    rows = [
        (
            one_line(f"{command.name} {command.arguments}".rstrip()),
            command.mode or "",
            "project" if command.project else "yours",
            one_line(command.description),
        )
        for command in known.found.values()
    ]
    rows += [(one_line(n), "", "not used", e.message) for n, e in known.unusable.items()]
    notes = [Output("note", text) for text in known.warnings]
    if not rows:
        notes.append(Output("note", f"there are no commands; yours lie in {user_folder()}"))
    return CliResult([*notes, Output("table", rows=tuple(rows))])


def show_command(args: argparse.Namespace) -> CliResult:
    """Print the task that a command makes, and to stderr the command's file and mode."""
    from localagent.project.project import Project
    from localagent.project.prompt_commands import prompt_commands

    command = prompt_commands(Project.open(args.directory)).get(args.name)
    source = one_line(command.path) + (f" (mode {command.mode})" if command.mode else "")
    task = clean(command.task(args.arguments))
    return CliResult([Output("note", source), Output("text", task)])


def list_prompts(args: argparse.Namespace) -> CliResult:
    """List prompts, one row each, then the mistakes in prompts that replace a shipped one."""
    from localagent.context.prompts import placeholders, shipped_names
    from localagent.project.project import Project

    prompts = Project.open(args.directory).prompts()
    rows = []
    for name in shipped_names():
        keys = " ".join(f"{{{{{key}}}}}" for key in placeholders(_shipped(name)))
        rows.append((name, _OWNERS[prompts.source(name).whose], keys))
    notes = [Output("note", one_line(text)) for text in prompts.check()]
    return CliResult([Output("table", rows=tuple(rows)), *notes])


def show_prompt(args: argparse.Namespace) -> CliResult:
    """Print a prompt, and to stderr its file."""
    from localagent.project.project import Project

    prompts = Project.open(args.directory).prompts()
    source = prompts.source(args.name).file
    text = _shipped(args.name) if args.shipped else prompts.text(args.name)
    note = Output("note", one_line("localagent's own" if args.shipped else source))
    return CliResult([note, Output("text", clean(text))])


def export(args: argparse.Namespace) -> CliResult:
    """Copy shipped prompts into a folder; ask before a file is overwritten."""
    from localagent.context.prompts import shipped_names
    from localagent.core.paths import config_dir

    if not args.names and not args.all:
        raise UsageError("no prompt is named", "name one of localagent prompts list, or use --all")
    texts = {name: _shipped(name) for name in (shipped_names() if args.all else args.names)}
    folder = args.to or config_dir() / "prompts"
    written = []
    for name, text in texts.items():
        path = folder / f"{name}.md"
        if path.exists() and not _may_overwrite(args.console, path, text, args.yes):
            continue
        _write(folder, f"{name}.md", f"{text}\n")
        written.append(str(path))
    return text_result(*written)


def _write(folder: Path, name: str, text: str) -> None:
    """Write the file `name` below `folder`. Raises UsageError and WorkspaceError.

    In a checkout no link is followed, because the repository may have made it.
    """
    from localagent.workspace.open_below import below_checkout, write_below

    path = folder / name
    try:
        below = below_checkout(path, Path())
        if below is None:
            folder.mkdir(parents=True, exist_ok=True)
            below = (folder.resolve(), name)
        descriptor = write_below(*below, make_folders=True)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise UsageError(
                f"cannot write {path}: a part of its path is a link",
                "name a folder without links, or remove the link",
            ) from None
        raise WorkspaceError(f"cannot write {path}: {error.strerror}") from None


def _may_overwrite(console: Console, path: Path, text: str, yes: bool) -> bool:
    """Return whether to overwrite a file: only if the texts differ and the user agrees."""
    try:
        same = path.read_text(encoding="utf-8").rstrip("\n") == text
    except (OSError, UnicodeDecodeError):
        same = False
    if same:
        console.show(Output("note", f"{path} already has this text"))
        return False
    return console.confirm(f"{path} differs; overwrite it?", yes=yes, action="overwritten")


def _shipped(name: str) -> str:
    """Return the prompt that localagent ships. Raises ConfigError for an unknown name."""
    from localagent.context.prompts import Prompts

    return Prompts().text(name)
