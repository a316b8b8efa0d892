"""What `doctor` says of the index."""

from __future__ import annotations

import sys
from pathlib import Path

from few_watches import run_with_few_watches

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


def test_a_limit_on_watches_is_said(workspace_dir: Path) -> None:
    for n in range(20):
        (workspace_dir / f"d{n}").mkdir()
        (workspace_dir / f"d{n}" / "x.py").write_text("x = 1\n")
    said = run_with_few_watches(5, [sys.executable, "-c", LIMITED, workspace_dir])
    assert "files cannot be watched: inotify watch limit reached" in said
