"""A view of the workspace as a copy of its files, for where there is no overlay.

What git ignores and has a folder of its own (.venv, node_modules, build) is copied where it is
small and else linked, which leaves it readable: tools need it. Of `.git` all is copied but the
objects, which the copy's own objects name as their alternates (gitrepository-layout(5)): git works
in the copy, writes there, and cannot reach the real repository. A `.git` that lies elsewhere (of a
worktree) is left out.
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
from localagent.sandbox.base import Command, Completed, View
from localagent.sandbox.environment import tool_links
from localagent.sandbox.launcher.client import Launchers
from localagent.sandbox.views.apply import put
from localagent.sandbox.views.overlay import (
    Budget,
    deleted,
    entry_change,
    is_cache,
    readable,
    same_mode,
)
from localagent.sandbox.views.scratch import Scratches
from localagent.workspace.workspace import Workspace

_NOT_COPIED = (".git/objects", ".git/modules", ".git/lfs", ".git/worktrees")
# An ignored folder is copied up to these sizes; copying it takes less time than starting a command.
_SMALL_ENTRIES, _SMALL_BYTES = 500, 8 << 20
MAX_BYTES = 4 << 30  # of a copy: a disk is no place for a second one of what is larger
_FICLONE = 0x40049409  # linux/fs.h: share the blocks of a file with another


class Copy:
    """The copy `tree` (made here) of the folder `root`. Raises OSError where it cannot be made, and
    SandboxError where it is too large.

    `mounted` is for a copy that is mounted at `root` itself, where links to it would lead into
    circles: folders stand for what is linked, to be mounted on, and git's objects are `mounted`.
    """

    def __init__(self, root: Path, tree: Path, mounted: str = "") -> None:
        self.tree = tree
        self._mounted = mounted
        self._root = root
        # How each entry was when it had just been copied; None for what was linked.
        self._made: dict[str, os.stat_result | None] = {}
        self._objects = ""
        self._bytes = 0
        self._workspace = Workspace.open(root)
        self._shown = _folders_with_files(self._workspace.files())
        self._others = self._look_at_others()
        tree.mkdir()
        self._fill("")
        self._hide_links_from_git()
        tree.chmod(stat.S_IMODE(root.stat().st_mode) | 0o700)

    def _look_at_others(self) -> dict[str, bool]:
        """The folders beside those with files of the workspace, and whether they are ignored."""
        found: list[str] = []
        for rel in ("", *self._shown):
            with os.scandir(self._root / rel) as entries:
                names = (e.name for e in entries if e.is_dir(follow_symlinks=False))
                found += (f"{rel}/{name}" if rel else name for name in names if name != ".git")
        others = [name for name in found if name not in self._shown]
        ignored = self._workspace.ignored_among(others)
        return {name: name in ignored for name in others}

    def _fill(self, rel: str, whole: bool = False) -> None:
        """Copy the folder `rel`; `whole` says that it is an ignored one, with all that is in it."""
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
                    self._made[name] = target.lstat()
                else:
                    if self._mounted:
                        target.mkdir()
                    else:
                        _link(self._root / name, target)
                    self._made[name] = None

    def _ignored(self, name: str) -> bool:
        if name in self._shown:
            return False
        known = self._others.get(name)
        return self._workspace.ignored(name) if known is None else known

    def _hide_links_from_git(self) -> None:
        """A pattern such as "build/" means folders alone, and no link that stands for one."""
        links = [name for name, made in self._made.items() if made is None]
        if links and ".git" in self._made:
            exclude = self.tree / ".git/info/exclude"
            exclude.parent.mkdir(exist_ok=True)
            with exclude.open("a") as file:
                file.writelines(f"\n/{name}" for name in links)
            self._made[".git/info/exclude"] = exclude.lstat()
            self._made[".git/info"] = exclude.parent.lstat()

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
                return  # what the user cannot read, the command could not either
            shutil.copystat(source, target)
        else:
            return
        if os.path.lexists(target):
            self._made[name] = target.lstat()

    def _copy_git(self) -> None:
        """The repository's folder; see the module's docstring."""
        self._copy_git_folder(".git")
        real = os.path.realpath(self._root / ".git/objects")
        if not Path(real).is_dir():
            return
        for name in (".git/objects", ".git/objects/info"):
            (self.tree / name).mkdir()
        (self.tree / ".git/objects/info/alternates").write_text(f"{self._mounted or real}\n")
        for name in (".git/objects", ".git/objects/info", ".git/objects/info/alternates"):
            self._made[name] = (self.tree / name).lstat()
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
        self._made[rel] = target.lstat()

    def build_folder(self, tmp: str) -> dict[str, str]:
        """Variables that send what tools build to `tmp`, where their own folder is linked and so
        cannot be written."""
        names = [name for name, made in self._made.items() if made is None]
        rust = [name for name in names if name.rpartition("/")[2] == "target"]
        if any((self.tree / name).parent.joinpath("Cargo.toml").exists() for name in rust):
            return {"CARGO_TARGET_DIR": f"{tmp}/target"}
        return {}

    def linked(self) -> list[tuple[str, str]]:
        """The real paths that the copy leads to, ignored folders and git's objects, each with the
        path by which it does."""
        names = (str(self._root / name) for name, made in self._made.items() if made is None)
        found = [(name, name) for name in names]
        return [*found, *([(self._objects, self._mounted or self._objects)] * bool(self._objects))]

    def changes(self) -> tuple[Change, ...]:
        """How the copy differs from what was copied, sorted by path, caches left out."""
        seen: set[str] = set()
        found = list(self._changed("", seen, Budget()))
        for name, made in self._made.items():
            if name not in seen and not is_cache(name):
                where = (self._root / name).lstat() if made is None else made
                if made is None or not stat.S_ISDIR(made.st_mode):
                    found += deleted(str(self._root), name, where)
                else:
                    found.append(Change(name, "absent"))
        unique = {change.path: change for change in reversed(found)}
        return tuple(unique[path] for path in sorted(unique))

    def _changed(self, rel: str, seen: set[str], budget: Budget) -> Iterator[Change]:
        folder = str(self.tree / rel)
        with readable(folder), os.scandir(folder) as entries:
            for entry in list(entries):
                name = f"{rel}/{entry.name}" if rel else entry.name
                if is_cache(name):
                    continue
                found = entry.stat(follow_symlinks=False)
                seen.add(name)
                stands = (
                    entry.is_dir(follow_symlinks=False) if self._mounted else entry.is_symlink()
                )
                if name in self._made and self._made[name] is None and stands:
                    continue
                yield from self._entry(name, found, seen, budget)

    def _entry(
        self, name: str, found: os.stat_result, seen: set[str], budget: Budget
    ) -> Iterator[Change]:
        made = self._made.get(name)
        if stat.S_ISDIR(found.st_mode):
            if made is None or not stat.S_ISDIR(made.st_mode) or not same_mode(made, found):
                yield Change(name, "dir", mode=stat.S_IMODE(found.st_mode) & 0o777)
            yield from self._changed(name, seen, budget)
        elif made is None or not _untouched(made, found):
            change = entry_change(str(self.tree / name), name, found, budget)
            if change is not None and not self._as_before(change):
                yield change

    def _as_before(self, change: Change) -> bool:
        """Whether a touched entry still is what the workspace has."""
        path = self._root / change.path
        if os.path.realpath(path.parent) != str(path.parent):
            return False  # a link stood in the place of a folder that is now on the way
        try:
            found = path.lstat()
            if change.kind == "symlink":
                return stat.S_ISLNK(found.st_mode) and os.fsencode(path.readlink()) == change.data
            return (
                stat.S_ISREG(found.st_mode)
                and stat.S_IMODE(found.st_mode) & 0o777 == change.mode
                and found.st_size == len(change.data)
                and path.read_bytes() == change.data
            )
        except OSError:
            return False


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


def _untouched(made: os.stat_result, found: os.stat_result) -> bool:
    return (made.st_ino, made.st_size, made.st_mtime_ns, made.st_mode) == (
        found.st_ino,
        found.st_size,
        found.st_mtime_ns,
        found.st_mode,
    )


def _link(source: Path, target: Path) -> None:
    try:
        target.symlink_to(source, target_is_directory=source.is_dir())
    except OSError:
        pass  # Windows without the privilege to make links: the view does without


def _copy_content(source: Path, target: Path) -> None:
    """Copy by sharing blocks where the file system can, else by the system's quickest way."""
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
    """How a kind runs a command in a copy; see `View.run`."""

    def __call__(
        self,
        view: CopyView,
        command: Command,
        on_output: Callable[[str], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> Completed: ...


class CopyView:
    """A view of `workspace` in `folder`; `run_in` runs its commands. `covers`: see Scratch."""

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
        """Make the links of the private home that lead to toolchains."""
        for link, target in tool_links(str(self.home)):
            Path(link).parent.mkdir(parents=True, exist_ok=True)
            with suppress(OSError):  # no links on this file system: done without
                Path(link).symlink_to(target, target_is_directory=True)

    def put(self, changes: Sequence[Change]) -> None:
        tree = os.path.realpath(self.tree)
        for change in changes:
            target = Path(tree, change.path)
            # A link of the workspace, or what stands for an ignored folder, leads to real files.
            if not Path(os.path.realpath(target.parent)).is_relative_to(tree):
                raise SandboxError(f"{change.path} leads out of the copy of the workspace")
            put(str(target), change.kind, change.data, change.mode)

    def run(
        self,
        command: Command,
        on_output: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Completed:
        return self._run_in(self, command, on_output, cancelled)

    def changes(self) -> tuple[Change, ...]:
        return self.copy.changes()


class Copies:
    """Opens views as copies; `base` is where scratch folders lie."""

    def __init__(self, base: Path | None = None) -> None:
        self._scratches = Scratches(base)

    @contextmanager
    def open(
        self, root: Path, changes: Sequence[Change], run_in: Run, mounted: str = ""
    ) -> Iterator[View]:
        """A new view of `root`; `mounted`: see Copy. Raises SandboxError where it has no room."""
        workspace = root.resolve()
        scratch = self._scratches.outside(workspace)
        folder = scratch.new()
        try:
            try:
                view = CopyView(workspace, folder, scratch.covers, run_in, mounted)
                view.put(changes)
            except OSError as error:
                raise SandboxError(
                    f"cannot copy the workspace to {folder}: {error.strerror or error}",
                    "check that the disk is not full",
                ) from None
            yield view
        finally:
            scratch.discard(folder)

    def close(self) -> None:
        """Remove the scratch folders; also done at exit."""
        self._scratches.close()


class ConfinedCopies:
    """What the kinds have in common that confine commands in copies, each by a launcher.

    `base` is where scratch folders lie, `ports` are those of this machine that commands may
    connect to. Used by one thread at a time.
    """

    confined = True
    mounted = ""  # see Copy

    def __init__(self, base: Path | None = None, ports: Sequence[int] = ()) -> None:
        self.ports = tuple(ports)
        self._copies = Copies(base)
        self._launchers = Launchers()

    def runner(self, workspace: Path) -> Run:
        """What runs commands in views of `workspace`. Raises SandboxError for an unusable one."""
        raise NotImplementedError

    @contextmanager
    def open(self, root: Path, changes: Sequence[Change] = ()) -> Iterator[View]:
        """A new view of `root`; see the protocol. Raises SandboxError for an unusable folder."""
        run = self.runner(root.resolve())
        with self._copies.open(root, changes, run, self.mounted) as view:
            yield view

    def close(self) -> None:
        """Remove the scratch folders and end the waiting launcher; also done at exit."""
        self._launchers.close()
        self._copies.close()

    def launch(
        self,
        job: dict[str, Any],
        command: Command,
        on_output: Callable[[str], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> Completed:
        """Run `job`, and get ready for the next one."""
        done = self._launchers.take().run(job, command, on_output, cancelled)
        self._launchers.prepare()
        return done
