"""`localagent trust`: the project files that need consent, and your answers about them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from localagent.cli.options import add_command, add_command_group, add_directory
from localagent.cli.output import CliResult, Console, text_result
from localagent.core.errors import RefusedError, UsageError
from localagent.ui.chat.output import Output
from localagent.ui.view.sanitize import clean, one_line

if TYPE_CHECKING:
    from localagent.cli.options import Commands
    from localagent.permissions.consent import Consent, ProjectFile
    from localagent.workspace.workspace import Workspace

_DESCRIPTION = """\
A project can bring rules for the model (AGENTS.md), prompts, commands, tools
and planners (below .localagent/). localagent uses a file only after you agreed
to its exact content; a changed file needs a new yes. Your answers lie in
localagent's data folder, not in the project."""
_EPILOG = """\
examples:
  localagent trust list
  localagent trust show AGENTS.md
  localagent trust add AGENTS.md
  localagent trust add --all --yes      in a container of yours, say
  localagent trust remove AGENTS.md

Tools and planners are programs: they run outside the sandbox, with your
rights. Never agree to a program that you have not read.
"""
_PATH = "as localagent trust list shows it"
_TRIES = 3
"""Times that a question is asked; after that, an unclear answer counts as "not now"."""


def register(commands: Commands) -> None:
    """Add the command trust and its actions to the parser."""
    actions = add_command_group(
        commands,
        "trust",
        "which rules and plug-ins of a project are used",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    add_directory(add_command(actions, "list", "the project's files, and your answers", show_all))
    action = add_command(actions, "show", "print a file and its changes since your answer", show)
    action.add_argument("path", metavar="PATH", help=_PATH)
    add_directory(action)
    action = add_command(actions, "add", "show files and agree to them", add)
    _add_paths(action)
    action.add_argument("--yes", action="store_true", help="do not ask")
    _add_paths(add_command(actions, "remove", "forget an answer", remove))


def _add_paths(action: argparse.ArgumentParser) -> None:
    action.add_argument("paths", metavar="PATH", nargs="*", help=_PATH)
    action.add_argument("--all", action="store_true", help="all files of this workspace")
    add_directory(action)


def show_all(args: argparse.Namespace) -> CliResult:
    """List files, one row each: the user's answer, and the file's kind, size and path."""
    _, consent, files, notes = _open(args.directory)
    rows: list[tuple[str, ...]] = [
        (consent.state(f), f.kind, f"{len(f.data)} bytes", one_line(f.path)) for f in files
    ]
    present = {file.path for file in files}
    for path, answer in consent.remembered().items():
        if path not in present:
            state = "agreed" if answer.agreed else "refused"
            rows.append((state, "(deleted)", "", one_line(path)))
    if not rows:
        notes.append(Output("note", "this project has no rules or plug-ins to approve"))
    return CliResult([*notes, Output("table", rows=tuple(rows))])


def show(args: argparse.Namespace) -> CliResult:
    """Print a file, and to stderr its changes since the user's answer."""
    _, consent, files, notes = _open(args.directory)
    file = _file_at(files, args.path)
    outputs = [*notes, Output("text", clean(file.text).rstrip("\n"))]
    if consent.state(file) == "changed" and (difference := consent.difference(file)):
        text = f"changed since your answer:\n{clean(difference)}"
        outputs.append(Output("note", text.rstrip("\n")))
    return CliResult(outputs)


def add(args: argparse.Namespace) -> CliResult:
    """Show each file and ask for consent; with `--yes`, approve all files without asking."""
    _, consent, files, notes = _open(args.directory)
    chosen = files if args.all else [_file_at(files, path) for path in _paths(args)]
    pending = [file for file in chosen if consent.state(file) != "agreed"]
    if args.yes:
        for file in pending:
            consent.agree(file)
    elif pending:
        if not args.console.interactive:
            raise RefusedError(
                "no file was approved: no user can answer here",
                "--yes approves them unasked",
            )
        ask_consent(args.console, consent, pending, sys.stdin.readline)
    states = [f"{consent.state(file)}  {one_line(file.path)}" for file in chosen]
    return CliResult([*notes, *text_result(*states).outputs])


def remove(args: argparse.Namespace) -> CliResult:
    """Forget the user's answers about files."""
    _, consent, _, _ = _open(args.directory)
    answers = consent.remembered()
    paths = list(answers) if args.all else _paths(args)
    for path in paths:
        if path not in answers:
            raise UsageError(
                f"no answer for {path} in this workspace", "localagent trust list shows the answers"
            )
        consent.forget(path)
    return text_result(*(f"forgotten  {one_line(path)}" for path in paths))


def ask_consent(
    console: Console, consent: Consent, files: Sequence[ProjectFile], read_line: Callable[[], str]
) -> None:
    """Show each file, ask for consent, and remember the answer.

    `read_line` returns the user's line, or "" at the end of input.
    """
    for file in files:
        console.show(_question(consent, file))
        answer = _answer(console, read_line)
        if answer == "yes":
            consent.agree(file)
        elif answer == "no":
            consent.refuse(file)
        else:
            text = f"  not now; {one_line(file.path)} is not used in this session"
            console.show(Output("text", text))


def _question(consent: Consent, file: ProjectFile) -> Output:
    """Compose the question, with the file's text or its changes since the last answer."""
    from localagent.permissions.consent import MEANINGS

    name, meaning = one_line(file.path), MEANINGS[file.kind]
    difference = consent.difference(file)
    title = f"? this project brings {name} ({meaning}):"
    if difference:
        title = f"? {name} of this project has changed since your answer ({meaning}):"
    lines = clean(difference or file.text).rstrip("\n").split("\n")
    return Output("text", "\n".join(f"  | {line}" for line in lines), title=title)


def _answer(console: Console, read_line: Callable[[], str]) -> str:
    """Ask until the answer is clear; return "yes", "no", or "" for "not now"."""
    for _ in range(_TRIES):
        console.prompt("  y use it, n never ask again about this text, Enter not now: ")
        reply = read_line().strip().lower()
        if reply in ("y", "yes"):
            return "yes"
        if reply in ("n", "no"):
            return "no"
        if not reply:
            break
    return ""


def _paths(args: argparse.Namespace) -> list[str]:
    if not args.paths:
        raise UsageError("no file is named", "name a file of localagent trust list, or --all")
    return list(args.paths)


def _open(directory: Path) -> tuple[Workspace, Consent, list[ProjectFile], list[Output]]:
    """Return the workspace, the answers, the files that need consent, and notes on other files."""
    from localagent.permissions.consent import Consent, load, nested_rules, scan
    from localagent.workspace.workspace import Workspace

    workspace = Workspace.open(directory)
    scanned = scan(workspace)
    files = list(scanned.files)
    notes = [Output("note", text) for text in scanned.unusable]
    for path in nested_rules(workspace):
        try:
            files.append(load(workspace, path, "rules"))
        except (OSError, ValueError) as error:
            notes.append(Output("note", f"{path} is not used: {error}"))
    return workspace, Consent(workspace.root), files, notes


def _file_at(files: list[ProjectFile], path: str) -> ProjectFile:
    for file in files:
        if file.path == path.removeprefix("./"):
            return file
    known = ", ".join(file.path for file in files[:8]) or "none"
    raise UsageError(f"{path} is not a file that needs consent here", f"such files: {known}")
