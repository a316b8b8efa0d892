"""What can be named after "@"."""

from __future__ import annotations

from pathlib import Path

from localagent.index.disk import DiskIndex
from localagent.ui.chat.mentions import mentions
from localagent.workspace.workspace import Workspace


def names(folder: Path, text: str) -> list[str]:
    return [found.text for found in mentions(Workspace.open(folder), text)]


def test_files_by_their_beginning_and_then_by_a_part(workspace_dir: Path) -> None:
    assert names(workspace_dir, "calc_") == ["calc_test.py"]
    assert names(workspace_dir, "TEST") == ["calc_test.py"]
    assert names(workspace_dir, "") == ["calc.py", "calc_test.py"]
    assert names(workspace_dir, "nothing") == []


def test_definitions_once_there_is_an_index(workspace_dir: Path) -> None:
    assert names(workspace_dir, "ad") == []
    with DiskIndex(Workspace.open(workspace_dir)) as index:
        index.refresh()
    (found,) = mentions(Workspace.open(workspace_dir), "ad")
    assert (found.text, found.detail) == ("add", "function, calc.py:1")
    assert names(workspace_dir, "test") == ["test_add", "test_zero", "calc_test.py"]
