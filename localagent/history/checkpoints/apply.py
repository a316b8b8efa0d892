"""Carrying out steps in the workspace: the only module that writes there.

Every file is written to a temporary file beside it, down to the disk, and then renamed over it.
All temporary files are written before the first rename, so that a full disk is noticed while
nothing is changed yet. The order, which makes every step possible when its turn comes:

1. folders that change or go get write permission for us, 2. new content is staged, 3. what goes
is removed, deepest first, 4. folders are made, 5. files and links are renamed into place,
6. folders get their modes, deepest first, 7. folders are synced.

A process killed in between leaves every path as it was, as it shall be, or (a file that gives
way to a folder, or the reverse) absent, and temporary files whose names follow from the steps.
`revert` leads back from any such state.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import BinaryIO

from localagent.core.errors import LocalAgentError, OutsideWorkspace, WorkspaceError
from localagent.history.checkpoints.blobs import in_bulk, sync_all
from localagent.history.checkpoints.change_set import PathChange, build_change_set
from localagent.workspace.safe_files import PathState, SafeDir

_OURS = 0o700  # what a folder must allow us while its content changes
_NAME_MAX = 200  # bytes; file systems allow 255, some encodings take more room

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # Windows has no quota error

Content = Callable[[PathChange], BinaryIO]


def temp_name(path: str, apply_id: str) -> str:
    """The name of the temporary file for `path`."""
    name = os.fsencode(path.rpartition("/")[2])
    if len(name) > _NAME_MAX:
        # Two long names in one folder may share their start, so the whole name is hashed.
        name = hashlib.sha256(name).hexdigest()[:16].encode()
    return f".{os.fsdecode(name)}.localagent-{apply_id}.tmp"


def apply_changes(
    tree: SafeDir, steps: Sequence[PathChange], apply_id: str, content: Content
) -> None:
    """Do all `steps`. `content` opens the bytes of a step's file, or its link's target.

    Raises WorkspaceError (no space, no permission, written by someone else meanwhile) and
    OutsideWorkspace (a folder on a path became a link). The caller then calls `revert`.
    """
    _loosen(tree, steps)
    leaves = [s for s in steps if s.after.kind in ("file", "symlink")]
    bulk = in_bulk(len(leaves))
    ready = [s for s in leaves if _has_folder(tree, s.path)]
    for step in ready:
        _stage(tree, step, apply_id, content, sync=not bulk)
    if bulk:
        sync_all()
    staged = {step.path for step in ready}
    for step in reversed(steps):
        if step.before.kind != "absent" and _gives_way(step):
            with _blaming(step.path):
                _unchanged(tree, step)
                (tree.rmdir if step.before.kind == "dir" else tree.unlink)(step.path)
    for step in steps:
        if step.after.kind == "dir" and step.before.kind != "dir":
            with _blaming(step.path):
                tree.mkdir(step.path, (step.after.mode or 0) | _OURS)
    for step in leaves:
        if step.path not in staged:
            _stage(tree, step, apply_id, content, sync=True)
        with _blaming(step.path):
            _unchanged(tree, step)
            tree.rename(step.path, temp_name(step.path, apply_id))
    _finish(tree, steps)


def revert(
    tree: SafeDir, steps: Sequence[PathChange], apply_id: str, content: Content
) -> list[str]:
    """Lead `steps`, done in part or in whole, back to what was before.

    Returns the paths that are in neither state: someone else wrote them, and they are left alone.
    Raises as `apply_changes` does; calling it again goes on where it stopped.
    """
    discard(tree, steps, apply_id)
    goals: dict[str, PathState] = {}
    left: list[str] = []
    for step in steps:
        now = tree.state(step.path)
        if now == step.before:
            continue
        if _ours(now, step):
            goals[step.path] = step.before
        else:
            left.append(step.path)
    # A folder that is in the way because of what someone else put there stays, too.
    back = build_change_set(tree, goals, clear=False)
    apply_changes(tree, back.steps, apply_id, content)
    return sorted({*left, *back.blocked})


def discard(tree: SafeDir, steps: Sequence[PathChange], apply_id: str) -> int:
    """Remove the temporary files of `steps`; returns how many there were."""
    count = 0
    for step in steps:
        with _blaming(step.path):
            count += tree.discard(step.path, temp_name(step.path, apply_id))
    return count


def reading(data: Mapping[str, bytes], stored: Callable[[str], BinaryIO]) -> Content:
    """Content that comes from `data` by path, or else from `stored` by sha256."""

    def content(step: PathChange) -> BinaryIO:
        if step.path in data:
            return io.BytesIO(data[step.path])
        return stored(step.after.sha256)

    return content


def _gives_way(step: PathChange) -> bool:
    """Whether the old path has to be removed before the new one can be there."""
    return step.after.kind == "absent" or (step.before.kind == "dir") != (step.after.kind == "dir")


def _ours(now: PathState, step: PathChange) -> bool:
    """Whether `now` is a state that an unfinished `apply_changes` of `step` can have left."""
    if now == step.after:
        return True
    if now.kind == "absent":
        return _gives_way(step) and step.after.kind != "absent"
    if now.kind != "dir":
        return False
    modes = [s.mode for s in (step.before, step.after) if s.kind == "dir"]
    return any(now.mode in (mode, (mode or 0) | _OURS) for mode in modes)


def _loosen(tree: SafeDir, steps: Sequence[PathChange]) -> None:
    for step in steps:
        mode = step.before.mode
        if step.before.kind == "dir" and mode is not None and mode & _OURS != _OURS:
            with _blaming(step.path):
                tree.set_folder(step.path, PathState("dir", mode | _OURS))


def _has_folder(tree: SafeDir, path: str) -> bool:
    """Whether the folder that `path` is in is there already, so that it can be staged now."""
    parent = path.rpartition("/")[0]
    return not parent or tree.stat(parent).kind == "dir"


def _stage(tree: SafeDir, step: PathChange, apply_id: str, content: Content, *, sync: bool) -> None:
    """Write the temporary file of `step`."""
    temp = temp_name(step.path, apply_id)
    with _blaming(step.path), content(step) as source:
        if step.after.kind == "symlink":
            tree.stage_link(step.path, temp, source.read())
        else:
            tree.stage(step.path, temp, source, step.after, sync=sync)


def _unchanged(tree: SafeDir, step: PathChange) -> None:
    """Raise WorkspaceError where the path was written since it was looked at."""
    expected = step.before.stamp
    if step.before.kind == "dir" or (expected is None and step.before.kind != "absent"):
        return
    now = tree.stat(step.path)
    removed = _gives_way(step) and now.kind == "absent"  # by the step of removal, just before
    if not removed and (now.stamp != expected or now.kind != step.before.kind):
        raise WorkspaceError(
            f"{step.path} was changed by someone else at this moment",
            "nothing of this change was kept; try again",
        )


def _finish(tree: SafeDir, steps: Sequence[PathChange]) -> None:
    for step in reversed(steps):
        if step.after.kind == "dir":
            with _blaming(step.path):
                tree.set_folder(step.path, step.after)
    folders = {step.path.rpartition("/")[0]: step.path for step in steps}
    for path in folders.values():
        with _blaming(path):
            tree.sync(path)


@contextmanager
def _blaming(path: str) -> Iterator[None]:
    """Turn an OSError of the system into an error that a person can act on."""
    try:
        yield
    except OSError as error:
        raise explain(error, path) from error


def explain(error: OSError, path: str) -> LocalAgentError:
    """The error for a person when writing `path` failed."""
    if error.errno in _FULL:
        return WorkspaceError(
            f"no space left to write {path}", "free some space on this disk and try again"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return WorkspaceError(
            f"cannot write {path}: {error.strerror}",
            "check who owns the file and its folder, and their modes",
        )
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return OutsideWorkspace(
            f"cannot write {path}: a folder on its path was replaced by something else",
            "nothing of this change was kept; look at the folder and try again",
        )
    return WorkspaceError(f"cannot write {path}: {error.strerror or error}")
