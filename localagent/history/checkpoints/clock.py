"""The order of a workspace's changes, also where the machine's clock is set back between them.

The time of the last change is kept in a file beside the workspace's lock. Without the file, or
where it cannot be written, the machine's clock alone decides.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from localagent.history.checkpoints.turn_log import Apply
from localagent.history.checkpoints.workspace_lock import path_beside_lock


def next_time(workspace: Path, earlier: Iterable[Apply]) -> int:
    """The time of a new change, in nanoseconds since 1970: now, and later than all of `earlier` and
    than the last one in `workspace`, whose lock the caller holds."""
    with suppress(OSError):
        place = path_beside_lock(workspace, "last")
        now = max(_now(earlier), _read(place) + 1)
        place.write_text(str(now), encoding="ascii")
        return now
    return _now(earlier)


def _now(earlier: Iterable[Apply]) -> int:
    return max([time.time_ns(), *(apply.time + 1 for apply in earlier)])


def _read(place: Path) -> int:
    try:
        return int(place.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        return 0  # the first change, or a write that was cut short
