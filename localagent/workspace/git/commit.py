"""What a commit of the user's would hold, and the command that makes it.

Git is only asked here; the command is carried out where commands are, in the sandbox, so the
repository's hooks run there or, where nothing confines them, not at all.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from localagent.core.errors import LocalAgentError, UsageError
from localagent.edits.diff import unified
from localagent.edits.textfile import decode, is_binary, sha256
from localagent.workspace.git import adopt
from localagent.workspace.git import staged as gitstaged
from localagent.workspace.git.run import ask_git, ignored_among
from localagent.workspace.git.staged import StagedFile

# Files of a git folder that are there while something is unfinished, and what that is.
_UNFINISHED = {
    "MERGE_HEAD": ("a merge", "git merge --abort"),
    "CHERRY_PICK_HEAD": ("a cherry-pick", "git cherry-pick --abort"),
    "REVERT_HEAD": ("a revert", "git revert --abort"),
    "rebase-merge": ("a rebase", "git rebase --abort"),
    "rebase-apply": ("a rebase", "git rebase --abort"),
}


@dataclass(frozen=True, slots=True)
class CommitSelection:
    """What is to be committed: `files`; where they are not staged yet, `add` are the paths to
    stage, and by path `diffs` has their changed lines, `hashes` the SHA-256 of what they held
    before and hold now."""

    files: tuple[StagedFile, ...]
    diffs: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    add: tuple[str, ...] = ()


def select(root: Path, changed: Sequence[str]) -> CommitSelection:
    """What is staged or, where nothing is, the files of `changed` that differ from HEAD.

    Raises UsageError without git, outside of a repository of the folder's own, in the middle of a
    merge and the like; LocalAgentError where there is nothing to commit.
    """
    _ensure_ready(root)
    staged = _staged(root)
    if staged:
        return CommitSelection(tuple(staged))
    files, diffs, hashes = [], {}, {}
    for path in _known(root, sorted(set(changed))):
        before, after = _in_head(root, path), _on_disk(root / path)
        if before != after:
            files.append(_change(path, before, after))
            diffs[path] = _diff(path, before, after)
            hashes[path] = [sha256(data) for data in (before, after) if data is not None]
    if not files:
        raise LocalAgentError(
            "there is nothing to commit: nothing is staged, and no file that this session changed "
            "differs from the last commit",
            "!git add FILE stages a file",
        )
    return CommitSelection(tuple(files), diffs, hashes, tuple(file.path for file in files))


def diff_of(root: Path, what: CommitSelection, file: StagedFile) -> str:
    """The changed lines of one of the files."""
    return what.diffs.get(file.path, "") if what.add else gitstaged.diff_of(root, file)


def versions_of(root: Path, what: CommitSelection, file: StagedFile) -> list[tuple[str, str]]:
    """The path and SHA-256 of one of the files, before and after."""
    if what.add:
        return [(file.path, digest) for digest in what.hashes[file.path]]
    return gitstaged.versions_of(root, file)


def command(message: str, add: Sequence[str], *, hooks: bool) -> str:
    """The command line that stages the paths in `add` and commits what is staged."""
    git = "git" if hooks else f"git -c core.hooksPath={os.devnull}"
    commit = f"{git} commit -q --cleanup=whitespace {shlex.quote(f'--message={message}')}"
    if not add:
        return commit
    return f"git --literal-pathspecs add -A -- {shlex.join(add)} && {commit}"


def head(root: Path) -> str:
    """The commit that is checked out, short; "" before the first."""
    done = ask_git(root, "rev-parse", "--short", "--verify", "-q", "HEAD")
    return "" if done is None or done.returncode else os.fsdecode(done.stdout).strip()


def _ensure_ready(root: Path) -> None:
    if shutil.which("git") is None:
        raise UsageError("git is not installed")
    inside = ask_git(root, "rev-parse", "--is-inside-work-tree")
    if inside is None or inside.stdout.strip() != b"true":
        raise UsageError(f"{root} is not in a git repository's working tree", "git init makes one")
    if adopt.snapshot(root) is None:
        raise UsageError(
            f"the repository of {root} is kept elsewhere, as it is a part of a larger one or a "
            "linked work tree; commands here cannot commit to it",
            "localagent commit-message writes the message, for a git commit of your own",
        )
    for name, (what, abort) in _UNFINISHED.items():
        if (root / ".git" / name).exists():
            raise UsageError(f"{what} is going on here", f"finish it with git, or: {abort}")
    unmerged = ask_git(root, "ls-files", "--unmerged")
    if unmerged is None or unmerged.stdout.strip():
        raise UsageError("some files have conflicts that are not resolved", "git status names them")


def _staged(root: Path) -> list[StagedFile]:
    try:
        return gitstaged.staged(root)
    except UsageError:
        raise
    except LocalAgentError:  # nothing is
        return []


def _known(root: Path, paths: Sequence[str]) -> list[str]:
    """Those that git does not ignore."""
    ignored = ignored_among(root, paths) or set()
    return [path for path in paths if path not in ignored]


def _in_head(root: Path, path: str) -> bytes | None:
    done = ask_git(root, "cat-file", "blob", f"HEAD:{path}")
    return None if done is None or done.returncode else done.stdout


def _on_disk(path: Path) -> bytes | None:
    try:
        return os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
    except OSError:
        return None


def _change(path: str, before: bytes | None, after: bytes | None) -> StagedFile:
    kind = "A" if before is None else "D" if after is None else "M"
    if any(data is not None and is_binary(data) for data in (before, after)):
        return StagedFile(path, kind)
    lines = _diff(path, before, after).splitlines()
    return StagedFile(
        path,
        kind,
        added=sum(line.startswith("+") for line in lines),
        removed=sum(line.startswith("-") for line in lines),
    )


def _diff(path: str, before: bytes | None, after: bytes | None) -> str:
    """The changed lines with two around them, without the lines that name the file."""
    old, new = (None if data is None else decode(data).text for data in (before, after))
    _, mark, hunks = unified(path, old, new, context=2).partition("\n@@")
    return f"@@{hunks}".rstrip("\n") if mark else ""
