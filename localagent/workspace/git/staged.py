"""What is staged for the next commit: the files, and what changes in each.

Unlike in `gitfiles`, git's own variables count: in a hook they say which index is committed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from localagent.core.errors import LocalAgentError, UsageError
from localagent.edits.textfile import sha256
from localagent.workspace.git.run import ask_git, git_command, git_environment

# Which repository, and which index of it; a hook of `git commit -a` gets an index of its own.
_WHERE = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"),
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH"),
)
# Renames are found; no program that the repository names is started.
_DIFF = ("diff", "--cached", "-M", "--no-ext-diff", "--no-textconv", "--no-relative", "--no-color")
# Unmerged paths are left out: git does not commit them.
_KINDS = "--diff-filter=ACDMRT"
_BYTES = 64 << 10
_WORDS = {"A": "added", "D": "deleted", "R": "renamed", "C": "copied", "T": "type changed"}


@dataclass(frozen=True, slots=True)
class StagedFile:
    """One file of the next commit. `kind` is git's letter (A, C, D, M, R, T), `old` the path that
    it was renamed or copied from, `added` and `removed` count lines and are None for binary
    files."""

    path: str
    kind: str
    old: str = ""
    added: int | None = None
    removed: int | None = None

    @property
    def binary(self) -> bool:
        """Whether git shows no lines of it."""
        return self.added is None

    @property
    def lines(self) -> int:
        """How many lines change."""
        return (self.added or 0) + (self.removed or 0)

    def __str__(self) -> str:
        """ "calc.py: changed, +1 -1"."""
        what = _WORDS.get(self.kind, "changed")
        what += f" from {self.old}" if self.old else ""
        size = "binary" if self.binary else f"+{self.added} -{self.removed}"
        return f"{self.path}: {what}, {size}"


def staged(root: Path) -> list[StagedFile]:
    """The files of the next commit, in git's order.

    Raises UsageError without git or a repository, and LocalAgentError where nothing is staged.
    """
    if not root.is_dir():
        raise UsageError(f"there is no folder {root}")
    if shutil.which("git") is None:
        raise UsageError("git is not installed", "the message is written from what git has staged")
    inside = ask_git(root, "rev-parse", "--is-inside-work-tree", keep=_WHERE)
    if inside is None or inside.stdout.strip() != b"true":
        raise UsageError(f"{root.resolve()} is not in a git repository's working tree")
    done = ask_git(root, *_DIFF, _KINDS, "--raw", "--numstat", "-z", keep=_WHERE)
    if done is None or done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() if done else []
        raise UsageError(f"git cannot say what is staged: {said[0] if said else 'no answer'}")
    found = _parsed(done.stdout)
    if not found:
        raise LocalAgentError("nothing is staged", "git add the changes that the message is for")
    return found


def diff_of(root: Path, file: StagedFile) -> str:
    """The changed lines of a file with two around them, the first 64 KiB; "" where git shows none.

    git's own header lines are left out.
    """
    command = git_command(root)
    if command is None or file.binary:
        return ""
    paths = [f":(top,literal){path}" for path in (file.path, file.old) if path]
    process = subprocess.Popen(
        [*command, *_DIFF, "-U2", "--", *paths],
        cwd=root,
        env=git_environment(_WHERE),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        assert process.stdout is not None
        text = process.stdout.read(_BYTES).decode("utf-8", "replace")
        process.kill()
    _, mark, hunks = text.partition("\n@@")
    return f"@@{hunks}".rstrip("\n") if mark else ""


def versions_of(root: Path, file: StagedFile) -> list[tuple[str, str]]:
    """The path and SHA-256 of what git has of a file before and after; its path and "" where
    neither is a file, as of a submodule."""
    before = (f"HEAD:{file.old or file.path}", file.old or file.path) if file.kind != "A" else None
    after = (f":0:{file.path}", file.path) if file.kind != "D" else None
    found = []
    for name, path in filter(None, (before, after)):
        done = ask_git(root, "cat-file", "blob", name, keep=_WHERE)
        if done is not None and done.returncode == 0:
            found.append((path, sha256(done.stdout)))
    return found or [(file.path, "")]


def _parsed(output: bytes) -> list[StagedFile]:
    """`--raw --numstat -z`: first ":… M\\0path\\0" (or "R…\\0old\\0new\\0") for each file, then
    "added\\tremoved\\tpath\\0" (or "…\\t\\0old\\0new\\0") for each."""
    fields = iter(os.fsdecode(output).split("\0"))
    kinds: dict[str, tuple[str, str]] = {}
    found = []
    for field in fields:
        if field.startswith(":"):
            kind = field.rsplit(" ", 1)[-1][:1]
            old = next(fields) if kind in "RC" else ""
            kinds[next(fields)] = (kind, old)
        elif field:
            added, removed, path = field.split("\t", 2)
            if not path:
                _, path = next(fields), next(fields)
            kind, old = kinds.get(path, ("M", ""))
            counts = (None, None) if added == "-" else (int(added), int(removed))
            found.append(StagedFile(path, kind, old, *counts))
    return found
