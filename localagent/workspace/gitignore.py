"""Patterns in gitignore's syntax, matched without git."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

_MAX_BYTES = 1 << 20
_STAR = "[^/]*"  # the expression for a star, in pathspec
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]")  # of characters, in an expression
_MAX_DOUBLE_STARS = 3  # in one pattern; the time grows with the power of their number


def walk(root: Path, start: str = "") -> Iterator[str]:
    """Every regular file below `start` that no .gitignore file at or below `start` excludes.

    Links, `.git` and unreadable folders are skipped.
    """
    waiting: list[tuple[str, list[tuple[str, GitIgnoreSpec]]]] = [(start, [])]
    while waiting:
        folder, specs = waiting.pop()
        try:
            with os.scandir(root / folder) as scanned:
                entries = list(scanned)
        except OSError:
            continue
        here = patterns(root, _joined(folder, ".gitignore"))
        below = [*specs, (folder, here)] if here else specs
        for entry in entries:
            name = _joined(folder, entry.name)
            is_folder = entry.is_dir(follow_symlinks=False)
            if entry.name.lower() == ".git" or _excluded(name, is_folder, below):
                continue
            if is_folder:
                waiting.append((name, below))
            elif entry.is_file(follow_symlinks=False):
                yield name


def is_ignored(root: Path, name: str) -> bool:
    """Whether the .gitignore files from `root` down to `name` exclude it."""
    specs: list[tuple[str, GitIgnoreSpec]] = []
    folder = ""
    parts = name.split("/")
    for depth, part in enumerate(parts):
        here = patterns(root, _joined(folder, ".gitignore"))
        if here:
            specs.append((folder, here))
        folder = _joined(folder, part)
        is_folder = depth < len(parts) - 1 or (root / folder).is_dir()
        if _excluded(folder, is_folder, specs):
            return True
    return False


def path_matches(pattern: str, path: str, *, ignore_case: bool = False) -> bool:
    """Whether one gitignore pattern matches the relative `path` or a folder that contains it.

    A "!" or "#" at the start of the pattern has no special meaning.
    """
    # The regular expressions of pathspec end in "$", which also matches before a final newline.
    pattern, path = pattern.replace("\n", "\0"), path.replace("\n", "\0")
    if ignore_case:
        pattern, path = pattern.casefold(), path.casefold()
    spec = _single(pattern)
    return spec is not None and spec.match_file(path)


@lru_cache(maxsize=256)
def _single(pattern: str) -> GitIgnoreSpec | None:
    return compiled(["\\" + pattern if pattern.startswith(("!", "#")) else pattern])


def patterns(root: Path, name: str) -> GitIgnoreSpec | None:
    """The patterns in the ignore file `name`; None without any. Like git, this reads no link."""
    path = f"{root}/{name}"
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return None
        with Path(path).open("rb") as file:
            text = file.read(_MAX_BYTES).decode("utf-8", "surrogateescape")
    except OSError:
        return None
    return compiled(text.removeprefix("\ufeff").splitlines())


def compiled(lines: Iterable[str]) -> GitIgnoreSpec | None:
    """Compile the valid patterns in `lines`; None if there is none."""
    from pathspec import GitIgnoreSpec  # takes 70 ms, and is rarely needed in a git repository

    good: list[Any] = []
    for line in lines:
        try:
            spec = GitIgnoreSpec.from_lines([line])
        except ValueError:
            continue
        if line.count("**") <= _MAX_DOUBLE_STARS:
            good += spec.patterns
    for pattern in good:
        regex: Any = getattr(pattern, "regex", None)
        if regex is not None and regex.pattern.count(_STAR) > 1:
            setattr(pattern, "regex", re.compile(without_backtracking(regex.pattern)))  # noqa: B010
    return GitIgnoreSpec(good) if good else None


def without_backtracking(regex: str) -> str:
    """Rewrite a pattern's regular expression so that the time to match grows with its length.

    A star matches as little as possible up to the next star, and this choice is final. The last
    star of a path's part stays as it is. The patterns come from repositories, and the original
    expression takes forever for one such as "*a*a*a*a*a*a*a*a*a*b".
    """
    first, *parts = regex.split(_STAR)
    result = first
    for number, part in enumerate(parts, 1):
        outside = _CLASS.sub("", part)
        is_last = number == len(parts) or "/" in outside or "(" in outside
        result += f"{_STAR}{part}" if is_last else f"(?>{_STAR}?{part})"
    return result


def _excluded(name: str, is_folder: bool, specs: list[tuple[str, GitIgnoreSpec]]) -> bool:
    """Whether the ignore files exclude `name`. The deepest file with a matching pattern decides."""
    for folder, spec in reversed(specs):
        inner = name[len(folder) + 1 :] if folder else name
        verdict = spec.check_file(f"{inner}/" if is_folder else inner).include
        if verdict is not None:
            return verdict
    return False


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
