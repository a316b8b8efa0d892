"""The unit lane counts lines in the test's own process."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doubles.log_files import SameProcess


@pytest.fixture(autouse=True)
def same_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("localagent.logs.digest.Child", SameProcess)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
