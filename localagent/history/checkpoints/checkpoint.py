"""Change the workspace so that every change can be undone.

All changes to the workspace go through `Checkpoints.apply`. Before it writes, it stores the old
state of every path in the session's folder: content, mode, link target, or absence. It also records
which changes it is about to make. Then it makes all changes or none. If the process is killed
during a change, no file is partly written, and `recover` takes the change back.

Checkpoints do not use or change the user's git repository. See docs/adr/0005-checkpoints.md.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from localagent.core.atomic import write_atomic
from localagent.core.changes import Change
from localagent.core.errors import LocalAgentError, OutsideWorkspace, RefusedError, WorkspaceError
from localagent.core.events import FileChanged
from localagent.edits.diff import unified
from localagent.history.checkpoints.blobs import Blobs, in_bulk, sync_all
from localagent.history.checkpoints.change_set import ChangeSet, PathChange, build_change_set
from localagent.history.checkpoints.transaction import (
    apply_changes,
    discard,
    explain,
    reading,
    revert,
)
from localagent.history.checkpoints.turn_log import (
    Transaction,
    TransactionKind,
    TurnLog,
    all_logs,
    turn_logs,
)
from localagent.history.checkpoints.workspace_lock import next_timestamp
from localagent.permissions.rules import never_changed
from localagent.workspace.git.repositories import is_of_git, repositories
from localagent.workspace.safe_files import PathState, SafeDir
from localagent.workspace.workspace import is_encodable

MAX_BYTES = 512 << 20
"""The default limit, in bytes, for the contents that a session stores for undo."""
_FORBIDDEN_ON_WINDOWS = frozenset('<>:"|?*\\')
_MAX_NAMES = 20  # in a message
_MAX_DIFF = 1 << 20  # bytes of a file's content; difflib takes seconds for larger files


class Checkpoints:
    """Applies the changes of one turn.

    `session_dir` is the session's folder, outside of the workspace. `max_bytes` limits the total
    size of the contents that the session stores. `protected` maps paths that nothing may change,
    with all that is below them, to the reasons.
    """

    def __init__(
        self,
        workspace_root: Path,
        session_dir: Path,
        turn: int,
        max_bytes: int = MAX_BYTES,
        protected: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._root = workspace_root
        self._protected = protected
        self._log = TurnLog(session_dir, turn)
        self._max_bytes = max_bytes

    def apply(
        self, changes: Sequence[Change], expected: Mapping[str, str | None] | None = None
    ) -> list[FileChanged]:
        """Apply all of `changes` or none, and return the changed files, sorted by path.

        A later change replaces an earlier change of the same path. A later deletion of a folder
        replaces the earlier changes in the folder. A deleted folder is deleted with all its
        content.

        A file change at a link writes to the link's target, which must be in the workspace. To
        replace the link itself by a file, put a deletion of the path before the file change.

        `expected` maps paths of `changes` to the SHA-256 that the caller read; None means a missing
        file. If the present content of a path differs, WorkspaceError is raised.

        Raises OutsideWorkspace, RefusedError (`.git`, `.localagent`, protected paths, devices,
        read-only files, or the size limit) and WorkspaceError (changed since it was read, no space,
        or no permission). After an error, the workspace is unchanged.
        """
        with _opened(self._root, self._log) as tree:
            by_path = _by_real_path(tree, changes)
            _check_expected(tree, by_path, expected or {})
            goals = {path: _goal(change) for path, change in by_path.items()}
            try:
                change_set = build_change_set(tree, goals, clear=True)
                _check_protected(change_set, self._protected)
                _check_repositories(tree, change_set)
                _check_read_only(tree, change_set, by_path)
            except OSError as error:
                raise explain(error, str(error.filename or "the files to be changed")) from error
            data = {path: change.data for path, change in by_path.items()}
            return commit(tree, self._log, "turn", change_set, data, self._max_bytes)

    def keep_patch(self, text: str) -> Path:
        """Store a patch with the session, and return its file; a turn has one. Raises
        WorkspaceError."""
        path = self._log.session_dir / f"best-{self._log.turn}.patch"
        try:
            write_atomic(path, text)
        except OSError as error:
            raise explain(error, str(path)) from error
        return path


@dataclass(frozen=True, slots=True)
class Recovery:
    """The result of `recover`.

    `temporary` counts the deleted temporary files. `turns` are the turns whose unfinished change
    was taken back. `left` are the paths that stay as they are, because another program changed
    them. `failed` are the reasons why changes could not be taken back; the next call tries again.
    """

    temporary: int = 0
    turns: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


def recover(session_dir: Path, root: Path) -> Recovery:
    """Take back a change in `root` that this session did not finish because it was killed.

    The caller must hold the workspace's lock, because a running change looks like an unfinished
    one.
    """
    return _recover(turn_logs(session_dir), str(Path(root).resolve()))


def recover_workspace(root: Path, sessions: Path) -> Recovery:
    """Take back the unfinished changes in `root` of all sessions in the folder `sessions`."""
    return _recover(list(all_logs(sessions)), str(Path(root).resolve()))


def _recover(logs: Sequence[TurnLog], workspace: str) -> Recovery:
    temporary = 0
    turns: list[str] = []
    left: set[str] = set()
    failed: list[str] = []
    for log in logs:
        records = log.records()
        unlocks = [one for (root, _), one in records.unlocks.items() if root == workspace]
        # There is normally at most one. Changes are taken back in reverse order, newest first.
        unfinished = [
            each
            for each in reversed(records.transactions.values())
            if each.workspace == workspace and each.outcome == "open"
        ]
        if not unfinished and not unlocks:
            continue
        name = f"{log.session}:{log.turn}"
        try:
            with _opened(Path(workspace), log) as tree:
                tree.resume(unlocks)
                for apply in unfinished:
                    temporary += discard(tree, apply.steps, apply.id)
                    content = reading({}, Blobs(log.session_dir).open)
                    remaining = revert(tree, apply.steps, apply.id, content)
                    log.reverted(apply.id, remaining)
                    left.update(remaining)
                    turns.append(name)
        except (LocalAgentError, OSError) as error:
            failed.append(f"{name}: {error}")
    return Recovery(temporary, tuple(turns), tuple(sorted(left)), tuple(failed))


def commit(
    tree: SafeDir,
    log: TurnLog,
    kind: TransactionKind,
    change_set: ChangeSet,
    data: Mapping[str, bytes],
    max_bytes: int = MAX_BYTES,
) -> list[FileChanged]:
    """Store the old states, record the intent, apply the steps, and record their completion.

    `data` holds new contents by path. A content that is not in `data` is read from the stored
    contents. Raises the same errors as `Checkpoints.apply`.
    """
    steps = change_set.steps
    if not steps:
        return []
    _refuse_records(tree, log, steps)
    blobs = Blobs(log.session_dir)
    content = reading(data, blobs.open)
    stamp = next_timestamp(tree.root, log.transactions())
    apply = Transaction(secrets.token_hex(4), kind, str(tree.root), stamp, tuple(steps))
    try:
        _keep(tree, blobs, steps, max_bytes)
        log.intent(apply)
    except OSError as error:
        raise explain(error, f"a checkpoint to {log.session_dir}") from error
    try:
        apply_changes(tree, steps, apply.id, content)
    except BaseException as error:
        _take_back(tree, log, apply, blobs, error)
        raise
    try:
        log.done(apply.id, _odd_modes(tree, steps))
    except OSError as error:
        _take_back(tree, log, apply, blobs, error)
        raise explain(error, f"a checkpoint to {log.session_dir}") from error
    return file_changes(steps, blobs, data)


def _take_back(
    tree: SafeDir, log: TurnLog, apply: Transaction, blobs: Blobs, error: BaseException
) -> None:
    """Revert a failed change. If the revert fails too, a later `recover` completes it."""
    try:
        left = revert(tree, apply.steps, apply.id, reading({}, blobs.open))
        log.reverted(apply.id, left)
    except (LocalAgentError, OSError) as second:
        raise WorkspaceError(
            f"{error}; taking the change back failed too: {second}; {_remaining(tree, apply)}",
            "remove the cause; then `localagent undo` takes the change back",
        ) from error


def _remaining(tree: SafeDir, apply: Transaction) -> str:
    """A sentence that names the paths that a failed change left changed."""
    paths = []
    for step in apply.steps:
        try:
            if tree.state(step.path) != step.before:
                paths.append(step.path)
        except OSError:
            paths.append(step.path)
    more = f" and {len(paths) - _MAX_NAMES} more" if len(paths) > _MAX_NAMES else ""
    return f"these paths are still changed: {', '.join(paths[:_MAX_NAMES])}{more}"


def _keep(tree: SafeDir, blobs: Blobs, steps: Sequence[PathChange], max_bytes: int) -> None:
    """Store the old content of every step. Raises RefusedError above the limit, and OSError."""
    old = {s.before.sha256: s for s in steps if s.before.sha256}
    missing = [step for sha256, step in old.items() if not blobs.has(sha256)]
    needed = sum(step.before.size for step in missing)
    if missing and blobs.size() + needed > max_bytes:
        largest = max(missing, key=lambda step: step.before.size)
        raise RefusedError(
            f"changing {largest.path} needs {needed >> 20} MiB more to be stored for undo, "
            f"but a session may store at most {max_bytes >> 20} MiB",
            "raise checkpoint_bytes in config.toml, or start a new session",
        )
    bulk = in_bulk(len(missing))
    for step in missing:
        with tree.content(step.path, step.before) as source:
            if not blobs.keep(step.before.sha256, source, sync=not bulk):
                raise WorkspaceError(
                    f"another program changed {step.path} at the same time", "try again"
                )
    if bulk:
        sync_all()
    elif missing:
        blobs.sync()


def _odd_modes(tree: SafeDir, steps: Sequence[PathChange]) -> dict[str, int | None]:
    """The modes of the paths to which the file system gave a mode other than requested."""
    odd: dict[str, int | None] = {}
    for step in steps:
        if step.after.kind in ("file", "dir"):
            now = tree.stat(step.path)
            if now.kind == step.after.kind and now.mode != step.after.mode:
                odd[step.path] = now.mode
    return odd


def _opened(root: Path, log: TurnLog) -> SafeDir:
    if not Path(root).is_dir():
        raise WorkspaceError(f"there is no folder {root}", "was it moved or deleted?")
    return SafeDir(root, log)


def _by_real_path(tree: SafeDir, changes: Sequence[Change]) -> dict[str, Change]:
    """The changes by path, with links in the path resolved."""
    replaced = {change.path for change in changes if change.kind != "file"}
    fixed = frozenset(_clean(path) for path in replaced)
    by_path: dict[str, Change] = {}
    deleted: set[str] = set()
    for change in changes:
        through = change.kind == "file" and change.path not in deleted
        path = tree.resolve(_clean(change.path), last=through, fixed=fixed - {change.path})
        if change.kind == "absent":
            deleted.add(change.path)
            by_path = {p: c for p, c in by_path.items() if not p.startswith(f"{path}/")}
        by_path[path] = replace(change, path=path)
    return by_path


def _clean(path: str) -> str:
    """`path` without "." and empty parts. Raises OutsideWorkspace or RefusedError if invalid."""
    if path.startswith("/") or "\0" in path or ".." in path.split("/") or not is_encodable(path):
        raise OutsideWorkspace(
            f"{path!r} is not a path inside the workspace", "use a path relative to the workspace"
        )
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts:
        raise RefusedError("the workspace's own folder cannot be changed", "name a path in it")
    if os.name == "nt":  # drives, streams, and names that Windows rewrites
        for part in parts:
            if _FORBIDDEN_ON_WINDOWS & set(part) or part != part.rstrip(" ."):
                raise RefusedError(f"{path!r} is not a valid file name on this system")
    return "/".join(parts)


def _goal(change: Change) -> PathState:
    if change.kind in ("absent", "dir"):
        return PathState(change.kind, change.mode if change.kind == "dir" else None)
    digest = hashlib.sha256(change.data).hexdigest()
    # Only the permission bits are used, so a change can never set setuid or setgid on a file.
    mode = change.mode & 0o777 if change.mode is not None and change.kind == "file" else None
    return PathState(change.kind, mode, digest, len(change.data))


def _check_expected(
    tree: SafeDir, by_path: Mapping[str, Change], expected: Mapping[str, str | None]
) -> None:
    for given, sha256 in expected.items():
        path = tree.resolve(_clean(given), last=True)
        if path not in by_path:
            path = tree.resolve(_clean(given), last=False)
        now = tree.state(path)
        if (now.sha256 or None) != sha256:
            raise WorkspaceError(
                f"another program changed {path} after localagent read it",
                "nothing was written; ask again, and localagent reads the new content",
            )


def _check_read_only(tree: SafeDir, change_set: ChangeSet, by_path: Mapping[str, Change]) -> None:
    """Refuse to replace a read-only file, unless the change gives a mode."""
    for step in change_set.steps:
        both = step.before.kind == "file" and step.after.kind == "file"
        if both and by_path[step.path].mode is None and not tree.writable(step.path):
            raise RefusedError(
                f"{step.path} is read-only", "to let localagent change it: chmod u+w"
            )


def _check_protected(change_set: ChangeSet, protected: Mapping[str, str]) -> None:
    """Refuse paths that nothing may change.

    The rules judged the paths as given; these are the paths to which the links lead.
    """
    for step in change_set.steps:
        if reason := never_changed(step.path, protected):
            raise RefusedError(
                f"{step.path} cannot be changed: {reason}", "change it yourself, in an editor"
            )


def _check_repositories(tree: SafeDir, change_set: ChangeSet) -> None:
    """Refuse to make or change a repository in a folder that has another name than `.git`."""
    steps = change_set.steps
    found = repositories(tree.root, {step.path: step.after.kind != "absent" for step in steps})
    for step in steps if found else ():
        if step.after.kind != "absent" and is_of_git(step.path, found):
            raise RefusedError(
                f"{step.path} would belong to a git repository, whose settings git obeys",
                "use git itself for that",
            )


def _refuse_records(tree: SafeDir, log: TurnLog, steps: Sequence[PathChange]) -> None:
    """Refuse to change localagent's own records if the workspace contains them."""
    sessions = log.session_dir.resolve().parent
    if not sessions.is_relative_to(tree.root):
        return
    records = sessions.relative_to(tree.root).as_posix()
    for step in steps:
        if step.path == records or step.path.startswith(f"{records}/"):
            raise RefusedError(f"{step.path} belongs to localagent's own records")


def file_changes(
    steps: Sequence[PathChange], blobs: Blobs, data: Mapping[str, bytes]
) -> list[FileChanged]:
    """One event for each file and link, in the order of `steps`; none for folders."""
    changes = []
    for step in steps:
        if not (step.before.sha256 or step.after.sha256):
            continue
        changes.append(
            FileChanged(
                step.path,
                step.before.sha256 or None,
                step.after.sha256 or None,
                _diff(step, blobs, data),
            )
        )
    return changes


def _diff(step: PathChange, blobs: Blobs, data: Mapping[str, bytes]) -> str:
    """The unified diff, with a line for a changed mode; "" for binary or very long content."""
    modes = (step.before.mode, step.after.mode)
    head = ""
    if step.before.kind == step.after.kind == "file" and modes[0] != modes[1]:
        head = f"old mode {modes[0] or 0:04o}\nnew mode {modes[1] or 0:04o}\n"
    before = _text(step.before, blobs, None)
    after = _text(step.after, blobs, data.get(step.path))
    if not isinstance(before, str | None) or not isinstance(after, str | None):
        return head
    return head + unified(step.path, before, after)


def _text(state: PathState, blobs: Blobs, data: bytes | None) -> str | bytes | None:
    """The content as text; None without content, and bytes if the content is not text."""
    if not state.sha256:
        return None
    if state.size > _MAX_DIFF:
        return b""
    content = blobs.bytes(state.sha256) if data is None else data
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content
