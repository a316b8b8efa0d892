"""A snapshot of the workspace as a copy of its files, for kinds and file systems without overlays.

Folders that git ignores (.venv, node_modules, build) are copied if they are small, and linked
otherwise, so that tools can read them. Everything in `.git` is copied except for its objects: the
copy's own objects name them as alternates (gitrepository-layout(5)). So git works in the copy, and
writes only there, never into the real repository. This also holds for repositories in other folders
of the workspace.

The `.git` file of a worktree names a repository elsewhere. In its place the copy has a file that
names none: without it, git would take the repository of a folder above for the worktree's.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from localagent.core.changes import Change
from localagent.core.errors import SandboxError
from localagent.sandbox.snapshots.overlay import (
    Budget,
    Unlocked,
    check_depth,
    deletions,
    entry_change,
    is_cache,
    matches,
    same_mode,
)
from localagent.workspace.workspace import Workspace

_NOT_COPIED = ("objects", "modules", "lfs", "worktrees")  # folders in .git
_NO_REPOSITORY = "gitdir: not-in-the-sandbox\n"
# The largest ignored folder that is copied: its copy takes less time than the start of a command.
_SMALL_ENTRIES, _SMALL_BYTES = 500, 8 << 20
MAX_BYTES = 4 << 30  # size limit of a copy
_FICLONE = 0x40049409  # linux/fs.h: share a file's blocks with another file


class Copy:
    """A copy of the folder `root`; the constructor makes it at `tree`.

    `mounted` is for a copy that is mounted at `root` itself, since links to `root` would then lead
    into circles. Such a copy has empty folders in place of links, to mount the real folders on, and
    git finds the repository's objects at `mounted`. The copy leaves out the `hidden` paths. Raises
    OSError if the copy fails, and SandboxError if the copy is too large.
    """

    def __init__(
        self, root: Path, tree: Path, mounted: str = "", hidden: Sequence[str] = ()
    ) -> None:
        self._hidden = frozenset(hidden)
        self.tree = tree
        self._mounted = mounted
        self._root = root
        # The state of each copied entry; None for a linked folder.
        self._copied: dict[str, os.stat_result | None] = {}
        # The real folders of git's objects, with the paths at which git finds them in the copy.
        self._objects: dict[str, str] = {}
        self._bytes = 0
        self._workspace = Workspace.open(root)
        self._folders = _folders_with_files(self._workspace.files())
        self._is_ignored = self._classify_other_folders()
        tree.mkdir()
        self._fill()
        self._exclude_links_from_git()
        tree.chmod(stat.S_IMODE(root.stat().st_mode) | 0o700)

    def _classify_other_folders(self) -> dict[str, bool]:
        """Map each folder that holds no workspace files to True if git ignores the folder."""
        folders: list[str] = []
        for rel in ("", *self._folders):
            entries = _entries(self._root / rel)
            names = (e.name for e in entries if e.is_dir(follow_symlinks=False))
            folders += (f"{rel}/{name}" if rel else name for name in names if name != ".git")
        others = [name for name in folders if name not in self._folders]
        ignored = self._workspace.ignored_among(others)
        return {name: name in ignored for name in others}

    def _fill(self) -> None:
        """Copy all folders.

        Each folder waits with a flag that says that git ignores the folder and everything in it.
        """
        waiting = [("", False)]
        modes: dict[str, int] = {}
        while waiting:
            rel, whole = waiting.pop()
            for entry in _entries(self._root / rel):
                name = f"{rel}/{entry.name}" if rel else entry.name
                if entry.name == ".git":
                    if entry.is_dir(follow_symlinks=False):
                        self._copy_git(name)
                    elif not rel or _is_of_a_worktree(entry):
                        (self.tree / name).write_text(_NO_REPOSITORY)
                        self._copied[name] = (self.tree / name).lstat()
                    continue
                found = entry.stat(follow_symlinks=False)
                if entry.path in self._hidden:
                    continue
                if not stat.S_ISDIR(found.st_mode):
                    self._copy_file(name, found)
                    continue
                check_depth(name)
                ignored = whole or self._ignored(name)
                if ignored and is_cache(name):
                    continue
                if not ignored or whole or self._is_small(name):
                    (self.tree / name).mkdir()
                    modes[name] = stat.S_IMODE(found.st_mode) | 0o700
                    waiting.append((name, ignored))
                    continue
                if self._mounted:
                    (self.tree / name).mkdir()
                else:
                    _link(self._root / name, self.tree / name)
                self._copied[name] = None
        for name, mode in modes.items():
            (self.tree / name).chmod(mode)
            self._copied[name] = (self.tree / name).lstat()

    def _is_small(self, name: str) -> bool:
        """Report whether an ignored folder is copied, not linked: it is small or holds a secret."""
        folder = str(self._root / name)
        if any(path.startswith(f"{folder}/") for path in self._hidden):
            return True
        count, size, waiting = 0, 0, [folder]
        while waiting and count <= _SMALL_ENTRIES and size <= _SMALL_BYTES:
            for entry in _entries(waiting.pop()):
                count += 1
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    size += entry.stat(follow_symlinks=False).st_size
        return count <= _SMALL_ENTRIES and size <= _SMALL_BYTES

    def _ignored(self, name: str) -> bool:
        if name in self._folders:
            return False
        known = self._is_ignored.get(name)
        return self._workspace.ignored(name) if known is None else known

    def _exclude_links_from_git(self) -> None:
        """Make git ignore the links; a pattern such as "build/" ignores folders but no links."""
        links = [name for name, state in self._copied.items() if state is None]
        if links and ".git" in self._copied:
            exclude = self.tree / ".git/info/exclude"
            # A repository may have links here, which lead to files of the user.
            for path in (exclude.parent, exclude):
                if path.is_symlink():
                    path.unlink()
                exclude.parent.mkdir(exist_ok=True)
            with exclude.open("a") as file:
                file.writelines(f"\n/{name}" for name in links)
            self._copied[".git/info/exclude"] = exclude.lstat()
            self._copied[".git/info"] = exclude.parent.lstat()

    def _copy_file(self, name: str, found: os.stat_result) -> None:
        source, target = self._root / name, self.tree / name
        if stat.S_ISLNK(found.st_mode):
            _link(source.readlink(), target)
        elif stat.S_ISREG(found.st_mode):
            self._bytes += min(found.st_size, getattr(found, "st_blocks", 1 << 40) * 512)
            if self._bytes > MAX_BYTES:
                raise SandboxError(
                    f"the workspace is too large to be copied (more than {MAX_BYTES >> 20} MiB)",
                    "the sandbox unshare needs no copy; let git ignore folders of large files",
                )
            try:
                _copy_content(source, target)
            except PermissionError:
                return  # the command could not read the file either
            shutil.copystat(source, target)
        else:
            return
        if os.path.lexists(target):
            self._copied[name] = target.lstat()

    def _copy_git(self, git: str) -> None:
        """Copy the folder `git`, except for its objects, which the copy names as alternates."""
        self._copy_git_folders(git)
        objects = self._root / git / "objects"
        # A link could lead to any folder of the machine, which the command would then see.
        if objects.is_symlink() or not objects.is_dir():
            return
        found = str(objects)
        if self._mounted:
            found = f"{self._mounted}-{len(self._objects)}" if self._objects else self._mounted
        names = [f"{git}/objects{name}" for name in ("", "/info", "/info/alternates")]
        for name in names[:2]:
            (self.tree / name).mkdir()
        (self.tree / names[2]).write_text(f"{found}\n")
        for name in names:
            self._copied[name] = (self.tree / name).lstat()
        self._objects[str(objects)] = found

    def _copy_git_folders(self, git: str) -> None:
        waiting, folders = [git], []
        while waiting:
            rel = waiting.pop()
            check_depth(rel)
            (self.tree / rel).mkdir()
            folders.append(rel)
            for entry in _entries(self._root / rel):
                name = f"{rel}/{entry.name}"
                if rel == git and entry.name in _NOT_COPIED:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(name)
                else:
                    self._copy_file(name, entry.stat(follow_symlinks=False))
        for rel in folders:
            self._copied[rel] = (self.tree / rel).lstat()

    def build_folder(self, tmp: str) -> dict[str, str]:
        """Return environment variables that make Cargo build in `tmp` if its `target` is linked."""
        names = [name for name, state in self._copied.items() if state is None]
        rust = [name for name in names if name.rpartition("/")[2] == "target"]
        if any((self.tree / name).parent.joinpath("Cargo.toml").exists() for name in rust):
            return {"CARGO_TARGET_DIR": f"{tmp}/target"}
        return {}

    def linked(self) -> list[tuple[str, str]]:
        """Return the real paths to which links of the copy lead: linked folders and git's objects.

        The result pairs each real path with the link's path in the snapshot.
        """
        names = (str(self._root / name) for name, state in self._copied.items() if state is None)
        return [(name, name) for name in names] + [*self._objects.items()]

    def changes(self) -> tuple[Change, ...]:
        """Return how the copy changed since it was made, sorted by path, without caches."""
        present: set[str] = set()
        found = list(self._present_changes(present))
        for name, before in self._copied.items():
            if name not in present and not is_cache(name):
                if before is None or not stat.S_ISDIR(before.st_mode):
                    stat_ = (self._root / name).lstat() if before is None else before
                    found += deletions(str(self._root), name, stat_)
                else:
                    found.append(Change(name, "absent"))
        unique = {change.path: change for change in reversed(found)}
        return tuple(unique[path] for path in sorted(unique))

    def _present_changes(self, present: set[str]) -> Iterator[Change]:
        """Yield the changes of entries in the copy, and add the entries to `present`."""
        budget, waiting = Budget(), [""]
        with Unlocked() as unlocked:
            while waiting:
                rel = waiting.pop()
                folder = str(self.tree / rel)
                check_depth(rel)
                unlocked.add(folder)
                for entry in _entries(folder):
                    name = f"{rel}/{entry.name}" if rel else entry.name
                    if is_cache(name):
                        continue
                    present.add(name)
                    is_folder = entry.is_dir(follow_symlinks=False)
                    is_link = is_folder if self._mounted else entry.is_symlink()
                    if name in self._copied and self._copied[name] is None and is_link:
                        continue
                    yield from self._entry(name, entry.stat(follow_symlinks=False), budget)
                    if is_folder:
                        waiting.append(name)

    def _entry(self, name: str, after: os.stat_result, budget: Budget) -> Iterator[Change]:
        """Yield the change of one entry, without those below a folder."""
        before = self._copied.get(name)
        if stat.S_ISDIR(after.st_mode):
            if before is None or not stat.S_ISDIR(before.st_mode) or not same_mode(before, after):
                yield Change(name, "dir", mode=stat.S_IMODE(after.st_mode) & 0o777)
        elif before is None or not _untouched(before, after):
            change = entry_change(str(self.tree / name), name, after, budget)
            if change is not None and not self._is_unchanged(change):
                yield change
            elif change is None and before is not None:
                yield Change(name, "absent")  # a pipe or a socket took its place

    def _is_unchanged(self, change: Change) -> bool:
        """Report whether a touched entry still equals the workspace's entry."""
        path = self._root / change.path
        if os.path.realpath(path.parent) != str(path.parent):
            return False  # a link in the workspace, but a folder in the copy
        return matches(change, str(path))


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    """List a folder; an unreadable folder is empty, as a command cannot read it either."""
    if not os.access(folder, os.R_OK | os.X_OK):
        return []
    with os.scandir(str(folder)) as entries:
        return list(entries)


def _is_of_a_worktree(entry: os.DirEntry[str]) -> bool:
    """Report whether a `.git` file names a worktree, as opposed to a submodule.

    git knows a submodule without a `.git` file by the index.
    """
    if not entry.is_file(follow_symlinks=False):
        return False
    try:
        with open(entry.path, "rb") as file:  # noqa: PTH123
            return b"/worktrees/" in file.read(4096)
    except OSError:
        return False


def _folders_with_files(files: list[str]) -> frozenset[str]:
    found: set[str] = set()
    for name in files:
        parent = name.rpartition("/")[0]
        while parent and parent not in found:
            found.add(parent)
            parent = parent.rpartition("/")[0]
    return frozenset(found)


def _untouched(before: os.stat_result, after: os.stat_result) -> bool:
    return all(
        getattr(before, name) == getattr(after, name)
        for name in ("st_ino", "st_size", "st_mtime_ns", "st_mode")
    )


def _link(source: Path, target: Path) -> None:
    try:
        target.symlink_to(source, target_is_directory=source.is_dir())
    except OSError:
        pass  # no privilege to make links on Windows: the snapshot lacks the folder


def _copy_content(source: Path, target: Path) -> None:
    """Copy by sharing blocks if the file system can, else in the system's quickest way."""
    with source.open("rb") as reader, target.open("xb") as writer:
        try:
            import fcntl

            fcntl.ioctl(writer.fileno(), _FICLONE, reader.fileno())
        except (ImportError, OSError):
            pass
        else:
            return
        if hasattr(os, "SEEK_DATA") and hasattr(os, "sendfile"):
            _copy_data(reader.fileno(), writer.fileno())
            return
    shutil.copyfile(source, target)


def _copy_data(source: int, target: int) -> None:
    """Copy a file without its holes, which take no room on the disk."""
    size = os.fstat(source).st_size
    os.truncate(target, size)
    start = 0
    while start < size:
        try:
            start = os.lseek(source, start, os.SEEK_DATA)
        except OSError:
            return  # only a hole is left
        end = os.lseek(source, start, os.SEEK_HOLE)
        os.lseek(target, start, os.SEEK_SET)
        while start < end and (sent := os.sendfile(target, source, start, end - start)):
            start += sent
        if start < end:
            return  # another program shortened the file
