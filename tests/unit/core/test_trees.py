"""Removal of folders that commands filled."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from localagent.core.trees import remove_tree

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="paths there are short")


def test_what_commands_leave_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree deeper than a path can be long, folders without permissions, links, odd names."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("")
    top = tmp_path / "top"
    (top / "locked/below").mkdir(parents=True)
    (top / "locked/below/file\n\udcff").touch()
    (top / "link").symlink_to(outside)
    os.mkfifo(top / "pipe")
    monkeypatch.chdir(top)
    for _ in range(1100):
        os.mkdir("d" * 5)
        os.chdir("d" * 5)
    (Path() / "link").symlink_to(outside)
    os.chdir(tmp_path)
    (top / "locked/below").chmod(0)
    (top / "locked").chmod(0)
    top.chmod(0)
    assert remove_tree(top)
    assert not top.exists() and (outside / "kept").exists()


def test_what_is_not_there_is_removed(tmp_path: Path) -> None:
    assert remove_tree(tmp_path / "missing")
    (tmp_path / "file").touch()
    assert not remove_tree(tmp_path / "file")
