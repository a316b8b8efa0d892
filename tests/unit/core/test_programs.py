"""Programs that localagent starts lie where no command can write."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from localagent.core import interpreter, programs
from localagent.history.checkpoints.workspace_lock import WorkspaceLock, acquire

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the programs are shell scripts")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    monkeypatch.setattr(programs, "_workspaces", set())
    programs._had_commands.cache_clear()
    programs.register_workspace(folder)
    return folder


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_planted_programs_are_passed_over(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An activated environment of this or another workspace, links to and from a workspace."""
    bad = [workspace / ".venv/bin", workspace, tmp_path / "other/.venv/bin"]
    bad += [tmp_path / "site/node_modules/.bin", tmp_path / "linked", tmp_path / "links"]
    program(workspace / ".venv/bin/tool")
    program(workspace / "tool")
    program(bad[2] / "tool")
    (bad[2].parent / "pyvenv.cfg").write_text("")
    program(bad[3] / "tool")
    bad[4].symlink_to(workspace / ".venv/bin")
    bad[5].mkdir()
    (bad[5] / "tool").symlink_to(workspace / "tool")
    planted = workspace / "busy"
    planted.symlink_to("/bin/sh")  # a link out, with a name that a command chose
    monkeypatch.setenv("PATH", os.pathsep.join(["", ".", "bin", *map(str, bad)]))
    assert programs.find_program("tool") is None
    assert programs.find_program("busy") is None
    good = program(tmp_path / "good/tool")
    monkeypatch.setenv("PATH", os.pathsep.join([*map(str, bad), str(good.parent)]))
    assert programs.find_program("tool") == str(good)


@pytest.mark.parametrize("name", ["bwrap", "git", "sh", "less", "nano"])
def test_a_program_of_another_workspace_is_passed_over(
    name: str, workspace: Path, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands of an earlier session could write there; direnv put the folder on PATH."""
    planted = program(tmp_path / "other/bin" / name)
    program(tmp_path / "unknown/bin" / name)
    linked = tmp_path / "linked" / name
    linked.parent.mkdir()
    linked.symlink_to(planted)
    places = [planted.parent, linked.parent, tmp_path / "unknown/bin"]
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, places)))
    lock = acquire(tmp_path / "other", "earlier")
    assert isinstance(lock, WorkspaceLock)
    lock.release()
    programs._had_commands.cache_clear()
    assert programs.find_program(name) == str(tmp_path / "unknown/bin" / name)
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, places[:2])))
    assert programs.find_program(name) is None
    assert str(planted.parent) not in programs.safe_environment().get("PATH", "")


def test_folders_that_the_user_cannot_write_come_first(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, system = program(tmp_path / "own/tool"), program(tmp_path / "system/tool")
    monkeypatch.setattr(programs, "_SYSTEM", str(system.parent))
    monkeypatch.setattr(programs.os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", f"{own.parent}{os.pathsep}{system.parent}")
    assert programs.find_program("tool") == str(system)


def test_children_load_nothing_from_a_workspace(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = f"{workspace}/lib{os.pathsep}{tmp_path}/lib{os.pathsep}."
    for name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH"):
        monkeypatch.setenv(name, both)
    monkeypatch.setenv("LD_PRELOAD", f"{workspace}/evil.so")
    monkeypatch.setenv("OTHER", "kept")
    environment = programs.safe_environment()
    assert {environment[n] for n in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")} == {
        f"{tmp_path}/lib"
    }
    assert "LD_PRELOAD" not in environment and environment["OTHER"] == "kept"


def test_the_top_folder_is_no_workspace(workspace: Path) -> None:
    programs.register_workspace("/")
    assert programs._workspaces == {os.path.realpath(workspace)}


def test_children_get_no_secrets(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ("GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY", "DB_PASSWORD")
    for name in (*secrets, "SSH_AUTH_SOCK", "PIP_TOKEN", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "x")
    environment = interpreter.environment()
    assert not {*secrets, "SSH_AUTH_SOCK"} & environment.keys()
    assert {"PIP_TOKEN", "OMP_NUM_THREADS"} <= environment.keys()
