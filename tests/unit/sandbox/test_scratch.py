"""Scratch folders of several processes below one base."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.sandbox.snapshots.scratch import Scratch


def test_a_folder_that_vanishes_meanwhile_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process ended after the list of folders was read."""
    listed = Path.glob
    monkeypatch.setattr(
        Path, "glob", lambda self, pattern: [*listed(self, pattern), tmp_path / "agent-gone"]
    )
    scratch = Scratch(tmp_path)
    assert scratch.folder.is_dir()
    scratch.close()
