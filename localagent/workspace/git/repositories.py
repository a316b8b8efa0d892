"""Find folders that git takes for repositories although their name is not `.git`.

When the user runs git in such a folder, git obeys the folder's settings, which can start programs.
So no command and no edit may make such a folder, or change one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_HEAD, _OBJECTS, _REFS = "head", "objects", "refs"
# The file with which another folder holds the objects, the refs and the settings.
_COMMON = "commondir"
# git's own entries in the top folder of a repository.
_ENTRIES = frozenset(
    (
        *(_HEAD, _OBJECTS, _REFS, _COMMON, "config", "config.worktree", "hooks", "info", "index"),
        *("packed-refs", "logs", "worktrees", "modules", "gitdir"),
    )
)


def repositories(root: Path, present: Mapping[str, bool]) -> frozenset[str]:
    """The folders with changed paths that are repositories after the changes.

    `present` maps each changed path to False if it is deleted. A folder is relative to `root`; ""
    is `root` itself. The file system may ignore case, so this function ignores it too.
    """
    made: dict[str, set[str]] = {}
    deleted: dict[str, set[str]] = {}
    for path, exists in present.items():
        folder, _, name = path.rpartition("/")
        (made if exists else deleted).setdefault(folder, set()).add(name)
        while exists and folder:
            folder, _, name = folder.rpartition("/")
            names = made.setdefault(folder, set())
            if name in names:
                break
            names.add(name)
    return frozenset(
        folder
        for folder, names in made.items()
        if _is_repository(names | (_entries(root / folder) - deleted.get(folder, set())))
    )


def is_of_git(path: str, found: frozenset[str]) -> bool:
    """Whether `path` belongs to a `.git` folder or to one of the repositories `found`.

    In a repository that is the top folder, only git's own entries belong to git.
    """
    parts = path.casefold().split("/")
    if ".git" in parts or ("" in found and parts[0] in _ENTRIES):
        return True
    return any(folder and path.startswith(f"{folder}/") for folder in found)


def _is_repository(names: set[str]) -> bool:
    folded = {name.casefold() for name in names}
    return _HEAD in folded and (_COMMON in folded or {_OBJECTS, _REFS} <= folded)


def _entries(folder: Path) -> set[str]:
    try:
        return set(os.listdir(folder))  # noqa: PTH208 - only the names
    except OSError:
        return set()
