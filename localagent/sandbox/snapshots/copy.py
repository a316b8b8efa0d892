"""A snapshot of the workspace as a copy of its files, for kinds and file systems without overlays.

Folders that git ignores (.venv, node_modules, build) are copied if they are small, and linked
otherwise, so that tools can read them. Everything in `.git` is copied except for its objects: the
copy's own objects name them as alternates (gitrepository-layout(5)). So git works in the copy, and
writes only there, never into the real repository. The copy leaves out a `.git` file (of a
worktree).
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from localagent.core.changes import Change
from localagent.core.errors import SandboxError
from localagent.sandbox.base import Command, CommandResult, Snapshot
from localagent.sandbox.environment import tool_links
from localagent.sandbox.launcher.client import LauncherPool
from localagent.sandbox.snapshots.apply import apply_change
from localagent.sandbox.snapshots.overlay import (
    Budget,
    deletions,
    entry_change,
    is_cache,
    matches,
    readable,
    same_mode,
)
from localagent.sandbox.snapshots.scratch import Scratches
from localagent.workspace.workspace import Workspace

_NOT_COPIED = (".git/objects", ".git/modules", ".git/lfs", ".git/worktrees")
# The largest ignored folder that is copied: its copy takes less time than the start of a command.
_SMALL_ENTRIES, _SMALL_BYTES = 500, 8 << 20
MAX_BYTES = 4 << 30  # size limit of a copy
_FICLONE = 0x40049409  # linux/fs.h: share a file's blocks with another file


class Copy:
    """A copy of the folder `root`; the constructor makes it at `tree`.

    `mounted` is for a copy that is mounted at `root` itself, since links to `root` would then lead
    into circles. Such a copy has empty folders in place of links, to mount the real folders on, and
    git finds the repository's objects at `mounted`. Raises OSError if the copy fails, and
    SandboxError if the copy is too large.
    """

    def __init__(self, root: Path, tree: Path, mounted: str = "") -> None:
        self.tree = tree
        self._mounted = mounted
        self._root = root
        # The state of each copied entry; None for a linked folder.
        self._copied: dict[str, os.stat_result | None] = {}
        self._objects = ""
        self._bytes = 0
        self._workspace = Workspace.open(root)
        self._folders = _folders_with_files(self._workspace.files())
        self._is_ignored = self._classify_other_folders()
        tree.mkdir()
        self._fill("")
        self._exclude_links_from_git()
        tree.chmod(stat.S_IMODE(root.stat().st_mode) | 0o700)

    def _classify_other_folders(self) -> dict[str, bool]:
        """Map each folder that holds no workspace files to True if git ignores the folder."""
        folders: list[str] = []
        for rel in ("", *self._folders):
            with os.scandir(self._root / rel) as entries:
                names = (e.name for e in entries if e.is_dir(follow_symlinks=False))
                folders += (f"{rel}/{name}" if rel else name for name in names if name != ".git")
        others = [name for name in folders if name not in self._folders]
        ignored = self._workspace.ignored_among(others)
        return {name: name in ignored for name in others}

    def _fill(self, rel: str, whole: bool = False) -> None:
        """Copy the folder `rel`; `whole` says that git ignores the folder and everything in it."""
        with os.scandir(self._root / rel) as entries:
            for entry in entries:
                name = f"{rel}/{entry.name}" if rel else entry.name
                if entry.name == ".git":
                    if not rel and entry.is_dir(follow_symlinks=False):
                        self._copy_git()
                    continue
                found = entry.stat(follow_symlinks=False)
                target = self.tree / name
                if not stat.S_ISDIR(found.st_mode):
                    self._copy_file(name, found)
                    continue
                ignored = whole or self._ignored(name)
                if ignored and is_cache(name):
                    continue
                if not ignored or whole or _is_small(self._root / name):
                    target.mkdir()
                    self._fill(name, ignored)
                    target.chmod(stat.S_IMODE(found.st_mode) | 0o700)
                    self._copied[name] = target.lstat()
                else:
                    if self._mounted:
                        target.mkdir()
                    else:
                        _link(self._root / name, target)
                    self._copied[name] = None

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
            self._bytes += found.st_size
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

    def _copy_git(self) -> None:
        """Copy the folder `.git`, except for its objects, which the copy names as alternates."""
        self._copy_git_folder(".git")
        real = os.path.realpath(self._root / ".git/objects")
        if not Path(real).is_dir():
            return
        for name in (".git/objects", ".git/objects/info"):
            (self.tree / name).mkdir()
        (self.tree / ".git/objects/info/alternates").write_text(f"{self._mounted or real}\n")
        for name in (".git/objects", ".git/objects/info", ".git/objects/info/alternates"):
            self._copied[name] = (self.tree / name).lstat()
        self._objects = real

    def _copy_git_folder(self, rel: str) -> None:
        target = self.tree / rel
        target.mkdir()
        with os.scandir(self._root / rel) as entries:
            for entry in entries:
                name = f"{rel}/{entry.name}"
                if name in _NOT_COPIED:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    self._copy_git_folder(name)
                else:
                    self._copy_file(name, entry.stat(follow_symlinks=False))
        self._copied[rel] = target.lstat()

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
        paths = [(name, name) for name in names]
        if self._objects:
            paths.append((self._objects, self._mounted or self._objects))
        return paths

    def changes(self) -> tuple[Change, ...]:
        """Return how the copy changed since it was made, sorted by path, without caches."""
        present: set[str] = set()
        found = list(self._changes_below("", present, Budget()))
        for name, before in self._copied.items():
            if name not in present and not is_cache(name):
                if before is None or not stat.S_ISDIR(before.st_mode):
                    stat_ = (self._root / name).lstat() if before is None else before
                    found += deletions(str(self._root), name, stat_)
                else:
                    found.append(Change(name, "absent"))
        unique = {change.path: change for change in reversed(found)}
        return tuple(unique[path] for path in sorted(unique))

    def _changes_below(self, rel: str, present: set[str], budget: Budget) -> Iterator[Change]:
        folder = str(self.tree / rel)
        with readable(folder), os.scandir(folder) as entries:
            for entry in list(entries):
                name = f"{rel}/{entry.name}" if rel else entry.name
                if is_cache(name):
                    continue
                present.add(name)
                is_link = (
                    entry.is_dir(follow_symlinks=False) if self._mounted else entry.is_symlink()
                )
                if name in self._copied and self._copied[name] is None and is_link:
                    continue
                after = entry.stat(follow_symlinks=False)
                yield from self._entry(name, after, present, budget)

    def _entry(
        self, name: str, after: os.stat_result, present: set[str], budget: Budget
    ) -> Iterator[Change]:
        before = self._copied.get(name)
        if stat.S_ISDIR(after.st_mode):
            if before is None or not stat.S_ISDIR(before.st_mode) or not same_mode(before, after):
                yield Change(name, "dir", mode=stat.S_IMODE(after.st_mode) & 0o777)
            yield from self._changes_below(name, present, budget)
        elif before is None or not _untouched(before, after):
            change = entry_change(str(self.tree / name), name, after, budget)
            if change is not None and not self._is_unchanged(change):
                yield change

    def _is_unchanged(self, change: Change) -> bool:
        """Report whether a touched entry still equals the workspace's entry."""
        path = self._root / change.path
        if os.path.realpath(path.parent) != str(path.parent):
            return False  # a link in the workspace, but a folder in the copy
        return matches(change, str(path))


def _is_small(folder: Path) -> bool:
    entries, size = 0, 0
    for parent, folders, files in os.walk(folder):
        entries += len(folders) + len(files)
        if entries > _SMALL_ENTRIES:
            return False
        with suppress(OSError):
            size += sum(Path(parent, name).lstat().st_size for name in files)
        if size > _SMALL_BYTES:
            return False
    return True


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
    shutil.copyfile(source, target)


class Run(Protocol):
    """A function that runs a command in a copy; each kind has its own. See `Snapshot.run`."""

    def __call__(
        self,
        snapshot: CopySnapshot,
        command: Command,
        on_output: Callable[[str], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> CommandResult: ...


class CopySnapshot:
    """A copy of `workspace` in `folder`; `run_in` runs its commands. `covers`: see Scratch."""

    def __init__(
        self, workspace: Path, folder: Path, covers: Path, run_in: Run, mounted: str
    ) -> None:
        self.workspace = workspace
        self.covers = covers
        self.tree = folder / "tree"
        self.tmp = folder / "tmp"
        self.home = folder / "home"
        self.copy = Copy(workspace, self.tree, mounted)
        self._run_in = run_in
        self.tmp.mkdir()
        self.home.mkdir()

    def link_tools(self) -> None:
        """Link the toolchains into the private home."""
        for link, target in tool_links(str(self.home)):
            Path(link).parent.mkdir(parents=True, exist_ok=True)
            with suppress(OSError):  # this file system has no links
                Path(link).symlink_to(target, target_is_directory=True)

    def apply(self, changes: Sequence[Change]) -> None:
        tree = os.path.realpath(self.tree)
        for change in changes:
            target = Path(tree, change.path)
            # A link from the workspace, or a link to an ignored folder, leads to real files.
            if not Path(os.path.realpath(target.parent)).is_relative_to(tree):
                raise SandboxError(f"{change.path} leads out of the copy of the workspace")
            apply_change(str(target), change.kind, change.data, change.mode)

    def run(
        self,
        command: Command,
        on_output: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> CommandResult:
        return self._run_in(self, command, on_output, cancelled)

    def changes(self) -> tuple[Change, ...]:
        return self.copy.changes()


class Copies:
    """Opens snapshots as copies; `base` is the parent of scratch folders."""

    def __init__(self, base: Path | None = None) -> None:
        self._scratches = Scratches(base)

    @contextmanager
    def open(
        self, root: Path, changes: Sequence[Change], run_in: Run, mounted: str = ""
    ) -> Iterator[Snapshot]:
        """Open a snapshot of `root`; `mounted`: see Copy. Raises SandboxError on failure."""
        workspace = root.resolve()
        scratch = self._scratches.outside(workspace)
        folder = scratch.new()
        try:
            try:
                snapshot = CopySnapshot(workspace, folder, scratch.covers, run_in, mounted)
                snapshot.apply(changes)
            except OSError as error:
                raise SandboxError(
                    f"cannot copy the workspace to {folder}: {error.strerror or error}",
                    "check that the disk is not full",
                ) from None
            yield snapshot
        finally:
            scratch.discard(folder)

    def close(self) -> None:
        """Remove the scratch folders, which an exit hook would also remove."""
        self._scratches.close()


class ConfinedCopies:
    """Base class of the kinds that confine commands in copies, each command by a launcher.

    `base` is the parent of scratch folders. Commands may connect to `ports` of this machine. Only
    one thread at a time may use an object of this class.
    """

    confined = True
    mounted = ""  # see Copy

    def __init__(self, base: Path | None = None, ports: Sequence[int] = ()) -> None:
        self.ports = tuple(ports)
        self._copies = Copies(base)
        self._launchers = LauncherPool()

    def runner(self, workspace: Path) -> Run:
        """Return a function that runs commands. Raises SandboxError for an unusable folder."""
        raise NotImplementedError

    @contextmanager
    def open(self, root: Path, changes: Sequence[Change] = ()) -> Iterator[Snapshot]:
        """Open a snapshot of `root`. Raises SandboxError if `root` is unusable."""
        run = self.runner(root.resolve())
        with self._copies.open(root, changes, run, self.mounted) as snapshot:
            yield snapshot

    def close(self) -> None:
        """Remove the scratch folders and end the waiting launcher, as an exit hook also does."""
        self._launchers.close()
        self._copies.close()

    def launch(
        self,
        job: dict[str, Any],
        command: Command,
        on_output: Callable[[str], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> CommandResult:
        """Run `job`, and start the next launcher ahead of time."""
        result = self._launchers.take().run(job, command, on_output, cancelled)
        self._launchers.prepare()
        return result
