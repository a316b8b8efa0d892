"""Change the workspace so that every change can be undone.

`Checkpoints.apply` is the one way into the workspace. Before it writes, it stores the old state of
every path in the session's folder: content, mode, link target, or that the path is absent. It also
records its intent. Then either all changes happen or none. A process that is killed in between
leaves no file partly written, and `recover` takes its changes back.

Checkpoints neither use nor touch the user's git. See docs/adr/0005-checkpoints.md.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

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
from localagent.workspace.safe_files import PathState, SafeDir
from localagent.workspace.workspace import is_encodable

MAX_BYTES = 512 << 20
"""The bound of the contents that a session stores for undo."""
_FORBIDDEN_ON_WINDOWS = frozenset('<>:"|?*\\')
_MAX_DIFF = 1 << 20  # bytes; nobody reads a longer diff, and difflib takes seconds for it


class Checkpoints:
    """The changes of one turn.

    `session_dir` is the session's folder, outside of the workspace. `max_bytes` bounds the stored
    contents of the session.
    """

    def __init__(
        self, workspace_root: Path, session_dir: Path, turn: int, max_bytes: int = MAX_BYTES
    ) -> None:
        self._root = workspace_root
        self._log = TurnLog(session_dir, turn)
        self._max_bytes = max_bytes

    def apply(
        self, changes: Sequence[Change], expected: Mapping[str, str | None] | None = None
    ) -> list[FileChanged]:
        """Apply `changes`, all or none, and return the changed files, sorted by path.

        A later change replaces an earlier one of the same path; a later deletion of a folder
        replaces the changes in it. A folder goes with everything in it. A file change at a link
        writes the link's target, which must be in the workspace; to replace the link by a file, put
        a deletion of the path before it. `expected` maps paths of `changes` to the sha256 that the
        caller read, None for a missing file; a file that differs now is not overwritten.

        Raises OutsideWorkspace, RefusedError (`.git`, devices, read-only files, the bound) and
        WorkspaceError (changed since it was read, no space, no permission). Nothing has changed
        then.
        """
        with _opened(self._root) as tree:
            by_path = _by_real_path(tree, changes)
            _check_expected(tree, by_path, expected or {})
            goals = {path: _goal(change) for path, change in by_path.items()}
            try:
                change_set = build_change_set(tree, goals, clear=True)
                _check_read_only(tree, change_set, by_path)
            except OSError as error:
                raise explain(error, str(error.filename or "the files to be changed")) from error
            data = {path: change.data for path, change in by_path.items()}
            return commit(tree, self._log, "turn", change_set, data, self._max_bytes)


@dataclass(frozen=True, slots=True)
class Recovery:
    """The result of `recover`: the number of removed temporary files, the turns whose unfinished
    change it took back, and the paths that stay because another program wrote them since."""

    temporary: int = 0
    turns: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def recover(session_dir: Path, root: Path) -> Recovery:
    """Take back the unfinished change of this session in `root`, whose process was killed.

    The caller holds the workspace's lock, because a running change looks the same. Raises
    WorkspaceError for a failed write; the next call continues.
    """
    workspace = str(Path(root).resolve())
    logs = ((log, log.transactions()) for log in turn_logs(session_dir))
    return _recover(
        [(log, [a for a in transactions if a.workspace == workspace]) for log, transactions in logs]
    )


def recover_workspace(root: Path, sessions: Path) -> Recovery:
    """`recover` for all sessions in the folder `sessions`."""
    return _recover(list(all_logs(sessions, str(Path(root).resolve()))))


def _recover(logs: Sequence[tuple[TurnLog, list[Transaction]]]) -> Recovery:
    temporary = 0
    turns: list[str] = []
    left: set[str] = set()
    for log, applies in logs:
        # Normally at most one. The newest comes first, because it began after the others.
        for apply in [a for a in reversed(applies) if a.outcome == "open"]:
            with _opened(Path(apply.workspace)) as tree:
                temporary += discard(tree, apply.steps, apply.id)
                content = reading({}, Blobs(log.session_dir).open)
                remaining = revert(tree, apply.steps, apply.id, content)
            log.reverted(apply.id, remaining)
            left.update(remaining)
            turns.append(f"{log.session}:{log.turn}")
    return Recovery(temporary, tuple(turns), tuple(sorted(left)))


def commit(
    tree: SafeDir,
    log: TurnLog,
    kind: TransactionKind,
    change_set: ChangeSet,
    data: Mapping[str, bytes],
    max_bytes: int = MAX_BYTES,
) -> list[FileChanged]:
    """Store the old states, record the intent, apply the steps, and record that they are done.

    `data` holds new contents by path; the stored contents hold all others. Raises as
    `Checkpoints.apply`.
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
    """Revert a failed change. If that fails, too, the intent stays open for `recover`."""
    try:
        left = revert(tree, apply.steps, apply.id, reading({}, blobs.open))
        log.reverted(apply.id, left)
    except (LocalAgentError, OSError) as second:
        raise WorkspaceError(
            f"{error}; and taking the change back failed, too: {second}",
            "`localagent undo` completes it once the cause is gone",
        ) from error


def _keep(tree: SafeDir, blobs: Blobs, steps: Sequence[PathChange], max_bytes: int) -> None:
    """Store the old content of every step. Raises RefusedError beyond the bound, and OSError."""
    old = {s.before.sha256: s for s in steps if s.before.sha256}
    missing = [step for sha256, step in old.items() if not blobs.has(sha256)]
    needed = sum(step.before.size for step in missing)
    if missing and blobs.size() + needed > max_bytes:
        largest = max(missing, key=lambda step: step.before.size)
        raise RefusedError(
            f"changing {largest.path} would need {needed >> 20} MiB more to be kept for undo, "
            f"beyond the {max_bytes >> 20} MiB that a session may keep",
            "raise checkpoint_bytes in config.toml, or begin a new session",
        )
    bulk = in_bulk(len(missing))
    for step in missing:
        with tree.content(step.path, step.before) as source:
            if not blobs.keep(step.before.sha256, source, sync=not bulk):
                raise WorkspaceError(
                    f"another program changed {step.path} at this moment", "try again"
                )
    if bulk:
        sync_all()
    elif missing:
        blobs.sync()


def _odd_modes(tree: SafeDir, steps: Sequence[PathChange]) -> dict[str, int | None]:
    """The modes of paths to which the file system gave another mode."""
    odd: dict[str, int | None] = {}
    for step in steps:
        if step.after.kind in ("file", "dir"):
            now = tree.stat(step.path)
            if now.kind == step.after.kind and now.mode != step.after.mode:
                odd[step.path] = now.mode
    return odd


def _opened(root: Path) -> SafeDir:
    if not Path(root).is_dir():
        raise WorkspaceError(f"there is no folder {root}", "was it moved or deleted?")
    return SafeDir(root)


def _by_real_path(tree: SafeDir, changes: Sequence[Change]) -> dict[str, Change]:
    """The changes by their real path, with links resolved."""
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
    """`path` in its plain form. Raises OutsideWorkspace and RefusedError for an invalid path."""
    if path.startswith("/") or "\0" in path or ".." in path.split("/") or not is_encodable(path):
        raise OutsideWorkspace(
            f"{path!r} is no path inside the workspace", "use a path relative to the workspace"
        )
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts:
        raise RefusedError("the workspace's own folder cannot be changed", "name a path in it")
    if os.name == "nt":  # drives, streams, and names that Windows rewrites
        for part in parts:
            if _FORBIDDEN_ON_WINDOWS & set(part) or part != part.rstrip(" ."):
                raise RefusedError(f"{path!r} is no file name on this system")
    return "/".join(parts)


def _goal(change: Change) -> PathState:
    if change.kind in ("absent", "dir"):
        return PathState(change.kind, change.mode if change.kind == "dir" else None)
    digest = hashlib.sha256(change.data).hexdigest()
    # Only permission bits: a change cannot make a file run as its owner.
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
                f"another program changed {path} since it was read",
                "nothing was written; ask again, so that the new content is read",
            )


def _check_read_only(tree: SafeDir, change_set: ChangeSet, by_path: Mapping[str, Change]) -> None:
    """Refuse to replace a read-only file, unless the change gives a mode."""
    for step in change_set.steps:
        both = step.before.kind == "file" and step.after.kind == "file"
        if both and by_path[step.path].mode is None and not tree.writable(step.path):
            raise RefusedError(
                f"{step.path} is read-only", "make it writable (chmod u+w) if it is to be changed"
            )


def _refuse_records(tree: SafeDir, log: TurnLog, steps: Sequence[PathChange]) -> None:
    """Refuse to change localagent's own records, where the workspace holds them."""
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
    """The content as text; None for no content, and bytes for content that is no text."""
    if not state.sha256:
        return None
    if state.size > _MAX_DIFF:
        return b""
    content = blobs.bytes(state.sha256) if data is None else data
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content
