"""What `doctor` says of the index."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from localagent.doctor.index import index_part
from localagent.index.disk import DiskIndex
from localagent.workspace import Workspace


def test_before_and_after_it_is_made(workspace_dir: Path) -> None:
    workspace = Workspace.open(workspace_dir)
    part = index_part(workspace)
    assert "not made yet" in part.lines[1] and part.problems == ()
    assert part.lines[2] == "changes are heard while a session lasts"
    with DiskIndex(workspace) as index:
        index.refresh()
    assert "files" in index_part(workspace).lines[1]


LIMITED = """
import sys
from localagent.doctor.index import index_part
from localagent.workspace import Workspace
part = index_part(Workspace.open(sys.argv[1]))
print([p.what for p in part.problems], part.data["limited"])
"""


def test_a_limit_on_watches_is_said(workspace_dir: Path, tmp_path: Path) -> None:
    for n in range(20):
        (workspace_dir / f"d{n}").mkdir()
        (workspace_dir / f"d{n}" / "x.py").write_text("x = 1\n")
    limit = 'echo 5 > /proc/sys/user/max_inotify_watches || exit 77; exec "$@"'
    command = [sys.executable, "-c", LIMITED, str(workspace_dir)]
    done = subprocess.run(
        ["unshare", "-Ur", "sh", "-c", limit, "sh", *command], capture_output=True, text=True
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no user namespace to limit watches in: {done.stderr}")
    assert "files cannot be watched: inotify watch limit reached" in done.stdout, done.stderr
