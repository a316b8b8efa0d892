"""What `doctor` says of the index."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

from few_watches import run_with_few_watches

from localagent.doctor.examine import index_part
from localagent.index.disk import DiskIndex
from localagent.index.store import index_file
from localagent.workspace.workspace import Workspace


def test_before_and_after_it_is_made(workspace_dir: Path) -> None:
    workspace = Workspace.open(workspace_dir)
    part = index_part(workspace)
    assert "none yet" in part.lines[1] and part.problems == ()
    assert part.lines[2] == "watches files for changes during a session"
    with DiskIndex(workspace) as index:
        index.refresh()
    assert "files" in index_part(workspace).lines[1]


def test_it_is_only_looked_at(workspace_dir: Path) -> None:
    workspace = Workspace.open(workspace_dir)
    with DiskIndex(workspace) as index:
        index.refresh()
    file = index_file(workspace.root)
    before = {p.name: p.read_bytes() for p in file.parent.iterdir()}
    index_part(workspace)
    assert {p.name: p.read_bytes() for p in file.parent.iterdir()} == before
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = {p.name: p.read_bytes() for p in file.parent.iterdir()}
    assert "another version" in index_part(workspace).lines[1]
    assert {p.name: p.read_bytes() for p in file.parent.iterdir()} == before
    file.write_text("no database, but long enough to look at" * 100)
    assert "unreadable" in index_part(workspace).lines[1]


def test_while_it_is_written(workspace_dir: Path) -> None:
    workspace = Workspace.open(workspace_dir)
    with DiskIndex(workspace, live=True) as index:
        index.refresh()
        assert "files" in index_part(workspace).lines[1]


LIMITED = """
import sys
from localagent.doctor.examine import index_part
from localagent.workspace.workspace import Workspace
part = index_part(Workspace.open(sys.argv[1]))
print([p.what for p in part.problems], part.data["limited"])
"""


def test_a_limit_on_watches_is_said(workspace_dir: Path) -> None:
    for n in range(20):
        (workspace_dir / f"d{n}").mkdir()
        (workspace_dir / f"d{n}" / "x.py").write_text("x = 1\n")
    said = run_with_few_watches(5, [sys.executable, "-c", LIMITED, workspace_dir])
    assert "files cannot be watched: inotify watch limit reached" in said
