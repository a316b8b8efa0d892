"""From what paths shall be to the steps that lead there.

`plan` looks at the workspace, adds what follows (missing parent folders, the content of a folder
that goes away) and leaves out what is already so. It changes nothing.
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
    """One path, what it is before and what it is after."""

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
        """The step that `to_dict` made `data` of. Raises KeyError or TypeError."""
        before, after = PathState.from_dict(data["before"]), PathState.from_dict(data["after"])
        return cls(data["path"], before, after)


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """The steps, sorted by path, and what stands in the way.

    `kept` are folders that were to go and stay because they hold something else; `blocked` are
    folders that would have to give way to a file and hold something else.
    """

    steps: tuple[PathChange, ...]
    kept: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()


def build_change_set(tree: SafeDir, goals: Mapping[str, PathState], *, clear: bool) -> ChangeSet:
    """The steps that make every path of `goals` what it says; a mode of None means the mode that
    the path has, or FILE_MODE and FOLDER_MODE for new ones.

    With `clear`, a folder goes away together with all that it holds, but for goals below it, for
    which it is emptied; without, it only goes when what it holds is to go as well.
    Raises WorkspaceError where a parent is a file or two goals contradict each other, and
    RefusedError for devices, sockets, named pipes and anything in `.git`.
    """
    wanted = dict(goals)
    emptied = _emptied(wanted) if clear else set()
    wanted.update({path: PathState("dir") for path in emptied})
    _add_parents(tree, wanted)
    kept: set[str] = set()
    blocked: set[str] = set()
    if clear:
        for path in [p for p, goal in wanted.items() if goal.kind != "dir" or p in emptied]:
            wanted.update({p: ABSENT for p in below(tree, path) if p not in wanted})
    else:
        _spare(tree, wanted, kept, blocked)
    steps = []
    for path in sorted(wanted):
        before = tree.state(path)
        if path in kept or path in blocked:
            continue
        after = _after(tree, path, before, wanted)
        if before != after:
            check_path(path)
            if before.kind == "special":
                raise _special(path)
            steps.append(PathChange(path, before, after))
    return ChangeSet(tuple(steps), tuple(sorted(kept)), tuple(sorted(blocked)))


def check_path(path: str) -> None:
    """Raise RefusedError for a path in a `.git` folder, which is the user's alone."""
    # Not every file system tells .GIT from .git.
    if any(part.casefold() == ".git" for part in path.split("/")):
        raise RefusedError(
            f"{path} belongs to git's own files, which localagent never changes",
            "use git itself for that",
        )


def below(tree: SafeDir, path: str) -> Iterator[str]:
    """All that the folder `path` holds, at any depth, parents first; of anything else, nothing."""
    if tree.stat(path).kind != "dir":
        return
    for child in tree.children(path):
        yield child
        yield from below(tree, child)


def _emptied(wanted: Mapping[str, PathState]) -> set[str]:
    """The paths that are to go and to hold something all the same."""
    holding = {
        path[:cut]
        for path, goal in wanted.items()
        if goal.kind != "absent"
        for cut, sign in enumerate(path)
        if sign == "/"
    }
    return {path for path in holding if path in wanted and wanted[path].kind == "absent"}


def _add_parents(tree: SafeDir, wanted: dict[str, PathState]) -> None:
    for path in sorted(wanted):
        if wanted[path].kind == "absent":
            continue
        parts = path.split("/")
        for length in range(1, len(parts)):
            parent = "/".join(parts[:length])
            there = wanted.get(parent) or tree.stat(parent)
            if there.kind == "absent" and parent not in wanted:
                wanted[parent] = PathState("dir")
            elif there.kind != "dir":
                raise WorkspaceError(
                    f"cannot make {path}: {parent} is not a folder",
                    "choose another path, or remove what is there first",
                )


def _spare(tree: SafeDir, wanted: dict[str, PathState], kept: set[str], blocked: set[str]) -> None:
    """Find the folders that are to go and hold something that is not; deepest first, since a
    folder that stays keeps its parent, too."""
    for path in sorted(wanted, reverse=True):
        if wanted[path].kind == "dir" or tree.stat(path).kind != "dir":
            continue
        stays = any(
            child not in wanted or wanted[child].kind != "absent" or child in kept
            for child in tree.children(path)
        )
        if stays:
            (kept if wanted[path].kind == "absent" else blocked).add(path)


def _after(
    tree: SafeDir, path: str, before: PathState, wanted: Mapping[str, PathState]
) -> PathState:
    """The goal for `path` with its mode and owner filled in."""
    goal = wanted[path]
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
    # In a folder shared by a group, new folders pass the group on; the kernel sets the bit itself.
    return FOLDER_MODE | ((mode or 0) & stat.S_ISGID)


def _special(path: str) -> RefusedError:
    return RefusedError(
        f"{path} is a device, a socket or a named pipe",
        "only files, folders and links can be changed",
    )
