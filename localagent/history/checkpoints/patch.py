"""The net change of a turn as one patch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from localagent.edits.diff import unified
from localagent.history.checkpoints.blobs import Blobs
from localagent.history.checkpoints.turn_log import TurnLog, net_changes
from localagent.workspace.safe_files import PathState, SafeDir


def turn_patch(root: Path, session_dir: Path, turn: int) -> str:
    """The change of a turn's text files, as `git apply` reads it; "" if none changed.

    Call this before the workspace changes again: new content is read from the workspace. Raises
    WorkspaceError, OSError.
    """
    log = TurnLog(session_dir, turn)
    changes = net_changes(log.transactions())
    blobs = Blobs(session_dir)
    with SafeDir(root, log) as tree:
        return "".join(
            _diff(path, _old(changes[path].before, blobs), _new(tree, path, changes[path].after))
            for path in sorted(changes)
        )


def _diff(path: str, before: bytes | None, after: bytes | None) -> str:
    texts = list(_texts(before, after))
    if len(texts) < 2:
        return ""
    return unified(path, texts[0], texts[1])


def _texts(*contents: bytes | None) -> Iterator[str | None]:
    """The contents as texts; a binary content is left out."""
    for content in contents:
        try:
            yield None if content is None else content.decode()
        except UnicodeDecodeError:
            continue


def _old(state: PathState, blobs: Blobs) -> bytes | None:
    return blobs.bytes(state.sha256) if state.kind == "file" else None


def _new(tree: SafeDir, path: str, state: PathState) -> bytes | None:
    if state.kind != "file":
        return None
    with tree.content(path, state) as file:
        return file.read()
