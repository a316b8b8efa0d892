"""Open a branch with a change, without touching the work tree, the index or the current branch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from localagent.core.errors import WorkspaceError
from localagent.workspace.git.run import ask_git
from localagent.workspace.safe_files import read_entry

FileVersion = tuple[str, bytes] | None
"""git's mode of a file and its content or, for a link, its target; None: deleted."""

FILE, PROGRAM, LINK = "100644", "100755", "120000"

_AUTHOR = {"NAME": "localagent", "EMAIL": "localagent@localhost"}


def clean_head(root: Path) -> str:
    """The current commit of the repository at `root`, if no tracked file differs from it; else "".

    Untracked files do not matter.
    """
    changed = ask_git(root, "status", "--porcelain", "--untracked-files=no", "--ignore-submodules")
    if changed is None or changed.returncode or changed.stdout.strip():
        return ""
    head = ask_git(root, "rev-parse", "--verify", "-q", "HEAD^{commit}")
    return "" if head is None or head.returncode else head.stdout.decode().strip()


def branch_commit(root: Path, name: str) -> str:
    """The commit of a branch, or "" if there is no such branch."""
    done = ask_git(root, "rev-parse", "--verify", "-q", f"refs/heads/{name}")
    return "" if done is None or done.returncode else done.stdout.decode().strip()


def make_commit(
    root: Path, base: str, files: Mapping[str, FileVersion], message: str, scratch: Path
) -> str:
    """Make a commit on `base` with these versions of files, and return its id.

    Paths are relative to `root`. `scratch` is a folder for the commit's own index. Raises
    WorkspaceError.
    """
    git = _Git(root, scratch)
    prefix = git.ask("rev-parse", "--show-prefix")
    git.ask("read-tree", base)
    lines = []
    for path, version in files.items():
        if version is None:
            lines.append(f"0 {'0' * len(base)}\t{prefix}{path}")
        else:
            mode, data = version
            filters = "--no-filters" if mode == LINK else f"--path={prefix}{path}"
            stored = git.ask("hash-object", "-w", "--stdin", filters, text=data)
            lines.append(f"{mode} {stored}\t{prefix}{path}")
    git.ask("update-index", "-z", "--index-info", text=os.fsencode("\0".join([*lines, ""])))
    tree = git.ask("write-tree")
    return git.ask("commit-tree", tree, "-p", base, "-F", "-", text=message.encode())


def open_branch(root: Path, name: str, commit: str) -> None:
    """Create the branch `name` at a commit. Raises WorkspaceError if it has another commit."""
    if branch_commit(root, name) == commit:
        return
    none = "0" * len(commit)
    git = _Git(root)
    git.ask("update-ref", "-m", "localagent batch", f"refs/heads/{name}", commit, none)


def file_version(root: Path, path: str) -> FileVersion:
    """The version of the file or link `path` below `root` on the disk. Raises OSError.

    As for git, a path below a link is deleted.
    """
    state, data = read_entry(root, path)
    if state.kind == "symlink":
        return LINK, data
    if state.kind != "file":
        return None
    return (PROGRAM if (state.mode or 0) & 0o100 else FILE), data


class _Git:
    """git in a repository, with an index in the folder `scratch` if there is one."""

    def __init__(self, root: Path, scratch: Path | None = None) -> None:
        self._root = root
        self._writable: list[Path] = []
        self._variables: dict[str, str] = {}
        if scratch is not None:
            self._writable.append(scratch)
            self._variables["GIT_INDEX_FILE"] = str((scratch / "index").absolute())
        folder = self.ask("rev-parse", "--git-common-dir")
        self._writable.append((root / folder).resolve())
        for part, value in _AUTHOR.items():
            known = ask_git(root, "config", "--get", f"user.{part.lower()}")
            if known is None or not known.stdout.strip():
                self._variables |= {f"GIT_AUTHOR_{part}": value, f"GIT_COMMITTER_{part}": value}

    def ask(self, *words: str, text: bytes = b"") -> str:
        """The output of a command, without its last line break. Raises WorkspaceError."""
        done = ask_git(
            self._root,
            *words,
            text=text,
            variables=self._variables,
            writable=self._writable,
        )
        if done is None or done.returncode:
            lines = done.stderr.decode("utf-8", "replace").split("\n") if done else ["no answer"]
            raise WorkspaceError(f"git {words[0]} failed: {lines[0]}")
        return os.fsdecode(done.stdout).removesuffix("\n")
