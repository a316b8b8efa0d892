"""`localagent commit-message`: write a message for the staged changes, also as a git hook."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from localagent.cli.model_audit import ModelAudit
from localagent.cli.options import add_command, add_directory, add_scripted
from localagent.cli.output import CliResult, note, text_result
from localagent.core.errors import LocalAgentError, UsageError

if TYPE_CHECKING:
    from localagent.cli.options import Commands

_MARKER = "# localagent commit-message --install wrote this file; remove it to be rid of the hook."
_SCISSORS = "# ------------------------ >8 ------------------------"
# -P keeps Python from importing a folder "localagent" of the repository.
_SCRIPT = """\
#!/bin/sh
{mark}
if [ -x {python} ]; then
    {python} -P -m localagent commit-message --hook "$@"
else
    echo "localagent: no commit message: {plain} is gone" >&2
fi
exit 0
"""


_SECONDS = 120.0
_DESCRIPTION = """\
Write a commit message for the staged changes, with the model of the role
"small" (the main model where "small" is not set), and print it."""
_EPILOG = """\
examples:
  localagent commit-message
  git commit -e -m "$(localagent commit-message)"
  localagent commit-message --install

The hook fills in the message that git commit opens in the editor. It leaves
merges, amends and messages given with -m or -F alone, and never stops a
commit. git commit --no-verify does not skip it; remove the hook's file to
uninstall it.

Of a long diff the model sees a part of each file. It does not see files that
may hold secrets.
"""


def register(commands: Commands) -> None:
    """Add the command commit-message to the parser."""
    parser = add_command(
        *(commands, "commit-message", "write a message for the staged changes", execute),
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    way = parser.add_mutually_exclusive_group()
    way.add_argument(
        "--hook",
        nargs="+",
        metavar=("FILE", "SOURCE"),
        help="called by git as prepare-commit-msg: write the message into FILE",
    )
    way.add_argument("--install", action="store_true", help="install the hook in this repository")
    parser.add_argument("--model", metavar="ID", help="a model of localagent models list")
    parser.add_argument(
        "--max-seconds",
        metavar="N",
        type=float,
        default=_SECONDS,
        help=f"stop the model after N seconds (default: {_SECONDS:g})",
    )
    add_directory(parser)
    add_scripted(parser)


def execute(args: argparse.Namespace) -> CliResult:
    """Print the message, write it into a file (`--hook`), or install the hook."""
    if args.install:
        return text_result(f"installed {install(args.directory)}")
    if args.hook:
        _run_hook(args)
        return CliResult()
    if not args.max_seconds > 0:
        raise UsageError("--max-seconds must be more than 0")
    return text_result(_write_message(args))


def _run_hook(args: argparse.Namespace) -> None:
    """Write the message into git's file. A failure is printed, and the commit continues."""
    try:
        file, source = Path(args.hook[0]), args.hook[1] if len(args.hook) > 1 else ""
        if may_write(file, source):
            note("writing the commit message …")
            prepend(file, _write_message(args))
    except LocalAgentError as error:
        note(f"no commit message: {error.message}")
    except KeyboardInterrupt:
        note("no commit message: interrupted")
    except Exception as error:  # noqa: BLE001 - a bug of localagent must not stop a commit
        note(f"no commit message: a fault in localagent itself ({error!r})")


def _write_message(args: argparse.Namespace) -> str:
    """Write a message for the staged changes. They are read before the model is loaded."""
    from localagent.workspace.git import commit

    files = commit.staged_files(args.directory)
    from localagent.agent.small_tasks import StagedChanges, write_message
    from localagent.project.project import Project, user_prompts
    from localagent.session.models import open_models
    from localagent.ui.chat.commands.commit import message_warnings

    root = args.directory
    project = Project.open(root, {"model": args.model})
    models = open_models(project, args.scripted)
    changes = StagedChanges(
        files, partial(commit.staged_diff, root), partial(commit.staged_versions, root)
    )
    try:
        with ModelAudit(project, models, "small") as audit:
            model = models.role("small")
            written = write_message(model, user_prompts(), changes, args.max_seconds, audit.record)
    finally:
        for text in models.drain_warnings():
            note(text)
        models.close()
    args.console.show(*message_warnings(written))
    return written.text


def may_write(file: Path, source: str) -> bool:
    """Return whether localagent writes the message: neither the user nor git has given one.

    `source` is the second argument of git's hook: "" for a plain commit, "template", "message" (-m,
    -F), "merge", "squash" or "commit" (--amend, -c, -C). Raises UsageError for an unreadable file.
    """
    if source not in ("", "template"):
        return False
    lines = _read(file).partition(_SCISSORS)[0].splitlines()
    return not any(line.strip() and not line.startswith("#") for line in lines)


def prepend(file: Path, message: str) -> None:
    """Write `message` above the text that git or a template put into `file`. Raises UsageError."""
    text = _read(file)
    try:
        file.write_text(f"{message}\n\n{text.lstrip()}", encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from None


def install(root: Path) -> Path:
    """Write the hook into the repository and return its path.

    Raises UsageError if there is no repository, if another program has installed a hook, or if
    several repositories share the folder of hooks.
    """
    from localagent.core.interpreter import python

    folder = _hooks_folder(root)
    check = subprocess.run(python("-c", "import localagent"), cwd=folder.parent)
    if check.returncode != 0:
        raise UsageError(
            f"{sys.executable} finds localagent only in this folder, so the hook would fail",
            "install it: pip install .",
        )
    path = folder / "prepare-commit-msg"
    if os.path.lexists(path) and _MARKER not in _hook_text(path):
        raise UsageError(
            f"a hook exists already: {path}",
            f'add this line to it: {_python()} -P -m localagent commit-message --hook "$@"',
        )
    script = _SCRIPT.format(mark=_MARKER, python=_python(), plain=shlex.quote(sys.executable))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(script, encoding="utf-8", newline="\n")
        path.chmod(0o755)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
    return path


def _python() -> str:
    return shlex.quote(Path(sys.executable).as_posix())


def _hooks_folder(root: Path) -> Path:
    """Return the folder of this repository's hooks. Raises UsageError if repositories share it."""
    hooks = _git(root, "rev-parse", "--git-path", "hooks")
    common = _git(root, "rev-parse", "--git-common-dir")
    if hooks is None or common is None:
        raise UsageError(f"{root.resolve()} is not in a git repository's working tree")
    folder, repository = (root / hooks).resolve(), (root / common).resolve()
    if not folder.is_relative_to(repository):
        raise UsageError(
            f"other repositories may share git's hooks in {folder} (core.hooksPath)",
            f'a hook there may run: {_python()} -P -m localagent commit-message --hook "$@"',
        )
    return folder


def _git(root: Path, *arguments: str) -> str | None:
    """Return the output of a git command, or None if git fails. The command must run no hook."""
    from localagent.core.programs import find_program
    from localagent.workspace.git.run import ask_git

    if find_program("git") is None or not root.is_dir():
        raise UsageError(f"git is not installed, or there is no folder {root}")
    done = ask_git(root, *arguments, hooks=True)
    return None if done is None or done.returncode else os.fsdecode(done.stdout).strip()


def _hook_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
