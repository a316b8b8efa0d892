"""The two sides of a diff: commits, or the work tree."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from localagent.code.languages import LANGUAGES
from localagent.core.errors import UsageError
from localagent.workspace.git.run import PLAIN_DIFF, ask_git
from localagent.workspace.safe_files import entry_content

# Options for all that the user's settings may change in the text of a diff.
_DIFF = (
    *("diff", *PLAIN_DIFF, "-M", "--relative", "--ignore-submodules=dirty"),
    *("-U6", "--inter-hunk-context=0", "--diff-algorithm=default"),
    *("--src-prefix=a/", "--dst-prefix=b/"),
)
_SOURCES = tuple(
    f"icase)*{suffix}"
    for language in LANGUAGES.values()
    if language.is_code
    for suffix in language.suffixes
)
_MAX_BYTES = 8 << 20
"""Largest diff that is read, in bytes."""
_MAX_FILE = 64 << 20


@dataclass(frozen=True, slots=True)
class DiffRange:
    """The ids of two commits; `new` is "" for the work tree."""

    old: str
    new: str


def parse_range(root: Path, text: str) -> DiffRange:
    """The range that `text` names: "A..B", "A...B" (since they parted), "A" or "".

    "A" means from A to the work tree, and "" from HEAD to the work tree. Raises UsageError.
    """
    first, dots, second = text.partition("..")
    old = _commit(root, first or "HEAD")
    if not dots:
        return DiffRange(old, "")
    if second.startswith("."):
        second = second.removeprefix(".")
        base = ask_git(root, "merge-base", old, _commit(root, second or "HEAD"))
        if base is None or base.returncode:
            raise UsageError(f"{first} and {second or 'HEAD'} have no commit in common")
        old = base.stdout.decode().strip()
    return DiffRange(old, _commit(root, second or "HEAD"))


def range_diff(root: Path, sides: DiffRange) -> str:
    """The unified diff of the range, for the files below `root`. Raises UsageError.

    Source files come first. They are compared as text, also with a zero byte, and even if
    .gitattributes calls them binary: the change itself may do so to hide its lines.
    """
    commits = [sides.old, sides.new] if sides.new else [sides.old]
    sources = [f":({source}" for source in _SOURCES]
    others = [".", *(f":(exclude,{source}" for source in _SOURCES)]
    output = b""
    for words in (["--text", *commits, "--", *sources], [*commits, "--", *others]):
        done = ask_git(root, *_DIFF, *words, limit=_MAX_BYTES + 1)
        if done is None or done.returncode:
            raise UsageError(f"git cannot compare the two sides in {root}")
        output += done.stdout
        if len(output) > _MAX_BYTES:
            raise UsageError("the diff is larger than 8 MiB", "name a smaller range")
    return output.decode("utf-8", "replace")


def content(root: Path, commit: str, path: str) -> bytes | None:
    """The content of a file or the target of a link in a commit, or in the work tree for "".

    None for all else, and in the work tree below a link. Raises UsageError for a large file.
    """
    if commit:
        name = f"{commit}:./{path}"
        done = ask_git(root, "cat-file", "blob", name, limit=_MAX_FILE + 1)
        data = None if done is None or done.returncode else done.stdout
    else:
        data = entry_content(root, path, _MAX_FILE + 1)
    if data is not None and len(data) > _MAX_FILE:
        raise UsageError(f"{path} is larger than 64 MiB", "name a range without this file")
    return data


def _commit(root: Path, name: str) -> str:
    done = ask_git(root, "rev-parse", "--verify", "-q", "--end-of-options", f"{name}^{{commit}}")
    if done is None or done.returncode:
        raise UsageError(
            f"{root} has no commit {name!r}", "name a range as git does: main..HEAD, HEAD~3"
        )
    return done.stdout.decode().split()[-1]
