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
from localagent.workspace.path_state import ABSENT, State
from localagent.workspace.safe_files import Rooted

FILE_MODE = 0o644
FOLDER_MODE = 0o755


@dataclass(frozen=True, slots=True)
class Step:
    """One path, what it is before and what it is after."""

    path: str
    before: State
    after: State

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "path": self.path,
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Step:
        """The step that `to_dict` made `data` of. Raises KeyError or TypeError."""
        before, after = State.from_dict(data["before"]), State.from_dict(data["after"])
        return cls(data["path"], before, after)


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps, sorted by path, and what stands in the way.

    `kept` are folders that were to go and stay because they hold something else; `blocked` are
    folders that would have to give way to a file and hold something else.
    """

    steps: tuple[Step, ...]
    kept: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()


def plan(tree: Rooted, goals: Mapping[str, State], *, clear: bool) -> Plan:
    """The steps that make every path of `goals` what it says; a mode of None means the mode that
    the path has, or FILE_MODE and FOLDER_MODE for new ones.

    With `clear`, a folder goes away together with all that it holds, but for goals below it, for
    which it is emptied; without, it only goes when what it holds is to go as well.
    Raises WorkspaceError where a parent is a file or two goals contradict each other, and
    RefusedError for devices, sockets, named pipes and anything in `.git`.
    """
    wanted = dict(goals)
    emptied = _emptied(wanted) if clear else set()
    wanted.update({path: State("dir") for path in emptied})
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
        before = tree.look(path)
        if path in kept or path in blocked:
            continue
        after = _after(tree, path, before, wanted)
        if before != after:
            check_path(path)
            if before.kind == "special":
                raise _special(path)
            steps.append(Step(path, before, after))
    return Plan(tuple(steps), tuple(sorted(kept)), tuple(sorted(blocked)))


def check_path(path: str) -> None:
    """Raise RefusedError for a path in a `.git` folder, which is the user's alone."""
    # Not every file system tells .GIT from .git.
    if any(part.casefold() == ".git" for part in path.split("/")):
        raise RefusedError(
            f"{path} belongs to git's own files, which localagent never changes",
            "use git itself for that",
        )


def below(tree: Rooted, path: str) -> Iterator[str]:
    """All that the folder `path` holds, at any depth, parents first; of anything else, nothing."""
    if tree.glance(path).kind != "dir":
        return
    for child in tree.children(path):
        yield child
        yield from below(tree, child)


def _emptied(wanted: Mapping[str, State]) -> set[str]:
    """The paths that are to go and to hold something all the same."""
    holding = {
        path[:cut]
        for path, goal in wanted.items()
        if goal.kind != "absent"
        for cut, sign in enumerate(path)
        if sign == "/"
    }
    return {path for path in holding if path in wanted and wanted[path].kind == "absent"}


def _add_parents(tree: Rooted, wanted: dict[str, State]) -> None:
    for path in sorted(wanted):
        if wanted[path].kind == "absent":
            continue
        parts = path.split("/")
        for length in range(1, len(parts)):
            parent = "/".join(parts[:length])
            there = wanted.get(parent) or tree.glance(parent)
            if there.kind == "absent" and parent not in wanted:
                wanted[parent] = State("dir")
            elif there.kind != "dir":
                raise WorkspaceError(
                    f"cannot make {path}: {parent} is not a folder",
                    "choose another path, or remove what is there first",
                )


def _spare(tree: Rooted, wanted: dict[str, State], kept: set[str], blocked: set[str]) -> None:
    """Find the folders that are to go and hold something that is not; deepest first, since a
    folder that stays keeps its parent, too."""
    for path in sorted(wanted, reverse=True):
        if wanted[path].kind == "dir" or tree.glance(path).kind != "dir":
            continue
        stays = any(
            child not in wanted or wanted[child].kind != "absent" or child in kept
            for child in tree.children(path)
        )
        if stays:
            (kept if wanted[path].kind == "absent" else blocked).add(path)


def _after(tree: Rooted, path: str, before: State, wanted: Mapping[str, State]) -> State:
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


def _default_mode(tree: Rooted, path: str, goal: State) -> int | None:
    parent = path.rpartition("/")[0]
    mode = tree.glance(parent).mode if parent else tree.mode
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
