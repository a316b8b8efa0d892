"""A system that lets few folders be watched: a user namespace with a limit of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

_LIMITED = 'echo "$0" > /proc/sys/user/max_inotify_watches || exit 77; exec "$@"'


def run_with_few_watches(count: int, command: Sequence[str | Path]) -> str:
    """What `command` prints where at most `count` folders can be watched; skips the test where
    there are no user namespaces."""
    done = subprocess.run(
        ["unshare", "-Ur", "sh", "-c", _LIMITED, str(count), *command],
        capture_output=True,
        text=True,
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no user namespace to limit watches in: {done.stderr}")
    assert done.returncode == 0, done.stderr
    return done.stdout
