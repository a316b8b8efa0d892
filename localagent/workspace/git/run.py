"""Run git so that no setting of the repository can start a program."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

# A time limit. git lists the files of a large repository in about a second.
_SECONDS = 60.0
# Variables that name the user's git settings. Other GIT_ variables could name another repository.
_SETTINGS = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")

# Settings with which a repository could start programs, with values that start none. The setting
# for diff programs has no such value, so `git diff` must get --no-ext-diff and --no-textconv. An
# empty GIT_ALLOW_PROTOCOL refuses every remote.
_SAFE = (
    *("core.fsmonitor=false", "core.pager=cat", "core.editor=false", "sequence.editor=false"),
    *("core.askPass=", "core.sshCommand=false", "core.gitProxy=", "core.alternateRefsCommand="),
    *(
        "credential.helper=",
        "gpg.program=false",
        "gpg.ssh.program=false",
        "log.showSignature=false",
    ),
    *("protocol.allow=never", "submodule.recurse=false", "gc.auto=0", "maintenance.auto=false"),
)


def in_work_tree(root: Path) -> bool:
    """Whether `root` is in a git work tree that does not ignore `root` itself."""
    inside = ask_git(root, "rev-parse", "--is-inside-work-tree")
    if inside is None or inside.stdout.strip() != b"true":
        return False
    ignored = ask_git(root, "check-ignore", "-q", "--", ".")
    return ignored is not None and ignored.returncode != 0


def list_files(root: Path) -> list[str] | None:
    """The names of the files below `root` that git tracks or shows as untracked.

    None outside of a work tree. The names are not checked: some may be deleted files, links or
    folders. A submodule appears as "sub", another repository as "other/".
    """
    if not in_work_tree(root):
        return None
    listing = ("--cached", "--others", "--exclude-standard", "--deduplicate")
    done = ask_git(root, "ls-files", "-z", *listing)
    if done is None or done.returncode != 0:
        return None
    return [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]


def is_ignored(root: Path, name: str) -> bool | None:
    """Whether git ignores `name`, which need not exist; None outside of a work tree."""
    if not in_work_tree(root):
        return None
    # "./" prevents git from reading a name that starts with ":" as pathspec magic.
    done = ask_git(root, "check-ignore", "-q", "--", f"./{name}")
    return done.returncode == 0 if done is not None and done.returncode in (0, 1) else None


def ignored_among(root: Path, names: Sequence[str]) -> set[str] | None:
    """The `names` that git ignores, from one query; None outside of a work tree."""
    if not in_work_tree(root):
        return None
    text = b"".join(os.fsencode(f"./{name}") + b"\0" for name in names)
    done = ask_git(root, "check-ignore", "-z", "--stdin", text=text)
    if done is None or done.returncode not in (0, 1):
        return None
    ignored = (os.fsdecode(name) for name in done.stdout.split(b"\0") if name)
    return {name.removeprefix("./") for name in ignored}


def ask_git(
    root: Path,
    *arguments: str,
    keep: Sequence[str] = (),
    text: bytes = b"",
    variables: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes] | None:
    """Run a git command with the input `text`. Returns None if git is missing or hangs.

    The repository may be hostile. Its settings can neither start programs (fsmonitor, hooks) nor
    reach the network (lazy fetches of a partial clone). The environment's GIT_ variables are
    removed, except those in `keep`; `variables` are added.
    """
    command = git_command(root)
    if command is None:
        return None
    try:
        return subprocess.run(
            [*command, *arguments],
            cwd=root,
            env=git_environment(keep) | dict(variables or {}),
            input=text,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


def git_command(root: Path, *, hooks: bool = False) -> list[str] | None:
    """The words of a git command whose settings prevent the repository from starting programs.

    Returns None if git is missing. A git program inside the repository `root` is not used. With
    `hooks`, the setting for the folder of hooks is kept, for commands that do not run hooks.
    """
    git = shutil.which("git")
    if git is None or Path(git).resolve().is_relative_to(root):
        return None
    settings = _SAFE if hooks else (*_SAFE, f"core.hooksPath={os.devnull}")
    return [git, *(word for setting in settings for word in ("-c", setting))]


def git_environment(keep: Sequence[str] = ()) -> dict[str, str]:
    """The environment for git. GIT_ variables are removed, except its settings and `keep`."""
    names = (*_SETTINGS, *keep)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k in names}
    return environment | {
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "",
        "LC_ALL": "C",
    }
