"""What changed on disk since the index was last brought up to date."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from localagent.code.file_kinds import is_data, is_docs, is_test, is_vendored, may_be_text
from localagent.index.digest import Listed
from localagent.index.store import Known
from localagent.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Changes:
    """What to do: read `changed` (new ones among them, the most useful first) and forget `gone`.
    `hidden` are those of `gone` that still exist, but must not be shown any more. `files` are all
    that may be shown, sorted."""

    changed: tuple[Listed, ...]
    gone: tuple[str, ...]
    hidden: tuple[str, ...]
    files: tuple[str, ...]


def changes(workspace: Workspace, known: Mapping[str, Known]) -> Changes:
    """Compare the workspace's files with the known ones by time and size."""
    files = listed(workspace)
    changed = [file for file in files if not same(file, known.get(file.path))]
    names = tuple(file.path for file in files)
    there = set(names)
    gone = tuple(path for path in known if path not in there)
    hidden = tuple(path for path in gone if os.path.lexists(f"{workspace.root}/{path}"))
    return Changes(tuple(sorted(changed, key=_order)), gone, hidden, names)


def listed(workspace: Workspace) -> list[Listed]:
    """All files that may be text and may be shown."""
    found = (there(workspace, path) for path in workspace.files())
    return [file for file in found if file is not None]


def there(workspace: Workspace, path: str) -> Listed | None:
    """A file as it is on disk; None for what is gone, is no regular file, or is no text."""
    if not may_be_text(path):
        return None
    try:
        status = os.stat(f"{workspace.root}/{path}", follow_symlinks=False)  # noqa: PTH116
    except (OSError, ValueError):
        return None
    regular = stat.S_ISREG(status.st_mode)
    return Listed(path, status.st_mtime_ns, status.st_size) if regular else None


def same(file: Listed, known: Known | None) -> bool:
    """Whether time and size are those that the index has."""
    return known is not None and (file.mtime, file.size) == (known.mtime, known.size)


def _order(file: Listed) -> tuple[int, int]:
    """Code before tests, prose, data and copies of other projects; what was changed last comes
    first."""
    path = file.path
    kinds: Sequence[bool] = (is_test(path), is_docs(path), is_data(path), is_vendored(path))
    return sum(place * kind for place, kind in enumerate(kinds, 1)), -file.mtime
