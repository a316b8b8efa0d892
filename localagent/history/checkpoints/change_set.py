"""The change set: the steps that bring paths from their present state to their goal.

`build_change_set` reads the workspace. It adds the steps that the goals imply: missing parent
folders, and the content of a folder that is deleted. It omits paths that are already as required.
It does not change the workspace.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from localagent.core.errors import RefusedError, WorkspaceError
from localagent.workspace.safe_files import ABSENT, PathState, SafeDir

FILE_MODE = 0o644
FOLDER_MODE = 0o755


@dataclass(frozen=True, slots=True)
class PathChange:
    """The change of one path: its state before and after."""

    path: str
    before: PathState
    after: PathState

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "path": self.path,
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> PathChange:
        """Read the change from its JSON form. Raises KeyError or TypeError."""
        before, after = PathState.from_dict(data["before"]), PathState.from_dict(data["after"])
        return cls(data["path"], before, after)


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """The changes, sorted by path, and the folders that cannot be deleted as requested.

    These folders hold something that the changes do not cover. The folders in `kept` were to be
    deleted. The folders in `blocked` were to be replaced by a file.
    """

    steps: tuple[PathChange, ...]
    kept: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()


def build_change_set(tree: SafeDir, goals: Mapping[str, PathState], *, clear: bool) -> ChangeSet:
    """Build the changes that bring every path in `goals` to its goal.

    A goal with the mode None keeps the path's present mode; a new path gets FILE_MODE or
    FOLDER_MODE. With `clear`, a folder is deleted with all its content except goals below it.
    Without `clear`, a folder is deleted only if the goals delete all its content. Raises
    WorkspaceError for a parent that is a file and for contradicting goals. Raises RefusedError for
    devices, sockets, named pipes and paths in `.git`.
    """
    targets = dict(goals)
    emptied = _emptied(targets) if clear else set()
    targets.update({path: PathState("dir") for path in emptied})
    _add_parents(tree, targets)
    kept: set[str] = set()
    blocked: set[str] = set()
    if clear:
        for path in [p for p, goal in targets.items() if goal.kind != "dir" or p in emptied]:
            targets.update({p: ABSENT for p in below(tree, path) if p not in targets})
    else:
        _spare(tree, targets, kept, blocked)
    steps = []
    for path in sorted(targets):
        before = tree.state(path)
        if path in kept or path in blocked:
            continue
        after = _after(tree, path, before, targets)
        if before != after:
            check_path(path)
            if before.kind == "special":
                raise _special(path)
            steps.append(PathChange(path, before, after))
    return ChangeSet(tuple(steps), tuple(sorted(kept)), tuple(sorted(blocked)))


def check_path(path: str) -> None:
    """Raise RefusedError for a path in a `.git` folder."""
    # Some file systems ignore case, so .GIT may be the same folder as .git.
    if any(part.casefold() == ".git" for part in path.split("/")):
        raise RefusedError(
            f"{path} belongs to git's own files, which localagent never changes",
            "use git itself for that",
        )


def below(tree: SafeDir, path: str) -> Iterator[str]:
    """All paths below the folder `path`, parents first; none if `path` is not a folder."""
    waiting = [path]
    while waiting:
        entry = waiting.pop()
        if entry != path:
            yield entry
        if tree.stat(entry).kind == "dir":
            waiting += reversed(tree.children(entry))


def _emptied(targets: Mapping[str, PathState]) -> set[str]:
    """The paths to delete that are folders of other targets."""
    holding = {
        path[:cut]
        for path, goal in targets.items()
        if goal.kind != "absent"
        for cut, sign in enumerate(path)
        if sign == "/"
    }
    return {path for path in holding if path in targets and targets[path].kind == "absent"}


def _add_parents(tree: SafeDir, targets: dict[str, PathState]) -> None:
    for path in sorted(targets):
        if targets[path].kind == "absent":
            continue
        parts = path.split("/")
        for length in range(1, len(parts)):
            parent = "/".join(parts[:length])
            there = targets.get(parent) or tree.stat(parent)
            if there.kind == "absent" and parent not in targets:
                targets[parent] = PathState("dir")
            elif there.kind != "dir":
                raise WorkspaceError(
                    f"cannot make {path}: {parent} is not a folder",
                    f"choose another path, or delete {parent} first",
                )


def _spare(tree: SafeDir, targets: dict[str, PathState], kept: set[str], blocked: set[str]) -> None:
    """Add to `kept` or `blocked` each folder that cannot be deleted because part of it stays."""
    # The deepest folders come first, because a folder that stays also keeps its parent.
    for path in sorted(targets, reverse=True):
        if targets[path].kind == "dir" or tree.stat(path).kind != "dir":
            continue
        stays = any(
            child not in targets or targets[child].kind != "absent" or child in kept
            for child in tree.children(path)
        )
        if stays:
            (kept if targets[path].kind == "absent" else blocked).add(path)


def _after(
    tree: SafeDir, path: str, before: PathState, targets: Mapping[str, PathState]
) -> PathState:
    """The goal for `path`, with the mode and owner filled in."""
    goal = targets[path]
    if goal.kind not in ("file", "dir"):
        return goal
    same = before.kind == goal.kind
    mode = goal.mode
    if mode is None:
        mode = before.mode if same else _default_mode(tree, path, goal)
    uid = before.uid if same and goal.uid is None else goal.uid
    gid = before.gid if same and goal.gid is None else goal.gid
    return replace(goal, mode=mode, uid=uid, gid=gid)


def _default_mode(tree: SafeDir, path: str, goal: PathState) -> int | None:
    parent = path.rpartition("/")[0]
    mode = tree.stat(parent).mode if parent else tree.mode
    if mode is None and not tree.has_modes:
        return None
    if goal.kind == "file":
        return FILE_MODE
    # A new folder inherits the setgid bit of its parent, as the kernel does for mkdir.
    return FOLDER_MODE | ((mode or 0) & stat.S_ISGID)


def _special(path: str) -> RefusedError:
    return RefusedError(
        f"{path} is a device, a socket or a named pipe",
        "only files, folders and links can be changed",
    )
