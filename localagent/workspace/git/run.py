"""Asking git which files there are, without letting the repository do anything."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

# Listing the files of a large repository takes git about a second; a minute means that it hangs.
_SECONDS = 60.0
# Where the user's own git settings are; other GIT_ variables would point git elsewhere.
_SETTINGS = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")

# What a repository's settings would have git start: each is given a value that starts nothing.
# Programs for diffs have no such value; `diff` gets --no-ext-diff and --no-textconv. A remote is
# refused by GIT_ALLOW_PROTOCOL, of which an empty list allows none.
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
    """Whether `root` lies in a git work tree that does not ignore the whole of it."""
    inside = ask_git(root, "rev-parse", "--is-inside-work-tree")
    if inside is None or inside.stdout.strip() != b"true":
        return False
    ignored = ask_git(root, "check-ignore", "-q", "--", ".")
    return ignored is not None and ignored.returncode != 0


def list_files(root: Path) -> list[str] | None:
    """What git tracks below `root` or would show as untracked; None where git does not apply.

    The names are git's own and unchecked: some may be gone, links, or folders (submodules as
    "sub", other repositories as "other/").
    """
    if not in_work_tree(root):
        return None
    listing = ("--cached", "--others", "--exclude-standard", "--deduplicate")
    done = ask_git(root, "ls-files", "-z", *listing)
    if done is None or done.returncode != 0:
        return None
    return [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]


def is_ignored(root: Path, name: str) -> bool | None:
    """Whether git ignores `name`, be it there or not; None where git does not apply."""
    if not in_work_tree(root):
        return None
    # "./" keeps a name that starts with ":" from being read as pathspec magic.
    done = ask_git(root, "check-ignore", "-q", "--", f"./{name}")
    return done.returncode == 0 if done is not None and done.returncode in (0, 1) else None


def ignored_among(root: Path, names: Sequence[str]) -> set[str] | None:
    """Which of `names` git ignores, asked at once; None where git does not apply."""
    if not in_work_tree(root):
        return None
    text = b"".join(os.fsencode(f"./{name}") + b"\0" for name in names)
    done = ask_git(root, "check-ignore", "-z", "--stdin", text=text)
    if done is None or done.returncode not in (0, 1):
        return None
    found = (os.fsdecode(name) for name in done.stdout.split(b"\0") if name)
    return {name.removeprefix("./") for name in found}


def ask_git(
    root: Path, *arguments: str, keep: Sequence[str] = (), text: bytes = b""
) -> subprocess.CompletedProcess[bytes] | None:
    """Run a git command that only reads; None where git is missing or hangs.

    The repository may be hostile: its settings must not start programs (fsmonitor, hooks) or
    reach out (lazy fetches of a partial clone), and our environment must not point elsewhere, but
    for the variables that `keep` names. `text` is its input.
    """
    command = git_command(root)
    if command is None:
        return None
    try:
        return subprocess.run(
            [*command, *arguments],
            cwd=root,
            env=git_environment(keep),
            input=text,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


def git_command(root: Path, *, hooks: bool = False) -> list[str] | None:
    """git with settings that let the repository at `root` start nothing; None where it is missing.

    A git that lies in the repository itself is not used. With `hooks` its folder of hooks stays
    known, for commands that run none.
    """
    git = shutil.which("git")
    if git is None or Path(git).resolve().is_relative_to(root):
        return None
    settings = _SAFE if hooks else (*_SAFE, f"core.hooksPath={os.devnull}")
    return [git, *(word for setting in settings for word in ("-c", setting))]


def git_environment(keep: Sequence[str] = ()) -> dict[str, str]:
    """The environment for git: of its own variables only its settings' and those of `keep`."""
    kept = (*_SETTINGS, *keep)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") or k in kept}
    return environment | {
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "",
        "LC_ALL": "C",
    }
