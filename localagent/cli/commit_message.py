"""`localagent commit-message`: a message for what is staged, also as a git hook."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from localagent.cli.options import add_command, add_directory, add_scripted
from localagent.cli.output import note, say
from localagent.core.errors import LocalAgentError, UsageError

if TYPE_CHECKING:
    from localagent.agent.small_tasks import CommitMessage
    from localagent.cli.options import Commands
    from localagent.core.events import Event
    from localagent.models.router import Router
    from localagent.project.project import Project
    from localagent.session.session import Recorder

_MARK = "# localagent commit-message --install wrote this file; remove it to be rid of the hook."
_SCISSORS = "# ------------------------ >8 ------------------------"
# -P: a folder "localagent" in the repository must not be taken for the program.
_SCRIPT = """\
#!/bin/sh
{mark}
if [ -x {python} ]; then
    {python} -P -m localagent commit-message --hook "$@"
else
    echo "localagent: no commit message: it is no longer at {plain}" >&2
fi
exit 0
"""


def may_write(file: Path, source: str) -> bool:
    """Whether the message is localagent's to write: nobody gave one, and none is being reused.

    `source` is git's word: "" for a plain commit, "template", "message" (-m, -F), "merge",
    "squash" or "commit" (--amend, -c, -C). Raises UsageError where the file cannot be read.
    """
    return source in ("", "template") and not _said(_read(file))


def put(file: Path, message: str) -> None:
    """Put `message` before what is in the file: git's comments, a template's. Raises UsageError."""
    text = _read(file)
    try:
        file.write_text(f"{message}\n\n{text.lstrip()}", encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from None


def install(root: Path) -> Path:
    """Write the hook into the repository and return its path.

    Raises UsageError where there is no repository, another's hook, or a folder of hooks that is
    not the repository's own.
    """
    from localagent.core.interpreter import python

    folder = _hooks_folder(root)
    found = subprocess.run(python("-c", "import localagent"), cwd=folder.parent)
    if found.returncode != 0:
        raise UsageError(
            f"{sys.executable} finds localagent only in this folder, so the hook would not",
            "install it: pip install .",
        )
    path = folder / "prepare-commit-msg"
    if os.path.lexists(path) and _MARK not in _hook_text(path):
        raise UsageError(
            f"there is a hook already: {path}",
            f'add this line to it: {_python()} -P -m localagent commit-message --hook "$@"',
        )
    script = _SCRIPT.format(mark=_MARK, python=_python(), plain=shlex.quote(sys.executable))
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
    """Where this repository's own hooks are."""
    hooks = _git(root, "rev-parse", "--git-path", "hooks")
    common = _git(root, "rev-parse", "--git-common-dir")
    if hooks is None or common is None:
        raise UsageError(f"{root.resolve()} is not in a git repository's working tree")
    folder, own = (root / hooks).resolve(), (root / common).resolve()
    if not folder.is_relative_to(own):
        raise UsageError(
            f"git's hooks are in {folder} (core.hooksPath), which is not only this repository's",
            f'a hook there may run: {_python()} -P -m localagent commit-message --hook "$@"',
        )
    return folder


def _git(root: Path, *arguments: str) -> str | None:
    """What git says of the repository, its folder of hooks included; nothing is run by asking."""
    from localagent.workspace.git.run import git_command, git_environment

    command = git_command(root.resolve(), hooks=True)
    if command is None or not root.is_dir():
        raise UsageError("git is not installed, or there is no folder " + str(root))
    try:
        done = subprocess.run(
            [*command, *arguments],
            cwd=root,
            env=git_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return os.fsdecode(done.stdout).strip() if done.returncode == 0 else None


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


def _said(text: str) -> bool:
    """Whether a message file holds anything but comments (and what follows git's scissors)."""
    lines = text.partition(_SCISSORS)[0].splitlines()
    return any(line.strip() and not line.startswith("#") for line in lines)


_SECONDS = 120.0
_NAMED = 5
_DESCRIPTION = """\
Write a commit message for what is staged, with the model of the role "small"
(the main one where that is not set), and print it."""
_EPILOG = """\
examples:
  localagent commit-message
  git commit -e -m "$(localagent commit-message)"
  localagent commit-message --install

The hook fills in the message that git commit opens in the editor. It leaves
merges, amends and messages given with -m or -F alone, and never stops a
commit. git commit --no-verify does not skip it; remove the hook's file to be
rid of it.

Of a long diff the model sees a part of each file. Files that look like they
hold secrets are not shown to it.
"""


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "commit-message",
        "write a message for what is staged",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.set_defaults(execute=execute)
    way = parser.add_mutually_exclusive_group()
    way.add_argument(
        "--hook",
        nargs="+",
        metavar=("FILE", "SOURCE"),
        help="as git calls prepare-commit-msg: write the message into FILE",
    )
    way.add_argument("--install", action="store_true", help="set up the hook in this repository")
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


def execute(args: argparse.Namespace) -> int:
    """Print the message; with `--hook` write it into the file, with `--install` set that up."""
    if args.install:
        say(f"installed {install(args.directory)}")
        return 0
    if args.hook:
        _hook(args)
        return 0
    if not args.max_seconds > 0:
        raise UsageError("--max-seconds must be more than 0")
    written = _written(args)
    _tell(written)
    say(written.text)
    return 0


def _hook(args: argparse.Namespace) -> None:
    """Write the message where git will look for it. Whatever goes wrong, the commit goes on."""
    try:
        file, source = Path(args.hook[0]), args.hook[1] if len(args.hook) > 1 else ""
        if may_write(file, source):
            note("writing the commit message …")
            written = _written(args)
            _tell(written)
            put(file, written.text)
    except LocalAgentError as error:
        note(f"no commit message: {error.message}")
    except KeyboardInterrupt:
        note("no commit message: interrupted")
    except Exception as error:  # noqa: BLE001 - a fault of ours must not stop a commit
        note(f"no commit message: a fault in localagent itself ({error!r})")


def _written(args: argparse.Namespace) -> CommitMessage:
    """The message for what is staged. What cannot be read is found before a model is loaded."""
    from localagent.workspace.git import commit

    files = commit.staged_files(args.directory)
    from localagent.agent.small_tasks import StagedChanges, write_message
    from localagent.project.project import Project, user_prompts
    from localagent.session.models import open_models

    root = args.directory
    project = Project.open(root, {"model": args.model})
    models = open_models(project, args.scripted)
    changes = StagedChanges(
        files, partial(commit.staged_diff, root), partial(commit.staged_versions, root)
    )
    try:
        with _Audit(project, models) as audit:
            model = models.role("small")
            return write_message(model, user_prompts(), changes, args.max_seconds, audit.tell)
    finally:
        for text in models.notices():
            note(text)
        models.close()


class _Audit:
    """What the model is shown goes into an audit log of its own, as there is no session. It is
    begun with the first of it."""

    def __init__(self, project: Project, models: Router) -> None:
        self._project = project
        self._models = models
        self._log: Recorder | None = None

    def tell(self, event: Event) -> None:
        """Keep an event, and before it which models took over. Raises WorkspaceError."""
        from localagent.core.events import ModelSwitched
        from localagent.session.recorders import open_audit

        switches = self._models.switches()
        if self._log is None:  # it begins with the name of the model that it came to
            self._log = open_audit(self._project, self._models, "small")
            switches = []
        for switch in switches:
            info = switch.info
            self._log.aside(ModelSwitched(switch.role, info.id, info.sha256, "", switch.why))
        self._log.aside(event)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._log is not None:
            self._log.close()


def _tell(written: CommitMessage) -> None:
    if not written.by_model:
        note("the model gave no usable message; this one only names the files")
    if written.clipped:
        note(f"the model saw only a part of {_names(written.clipped)}")
    if written.secret:
        note(f"not shown to the model, as they may hold secrets: {_names(written.secret)}")


def _names(paths: tuple[str, ...]) -> str:
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join(paths[:_NAMED]) + more
