"""Apply changes to the workspace. No other module writes to the workspace.

A change writes each new content to a temporary file next to its target, syncs the file to disk, and
then renames it over the target. All temporary files are written before the first rename, so a full
disk stops the change before any target is touched. The steps, in order:

1. make the folders that are changed or deleted writable;
2. write the new contents to temporary files;
3. delete paths, deepest first;
4. make folders;
5. rename the temporary files and links to their targets;
6. set the modes of folders, deepest first;
7. sync the folders.

If the process is killed, each path has its old or its new state. A path that changes from file to
folder, or from folder to file, may be absent. Temporary files may be left over; their names can be
computed from the change. `revert` restores the old state from any of these states.
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

_OURS = 0o700  # permissions that localagent needs on a folder to change the folder's content
_NAME_MAX = 200  # bytes; file systems allow 255, and some encodings need more room

_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))  # Windows has no quota error

Content = Callable[[PathChange], BinaryIO]


def temp_name(path: str, apply_id: str) -> str:
    """The name of the temporary file for `path`."""
    name = os.fsencode(path.rpartition("/")[2])
    if len(name) > _NAME_MAX:
        # A hash of the whole name, because long names in one folder may begin alike.
        name = hashlib.sha256(name).hexdigest()[:16].encode()
    return f".{os.fsdecode(name)}.localagent-{apply_id}.tmp"


def apply_changes(
    tree: SafeDir, steps: Sequence[PathChange], apply_id: str, content: Content
) -> None:
    """Apply all `steps`.

    `content` opens the new bytes of a step: the content of a file, or the target of a link. Raises
    WorkspaceError (no space, no permission, or a concurrent write) and OutsideWorkspace (a folder
    on the path was replaced by a link). After an error, the caller must call `revert`.
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
    """Take `steps` back, whether some or all of them were applied.

    Returns the paths that another program changed in the meantime; `revert` leaves these paths
    alone. Raises the same errors as `apply_changes`. After an error, call `revert` again to
    continue.
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
    # A folder in the place of an old file stays if another program wrote into the folder.
    back = build_change_set(tree, goals, clear=False)
    apply_changes(tree, back.steps, apply_id, content)
    return sorted({*left, *back.blocked})


def discard(tree: SafeDir, steps: Sequence[PathChange], apply_id: str) -> int:
    """Delete the temporary files of `steps`, and return the number of deleted files."""
    count = 0
    for step in steps:
        with _blaming(step.path):
            count += tree.discard(step.path, temp_name(step.path, apply_id))
    return count


def reading(data: Mapping[str, bytes], stored: Callable[[str], BinaryIO]) -> Content:
    """A `Content` that reads from `data` by path, or else from `stored` by SHA-256."""

    def content(step: PathChange) -> BinaryIO:
        if step.path in data:
            return io.BytesIO(data[step.path])
        return stored(step.after.sha256)

    return content


def _gives_way(step: PathChange) -> bool:
    """Whether the step must delete the old file or folder before it can make the new one."""
    return step.after.kind == "absent" or (step.before.kind == "dir") != (step.after.kind == "dir")


def _ours(now: PathState, step: PathChange) -> bool:
    """Whether `apply_changes` can have left the path of `step` in the state `now`."""
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
    """Whether the folder that will hold `path` exists already."""
    parent = path.rpartition("/")[0]
    return not parent or tree.stat(parent).kind == "dir"


def _stage(tree: SafeDir, step: PathChange, apply_id: str, content: Content, *, sync: bool) -> None:
    """Write the new content of `step` to its temporary file."""
    temp = temp_name(step.path, apply_id)
    with _blaming(step.path), content(step) as source:
        if step.after.kind == "symlink":
            tree.stage_link(step.path, temp, source.read())
        else:
            tree.stage(step.path, temp, source, step.after, sync=sync)


def _unchanged(tree: SafeDir, step: PathChange) -> None:
    """Raise WorkspaceError if another program changed the path after localagent read its state."""
    expected = step.before.stamp
    if step.before.kind == "dir" or (expected is None and step.before.kind != "absent"):
        return
    now = tree.stat(step.path)
    removed = _gives_way(step) and now.kind == "absent"  # `apply_changes` deleted it just before
    if not removed and (now.stamp != expected or now.kind != step.before.kind):
        raise WorkspaceError(
            f"another program changed {step.path} at the same time",
            "no part of this change was kept; try again",
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
    """Turn an OSError about `path` into an error that says what the user can do."""
    try:
        yield
    except OSError as error:
        raise explain(error, path) from error


def explain(error: OSError, path: str) -> LocalAgentError:
    """The error for the user after a failed write of `path`."""
    if error.errno in _FULL:
        return WorkspaceError(
            f"no space left to write {path}", "free some space on this disk and try again"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return WorkspaceError(
            f"cannot write {path}: {error.strerror}",
            "check the owners and the modes of the file and its folder",
        )
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return OutsideWorkspace(
            f"cannot write {path}: a folder on its path was replaced by something else",
            "no part of this change was kept; check the folder and try again",
        )
    return WorkspaceError(f"cannot write {path}: {error.strerror or error}")
