"""Run git so that no setting of the repository can start a program."""

from __future__ import annotations

import os
import stat
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from localagent.core.programs import find_program, register_workspace, safe_environment
from localagent.workspace.git.confine import confined

# A time limit. git lists the files of a large repository in about a second.
_SECONDS = 60.0
# Folders in which git hung: a pipe as .gitignore would make each query wait again.
_hanging: set[Path] = set()
_READ_FIRST = (
    *(".gitignore", ".gitattributes", ".git", ".git/HEAD", ".git/config", ".git/index"),
    *(".git/packed-refs", ".git/info/exclude", ".git/info/attributes", ".git/commondir"),
)
# Variables that name the user's git settings. Other GIT_ variables could name another repository.
_SETTINGS = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")

# Settings with which a repository could start programs, with values that start none. The setting
# for diff programs has no such value, so every diff gets `PLAIN_DIFF`. An empty GIT_ALLOW_PROTOCOL
# refuses every remote.
_SAFE = (
    *("core.fsmonitor=false", "core.pager=cat", "core.editor=false", "sequence.editor=false"),
    *("core.askPass=", "core.sshCommand=false", "core.gitProxy=", "core.alternateRefsCommand="),
    *(
        "credential.helper=",
        "gpg.program=false",
        "gpg.ssh.program=false",
        "log.showSignature=false",
    ),
    "safe.bareRepository=explicit",  # a folder with HEAD, objects and refs is no repository
    *("protocol.allow=never", "submodule.recurse=false", "gc.auto=0", "maintenance.auto=false"),
    # Show a submodule as a commit: to show files, git runs in it, and obeys the settings there.
    *("diff.submodule=short", "diff.ignoreSubmodules=dirty"),
    # Not for safety: the output has one form, whatever the user's settings say.
    *("core.quotePath=true", "diff.suppressBlankEmpty=false"),
)
PLAIN_DIFF = ("--no-ext-diff", "--no-textconv", "--no-color", "--submodule=short")
"""The options of every diff: start no program, whatever the settings say."""

# Commands that read files of the work tree as git stores them, through the filters of the settings.
_CONVERTING = ("diff", "status", "hash-object")
# The settings of a hook (git 2.54) and of a filter that switch it off. The settings in `_SAFE` do
# not concern these, since the repository chooses their names.
_OFF = {
    "hook": (("enabled", "false"), ("event", ""), ("command", "false")),
    "filter": (("clean", ""), ("smudge", ""), ("process", ""), ("required", "false")),
}


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
    writable: Sequence[Path] = (),
    hooks: bool = False,
    limit: int | None = None,
) -> subprocess.CompletedProcess[bytes] | None:
    """Run a git command with the input `text`. Returns None if git is missing, or hangs in `root`.

    The repository may be hostile. Its settings can neither start programs (fsmonitor, hooks) nor
    reach the network (lazy fetches of a partial clone), and git writes only in the folders
    `writable`. The environment's GIT_ variables are removed, except those in `keep`; `variables`
    are added. With `hooks`, the setting for the folder of hooks is kept, for commands that only
    print it. With `limit`, git gets no input, and is ended after so many bytes of output.
    """
    register_workspace(root)
    git = find_program("git")
    if git is None or root in _hanging or _has_pipe(root):
        return None
    settings = _SAFE if hooks else (*_SAFE, f"core.hooksPath={os.devnull}")
    command = [git, *(word for setting in settings for word in ("-c", setting)), *arguments]
    environment = git_environment(keep) | dict(variables or {})
    if writable or arguments[0] in _CONVERTING:
        environment |= _without_programs(root)
    try:
        return confined(git, writable, lambda: _run(command, root, environment, text, limit))
    except OSError:
        return None
    except subprocess.TimeoutExpired:
        _hanging.add(root)
        return None


def _has_pipe(root: Path) -> bool:
    """Whether git would wait without end for one of the files that it reads first."""
    for name in _READ_FIRST:
        try:
            kind = os.lstat(root / name).st_mode
        except OSError:
            continue
        if stat.S_ISFIFO(kind):
            return True
    return False


def _without_programs(root: Path) -> dict[str, str]:
    """Variables that switch off the hooks and filters that git's settings define by name."""
    done = ask_git(root, "config", "--includes", "--list", "--name-only", "-z")
    keys = os.fsdecode(done.stdout).split("\0") if done is not None else []
    names = {key.rpartition(".")[0] for key in keys if key.count(".") > 1}
    settings = [
        (f"{name}.{key}", value)
        for name in sorted(names)
        for key, value in _OFF.get(name.partition(".")[0], ())
    ]
    variables = {"GIT_CONFIG_COUNT": str(len(settings))} if settings else {}
    for number, (key, value) in enumerate(settings):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return variables


def _run(
    command: list[str], root: Path, environment: dict[str, str], text: bytes, limit: int | None
) -> subprocess.CompletedProcess[bytes]:
    if limit is None:
        return subprocess.run(
            command,
            cwd=root,
            env=environment,
            input=text,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    with subprocess.Popen(
        command,
        cwd=root,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        expired = threading.Event()

        def stop() -> None:
            expired.set()
            process.kill()

        timer = threading.Timer(_SECONDS, stop)
        timer.start()
        output = process.stdout.read(limit)
        timer.cancel()
        if len(output) == limit:
            process.kill()
            return subprocess.CompletedProcess(command, 0, output, b"")
    if expired.is_set():
        raise subprocess.TimeoutExpired(command, _SECONDS)
    return subprocess.CompletedProcess(command, process.returncode, output, b"")


def git_environment(keep: Sequence[str] = ()) -> dict[str, str]:
    """The environment for git. GIT_ variables are removed, except its settings and `keep`."""
    names = (*_SETTINGS, *keep)
    environment = {
        name: value
        for name, value in safe_environment().items()
        if not name.startswith("GIT_") or name in names
    }
    return environment | {
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "",
        "LC_ALL": "C",
    }
