"""The next commit: the files that are staged, or the files that a session changed.

This module queries git and writes the command line that commits, but does not run it. The command
and the repository's hooks run in the sandbox; without a sandbox, the hooks do not run. Unlike `run`
by default, this module passes on the environment variables that name the repository and its index:
in a hook, git sets them.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from localagent.core.errors import LocalAgentError, UsageError
from localagent.core.programs import find_program
from localagent.edits.diff import unified
from localagent.edits.textfile import decode, is_binary, sha256
from localagent.workspace.git import adopt
from localagent.workspace.git.run import PLAIN_DIFF, ask_git, ignored_among
from localagent.workspace.safe_files import entry_content

# The environment variables that name the repository and its index. `git commit -a` makes a
# temporary index for its hooks.
_REPOSITORY = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"),
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH"),
)
_DIFF = ("diff", "--cached", *PLAIN_DIFF, "-M", "--no-relative")
# All kinds of changes except unmerged paths, which git does not commit.
_KINDS = "--diff-filter=ACDMRT"
_MAX_DIFF = 64 << 10  # bytes
_WORDS = {"A": "added", "D": "deleted", "R": "renamed", "C": "copied", "T": "type changed"}
# Files in `.git` that mark an unfinished operation, with its name and the command that ends it.
_UNFINISHED = {
    "MERGE_HEAD": ("a merge", "git merge --abort"),
    "CHERRY_PICK_HEAD": ("a cherry-pick", "git cherry-pick --abort"),
    "REVERT_HEAD": ("a revert", "git revert --abort"),
    "rebase-merge": ("a rebase", "git rebase --abort"),
    "rebase-apply": ("a rebase", "git rebase --abort"),
}


@dataclass(frozen=True, slots=True)
class StagedFile:
    """One file of the next commit.

    `kind` is git's letter for the change: A, C, D, M, R or T. `old` is the path before a rename or
    copy. `added` and `removed` count lines; for a binary file, they are None.
    """

    path: str
    kind: str
    old: str = ""
    added: int | None = None
    removed: int | None = None

    @property
    def binary(self) -> bool:
        """Whether git shows no lines of the file."""
        return self.added is None

    @property
    def lines(self) -> int:
        """The number of changed lines."""
        return (self.added or 0) + (self.removed or 0)

    def __str__(self) -> str:
        """The change in words, such as "calc.py: changed, +1 -1"."""
        what = _WORDS.get(self.kind, "changed")
        what += f" from {self.old}" if self.old else ""
        size = "binary" if self.binary else f"+{self.added} -{self.removed}"
        return f"{self.path}: {what}, {size}"


@dataclass(frozen=True, slots=True)
class CommitSelection:
    """The files of a commit.

    `add` are the paths that must be staged first, if any. Then, for each of the files, `diffs` has
    the changed lines, and `hashes` has the SHA-256 before and after the change.
    """

    files: tuple[StagedFile, ...]
    diffs: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    add: tuple[str, ...] = ()

    def diff_of(self, root: Path, file: StagedFile) -> str:
        """The changed lines of one of the files."""
        return self.diffs.get(file.path, "") if self.add else staged_diff(root, file)

    def versions_of(self, root: Path, file: StagedFile) -> list[tuple[str, str]]:
        """The path and SHA-256 of one of the files, before and after the change."""
        if self.add:
            return [(file.path, digest) for digest in self.hashes[file.path]]
        return staged_versions(root, file)


def staged_files(root: Path) -> list[StagedFile]:
    """The files of the next commit, in git's order.

    Raises UsageError if git or a repository is missing, and LocalAgentError if nothing is staged.
    """
    if not root.is_dir():
        raise UsageError(f"there is no folder {root}")
    if find_program("git") is None:
        raise UsageError("git is not installed", "localagent reads the staged changes from git")
    _require_work_tree(root.resolve(), keep=_REPOSITORY)
    done = ask_git(root, *_DIFF, _KINDS, "--raw", "--numstat", "-z", keep=_REPOSITORY)
    if done is None or done.returncode != 0:
        errors = done.stderr.decode("utf-8", "replace").strip().splitlines() if done else []
        reason = errors[0] if errors else "git did not respond"
        raise UsageError(f"cannot list the staged files: {reason}")
    files = _parse_raw(done.stdout)
    if not files:
        raise LocalAgentError("nothing is staged", "stage the changes with git add")
    return files


def staged_diff(root: Path, file: StagedFile) -> str:
    """The diff of a staged file with two lines of context, without git's header.

    "" for a binary file. At most 64 KiB are returned.
    """
    if file.binary:
        return ""
    paths = [f":(top,literal){path}" for path in (file.path, file.old) if path]
    done = ask_git(root, *_DIFF, "-U2", "--", *paths, keep=_REPOSITORY, limit=_MAX_DIFF)
    return "" if done is None else _hunks(done.stdout.decode("utf-8", "replace"))


def staged_versions(root: Path, file: StagedFile) -> list[tuple[str, str]]:
    """The path and SHA-256 of a staged file before and after the change.

    A submodule has no content, so its SHA-256 is "".
    """
    before = (f"HEAD:{file.old or file.path}", file.old or file.path) if file.kind != "A" else None
    after = (f":0:{file.path}", file.path) if file.kind != "D" else None
    versions = []
    for name, path in filter(None, (before, after)):
        done = ask_git(root, "cat-file", "blob", name, keep=_REPOSITORY)
        if done is not None and done.returncode == 0:
            versions.append((path, sha256(done.stdout)))
    return versions or [(file.path, "")]


def select(root: Path, changed: Sequence[str]) -> CommitSelection:
    """The staged files or, if nothing is staged, the files in `changed` that differ from HEAD.

    Raises UsageError if git or an author is missing, if `root` has no repository of its own, or
    during a merge or a rebase. Raises LocalAgentError if there is nothing to commit.
    """
    _require_ready(root)
    try:
        return CommitSelection(tuple(staged_files(root)))
    except UsageError:
        raise
    except LocalAgentError:
        pass  # nothing is staged
    ignored = ignored_among(root, changed) or set()
    files, diffs, hashes = [], {}, {}
    for path in sorted(set(changed) - ignored):
        before, after = _content_in(root, "HEAD", path), entry_content(root, path)
        if before != after:
            diffs[path] = _diff(path, before, after)
            files.append(_file(path, before, after, diffs[path]))
            hashes[path] = [sha256(data) for data in (before, after) if data is not None]
    if not files:
        raise LocalAgentError(
            "there is nothing to commit: nothing is staged, and no file that this session changed "
            "differs from the last commit",
            "!git add FILE stages a file",
        )
    # git refuses a path below a link. The path of the link stages what the link replaced.
    add = tuple(path for path in diffs if not any(path.startswith(f"{top}/") for top in diffs))
    return CommitSelection(tuple(files), diffs, hashes, add)


def command(message: str, add: Sequence[str], *, hooks: bool) -> str:
    """The command line that stages the paths in `add` and commits."""
    git = "git" if hooks else f"git -c core.hooksPath={os.devnull}"
    commit = f"{git} commit -q --cleanup=whitespace {shlex.quote(f'--message={message}')}"
    if not add:
        return commit
    return f"git --literal-pathspecs add -A -- {shlex.join(add)} && {commit}"


def head(root: Path) -> str:
    """The short id of the current commit; "" if there is no commit yet."""
    done = ask_git(root, "rev-parse", "--short", "--verify", "-q", "HEAD")
    return "" if done is None or done.returncode else os.fsdecode(done.stdout).strip()


def commits_with(root: Path, changes: Mapping[str, tuple[str | None, str | None]]) -> list[str]:
    """The short ids of the commits that made `changes`, if HEAD has them still.

    `changes` has the SHA-256 of each path's content before and after, None for no file. A change
    that restored what HEAD has is in no commit. Without git or a repository, there are none.
    """
    ids = []
    for path, (before, after) in changes.items():
        if _digest_in(root, "HEAD", path) != after:
            continue
        done = ask_git(root, "log", "-1", "--format=%h", "--", f":(literal){path}")
        commit = "" if done is None or done.returncode else os.fsdecode(done.stdout).strip()
        if commit and _digest_in(root, f"{commit}^", path) == before:
            ids.append(commit)
    return list(dict.fromkeys(ids))


def _digest_in(root: Path, commit: str, path: str) -> str | None:
    data = _content_in(root, commit, path)
    return None if data is None else sha256(data)


def _require_work_tree(root: Path, hint: str = "", keep: Sequence[str] = ()) -> None:
    inside = ask_git(root, "rev-parse", "--is-inside-work-tree", keep=keep)
    if inside is None or inside.stdout.strip() != b"true":
        raise UsageError(f"{root} is not in a git repository's working tree", hint)


def _require_ready(root: Path) -> None:
    if find_program("git") is None:
        raise UsageError("git is not installed")
    _require_work_tree(root, "git init makes one")
    if adopt.snapshot(root) is None:
        raise UsageError(
            f"the repository of {root} is stored in another folder, because {root} is a part of a "
            "larger repository or a linked work tree; localagent cannot commit there",
            "localagent commit-message writes a message for your own git commit",
        )
    for key, example in (("user.name", '"Ada Lovelace"'), ("user.email", "ada@example.org")):
        known = ask_git(root, "config", "--get", key)
        if known is None or not known.stdout.strip():
            raise UsageError(
                f"git does not know who commits: {key} is not set",
                f"git config --global {key} {example}",
            )
    for name, (what, abort) in _UNFINISHED.items():
        if (root / ".git" / name).exists():
            raise UsageError(f"{what} is not finished", f"finish it with git, or: {abort}")
    unmerged = ask_git(root, "ls-files", "--unmerged")
    if unmerged is None or unmerged.stdout.strip():
        raise UsageError("some files have unresolved conflicts", "git status lists these files")


def _content_in(root: Path, commit: str, path: str) -> bytes | None:
    """A file's content in a commit; None without the file, the commit or git."""
    done = ask_git(root, "cat-file", "blob", f"{commit}:./{path}")
    return None if done is None or done.returncode else done.stdout


def _file(path: str, before: bytes | None, after: bytes | None, diff: str) -> StagedFile:
    kind = "A" if before is None else "D" if after is None else "M"
    if any(data is not None and is_binary(data) for data in (before, after)):
        return StagedFile(path, kind)
    signs = [line[:1] for line in diff.splitlines()]
    return StagedFile(path, kind, added=signs.count("+"), removed=signs.count("-"))


def _diff(path: str, before: bytes | None, after: bytes | None) -> str:
    """The diff of a file with two lines of context."""
    old, new = (None if data is None else decode(data).text for data in (before, after))
    return _hunks(unified(path, old, new, context=2))


def _hunks(diff: str) -> str:
    """A diff without the lines that name the file."""
    _, sign, hunks = diff.partition("\n@@")
    return f"@@{hunks}".rstrip("\n") if sign else ""


def _parse_raw(output: bytes) -> list[StagedFile]:
    """Parse the output of `git diff --raw --numstat -z`.

    The output first has ":… M\\0path\\0" (or ":… R…\\0old\\0new\\0") for each file, and then
    "added\\tremoved\\tpath\\0" (or "added\\tremoved\\t\\0old\\0new\\0") for each file.
    """
    fields = iter(os.fsdecode(output).split("\0"))
    kinds: dict[str, tuple[str, str]] = {}
    files = []
    for item in fields:
        if item.startswith(":"):
            kind = item.rsplit(" ", 1)[-1][:1]
            old = next(fields) if kind in "RC" else ""
            kinds[next(fields)] = (kind, old)
        elif item:
            added, removed, path = item.split("\t", 2)
            if not path:
                _, path = next(fields), next(fields)
            kind, old = kinds.get(path, ("M", ""))
            counts = (None, None) if added == "-" else (int(added), int(removed))
            files.append(StagedFile(path, kind, old, *counts))
    return files
