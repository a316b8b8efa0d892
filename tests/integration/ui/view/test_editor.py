"""The editor starts only from a folder that no command can write to."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.core import programs
from localagent.core.errors import UsageError
from localagent.ui.view.editor import open_editor


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(programs, "_workspaces", set())
    programs.register_workspace(tmp_path / "project")
    path = tmp_path / "project/bin/edit"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    path.chmod(0o755)
    monkeypatch.delenv("VISUAL", raising=False)
    return path


@pytest.mark.parametrize("absolute", [True, False])
def test_an_editor_of_a_workspace_is_refused(
    absolute: bool, planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "links").mkdir()
    (tmp_path / "links/edit").symlink_to(planted)
    monkeypatch.setenv("PATH", f"{tmp_path}/links")
    monkeypatch.setenv("EDITOR", str(planted) if absolute else "edit --wait")
    with pytest.raises(UsageError, match="cannot start the editor"):
        open_editor("text")
    assert not (tmp_path / "started").exists()


def test_an_editor_elsewhere_starts(
    planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "good/edit"
    path.parent.mkdir()
    path.write_text('#!/bin/sh\necho new > "$1"\n')
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
    monkeypatch.setenv("EDITOR", "edit")
    assert open_editor("old") == "new\n"
