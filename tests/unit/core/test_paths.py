"""Where state lives, and who can read it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from localagent.core import paths


def test_every_level_is_private(home: Path) -> None:
    folder = paths.private(paths.cache_dir() / "scratch" / "x")
    for path in (folder, folder.parent, paths.cache_dir(), home / ".cache"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700, path
    assert paths.private(folder) == folder


def test_relative_xdg_folders_are_ignored(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert paths.data_dir() == home / ".local" / "share" / "localagent"
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert paths.data_dir() == Path("/data/localagent")
