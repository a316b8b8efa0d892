"""What a change did, as the events that people and programs see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from localagent.core.events import FileChanged
from localagent.edits.diff import unified
from localagent.history.checkpoints.blobs import Blobs
from localagent.history.checkpoints.change_plan import Step
from localagent.workspace.path_state import State

_MAX_DIFF = 1 << 20  # bytes; nobody reads a longer diff, and difflib takes seconds for it


def file_changes(
    steps: Sequence[Step], blobs: Blobs, data: Mapping[str, bytes]
) -> list[FileChanged]:
    """One event for each file and link, in the order of `steps`; folders have none."""
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


def _diff(step: Step, blobs: Blobs, data: Mapping[str, bytes]) -> str:
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


def _text(state: State, blobs: Blobs, data: bytes | None) -> str | bytes | None:
    """The content as text, None where there is none, and bytes where it is no text."""
    if not state.sha256:
        return None
    if state.size > _MAX_DIFF:
        return b""
    content = blobs.bytes(state.sha256) if data is None else data
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content
