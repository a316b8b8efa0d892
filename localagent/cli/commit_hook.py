"""The git hook prepare-commit-msg: setting it up, and the file that git gives it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from localagent.core.errors import UsageError
from localagent.core.interpreter import python
from localagent.workspace.git.run import git_command, git_environment

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
