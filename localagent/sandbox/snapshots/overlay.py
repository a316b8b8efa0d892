# ruff: noqa: PTH101, PTH115, PTH123, PTH208
# (os.* keeps names that are not UTF-8 unchanged, and is quicker than pathlib)
"""Read the changes from the upper folder of an overlay.

An overlay keeps changed files whole in its upper folder. In the upper folder, a character device
0/0 stands for a deleted entry. An extended attribute marks a folder in the upper folder as opaque
if it replaces a lower folder (Documentation/filesystems/overlayfs.rst of the kernel, "whiteouts and
opaque directories").
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from localagent.core.changes import Change
from localagent.core.errors import SandboxError
from localagent.workspace.open_below import READ

MAX_BYTES = 256 << 20  # limit for changed files, which are kept in memory
# Linux allows 4096 bytes, with the path of the workspace or the snapshot. The time to read a tree
# grows with the square of its depth: 1,200 levels take ten seconds.
_MAX_PATH, _MAX_DEPTH = 3000, 200
_OPAQUE = ("user.overlay.opaque", "trusted.overlay.opaque")
_PERMISSIONS = 0o777

_CACHE_FOLDERS = frozenset(
    ("__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis")
)
_CACHE_SUFFIXES = (".pyc", ".pyo")


def is_cache(path: str) -> bool:
    """Report whether tools recreate `path` (relative, with `/`) by themselves."""
    parts = path.split("/")
    if not _CACHE_FOLDERS.isdisjoint(parts) or path.endswith(_CACHE_SUFFIXES):
        return True
    return any(pair == ("node_modules", ".cache") for pair in pairwise(parts))


def changes(upper: Path, lower: Path) -> tuple[Change, ...]:
    """Return how the overlay of `upper` on `lower` differs from `lower`, sorted by path.

    Raises SandboxError if the changes are too large to keep.
    """
    reader = _Reader(str(upper), str(lower))
    return tuple(sorted(reader.changes(), key=lambda change: change.path))


class Budget:
    """The number of bytes of changed files that may still be read."""

    def __init__(self, left: int = MAX_BYTES) -> None:
        self._left = left

    def take(self, size: int) -> None:
        """Subtract `size` from the budget. Raises SandboxError if less is left."""
        self._left -= size
        if self._left < 0:
            raise SandboxError(
                f"the command wrote more than {MAX_BYTES >> 20} MiB into the workspace",
                "let the command write large files into the temporary folder ($TMPDIR)",
            )


class _Reader:
    def __init__(self, upper: str, lower: str) -> None:
        self._upper = upper
        self._lower = lower
        self._budget = Budget()

    def changes(self) -> Iterator[Change]:
        """Yield all changes.

        Each folder waits with two flags. `below` says that the lower layer has a folder at `rel`,
        reached without a link. `opaque` says that a parent folder is opaque; the kernel does not
        mark new folders below it.
        """
        waiting = [("", True, False)]
        with Unlocked() as unlocked:
            while waiting:
                rel, below, opaque = waiting.pop()
                upper = _join(self._upper, rel)
                check_depth(rel)
                unlocked.add(upper)
                with os.scandir(upper) as entries:
                    stats = {entry.name: entry.stat(follow_symlinks=False) for entry in entries}
                opaque = opaque or _is_opaque(upper)
                if below and opaque:
                    yield from self._missing(rel, set(stats))
                for name, after in stats.items():
                    path = f"{rel}/{name}" if rel else name
                    if not is_cache(path):
                        before = _lstat(_join(self._lower, path)) if below else None
                        yield from self._entry(path, after, before)
                        if stat.S_ISDIR(after.st_mode):
                            was_folder = before is not None and stat.S_ISDIR(before.st_mode)
                            waiting.append((path, was_folder, opaque))

    def _entry(
        self, rel: str, after: os.stat_result, before: os.stat_result | None
    ) -> Iterator[Change]:
        """Yield the changes of one entry, without those below a folder."""
        if stat.S_ISCHR(after.st_mode) and after.st_rdev == 0:
            if before is not None:
                yield from deletions(self._lower, rel, before)
            return
        was_folder = before is not None and stat.S_ISDIR(before.st_mode)
        if stat.S_ISDIR(after.st_mode):
            if before is None or not was_folder or not same_mode(before, after):
                yield Change(rel, "dir", mode=after.st_mode & _PERMISSIONS)
            return
        if was_folder:
            yield from _deletions_below(self._lower, rel)
        change = entry_change(_join(self._upper, rel), rel, after, self._budget)
        # The upper folder also holds entries that a command touched but did not change.
        touched = before is not None and change and matches(change, _join(self._lower, rel))
        if change is not None and not touched:
            yield change
        elif change is None and before is not None and not is_special(before):
            yield Change(rel, "absent")  # a pipe or a socket, which is not kept, took its place

    def _missing(self, rel: str, names: set[str]) -> Iterator[Change]:
        """Yield the deletion of each lower entry that the opaque upper folder lacks."""
        for name in os.listdir(_join(self._lower, rel)):
            path = f"{rel}/{name}" if rel else name
            found = _lstat(_join(self._lower, path))
            if name not in names and found is not None and not is_cache(path):
                yield from deletions(self._lower, path, found)


def entry_change(source: str, rel: str, found: os.stat_result, budget: Budget) -> Change | None:
    """Return the file or link `source` as a change of `rel`; None for sockets, pipes, devices."""
    if stat.S_ISLNK(found.st_mode):
        return Change(rel, "symlink", os.fsencode(os.readlink(source)))
    if not stat.S_ISREG(found.st_mode):
        return None
    budget.take(found.st_size)
    with Unlocked() as unlocked:
        unlocked.add(source)
        return Change(rel, "file", _content(source, rel, found), found.st_mode & _PERMISSIONS)


def _content(source: str, rel: str, found: os.stat_result) -> bytes:
    """Return the content of the regular file `found`, and of no other that took its place.

    Without Landlock and namespaces, a process of the command may still run and make links.
    """
    try:
        descriptor = os.open(source, READ)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise _exchanged(rel) from None
    with os.fdopen(descriptor, "rb") as file:
        now = os.fstat(descriptor)  # a new file may get the number of the old one
        if not stat.S_ISREG(now.st_mode) or not os.path.samestat(now, found):
            raise _exchanged(rel)
        return file.read()


def _exchanged(rel: str) -> SandboxError:
    return SandboxError(
        f"{rel!r} changed while it was read", "a program of the command may still run"
    )


def is_special(found: os.stat_result) -> bool:
    """Report whether an entry is a pipe, a socket or a device."""
    kinds = (stat.S_ISREG, stat.S_ISDIR, stat.S_ISLNK)
    return not any(is_kind(found.st_mode) for is_kind in kinds)


def deletions(root: str, rel: str, found: os.stat_result) -> Iterator[Change]:
    """Yield the deletion of `rel` in `root` and of every entry below it."""
    yield Change(rel, "absent")
    if stat.S_ISDIR(found.st_mode):
        yield from _deletions_below(root, rel)


def _deletions_below(root: str, rel: str) -> Iterator[Change]:
    waiting = [rel]
    while waiting:
        folder = waiting.pop()
        check_depth(folder)
        try:
            with os.scandir(_join(root, folder)) as entries:
                found = [(f"{folder}/{e.name}", e.is_dir(follow_symlinks=False)) for e in entries]
        except PermissionError:
            continue  # the checkpoint, which removes the folder, finds its entries
        yield from (Change(path, "absent") for path, _ in found)
        waiting += [path for path, is_folder in found if is_folder]


def same_mode(one: os.stat_result, other: os.stat_result) -> bool:
    """Report whether the permission bits are equal."""
    return (one.st_mode ^ other.st_mode) & _PERMISSIONS == 0


def matches(change: Change, path: str) -> bool:
    """Report whether the file or link `path` already equals `change`; False if it is unreadable."""
    try:
        stat_ = os.lstat(path)
        if change.kind == "symlink":
            return stat.S_ISLNK(stat_.st_mode) and os.fsencode(os.readlink(path)) == change.data
        if not stat.S_ISREG(stat_.st_mode) or stat_.st_mode & _PERMISSIONS != change.mode:
            return False
        if stat_.st_size != len(change.data):
            return False
        with open(path, "rb") as file:
            return file.read() == change.data
    except OSError:
        return False


class Unlocked:
    """Gives the owner access to paths; the end of the `with` block restores their modes."""

    def __init__(self) -> None:
        self._modes: list[tuple[str, int]] = []

    def __enter__(self) -> Unlocked:
        return self

    def add(self, path: str) -> None:
        """Give the owner access to `path`, which is no link."""
        mode = os.lstat(path).st_mode
        needed = 0o700 if stat.S_ISDIR(mode) else 0o400
        if mode & needed != needed and not os.access(path, os.R_OK | os.X_OK):
            os.chmod(path, stat.S_IMODE(mode) | needed)
            self._modes.append((path, stat.S_IMODE(mode)))

    def __exit__(self, *exc: object) -> None:
        for path, mode in reversed(self._modes):
            os.chmod(path, mode)


def check_depth(rel: str) -> None:
    """Raise SandboxError if a path is deeper or longer than programs can use."""
    if rel.count("/") >= _MAX_DEPTH or len(os.fsencode(rel)) > _MAX_PATH:
        raise SandboxError(
            f"folders are nested too deeply: {rel[:40]}…",
            f"a path in the workspace may have {_MAX_DEPTH} folders and {_MAX_PATH} bytes",
        )


def _is_opaque(folder: str) -> bool:
    for name in _OPAQUE:
        try:
            if os.getxattr(folder, name) == b"y":
                return True
        except (OSError, AttributeError):
            continue
    return False


def _lstat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _join(root: str, rel: str) -> str:
    return f"{root}/{rel}" if rel else root
