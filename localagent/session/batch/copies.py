"""The copy of a repository in which a task works."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from localagent.core.errors import WorkspaceError
from localagent.core.trees import remove_tree
from localagent.index.store import drop, index_file


def copy_repository(source: Path, target: Path, exclude: Path) -> None:
    """Copy all files, folders and links of `source`, also those that git ignores.

    The folder `exclude` is left out, and so are sockets, pipes and devices. Raises WorkspaceError.
    """
    hidden = exclude.resolve()

    def left_out(folder: str, names: list[str]) -> set[str]:
        return {name for name in names if _is_left_out(Path(folder, name), hidden)}

    try:
        shutil.copytree(source, target, symlinks=True, ignore=left_out)
    except shutil.Error as error:
        (first, *_) = error.args[0]
        raise WorkspaceError(f"cannot copy {first[0]}: {first[2]}") from None
    except OSError as error:
        raise WorkspaceError(f"cannot copy {source}: {error.strerror}") from None


def _is_left_out(path: Path, hidden: Path) -> bool:
    mode = path.lstat().st_mode
    if stat.S_ISDIR(mode):
        return path.resolve() == hidden
    return not (stat.S_ISREG(mode) or stat.S_ISLNK(mode))


def remove_copy(folder: Path) -> None:
    """Remove a copy with its index. Raises WorkspaceError if a part of the copy stays."""
    if not os.path.lexists(folder):
        return
    drop(index_file(folder.resolve()))
    if not remove_tree(folder):
        raise WorkspaceError(f"cannot remove {folder}", "check the owners of its files")
