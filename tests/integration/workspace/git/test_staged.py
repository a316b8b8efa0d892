"""What git has staged: kinds of changes, odd names, hostile settings; with the real git."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from localagent.core.errors import LocalAgentError, UsageError
from localagent.workspace.git.commit import StagedFile, staged_diff, staged_files


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "a repository"
    folder.mkdir()
    git(folder, "init", "-q")
    return folder


def test_before_the_first_commit(repository: Path) -> None:
    (repository / "new.py").write_text("a = 1\nb = 2\n")
    git(repository, "add", ".")
    (file,) = staged_files(repository)
    assert file == StagedFile("new.py", "A", "", 2, 0)
    assert str(file) == "new.py: added, +2 -0"
    assert staged_diff(repository, file) == "@@ -0,0 +1,2 @@\n+a = 1\n+b = 2"


def test_every_kind_of_change(repository: Path) -> None:
    text = "".join(f"line {n}\n" for n in range(30))
    for name in ("kept", "moved", "gone", "mode"):
        (repository / name).write_text(f"{name}\n{text}")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "first")
    (repository / "kept").write_text(f"kept\n{text}more\n")
    (repository / "moved").rename(repository / "to here")
    (repository / "gone").unlink()
    (repository / "mode").chmod(0o755)
    (repository / "logo.png").write_bytes(b"\0\1\2" * 50)
    git(repository, "add", "-A")
    (repository / "kept").write_text("not staged\n")
    found = {file.path: file for file in staged_files(repository)}
    assert found == {
        "kept": StagedFile("kept", "M", "", 1, 0),
        "to here": StagedFile("to here", "R", "moved", 0, 0),
        "gone": StagedFile("gone", "D", "", 0, 31),
        "mode": StagedFile("mode", "M", "", 0, 0),
        "logo.png": StagedFile("logo.png", "A"),
    }
    assert staged_diff(repository, found["kept"]).endswith(" line 28\n line 29\n+more")
    assert staged_diff(repository, found["to here"]) == ""
    assert staged_diff(repository, found["logo.png"]) == ""
    assert str(found["to here"]) == "to here: renamed from moved, +0 -0"
    assert str(found["logo.png"]) == "logo.png: added, binary"


@pytest.mark.parametrize("name", ['tab\tand "quote"', "new\nline", ":(top)x", "*.py", "ünï"])
def test_odd_names(repository: Path, name: str) -> None:
    (repository / name).write_text("x\n")
    (repository / "other.py").write_text("y\n")
    git(repository, "add", ".")
    found = {file.path: file for file in staged_files(repository)}
    assert set(found) == {name, "other.py"}
    assert staged_diff(repository, found[name]).splitlines()[1:] == ["+x"]


def test_a_long_diff_is_read_in_part(repository: Path) -> None:
    (repository / "long").write_text("0123456789\n" * 100_000)
    git(repository, "add", ".")
    (file,) = staged_files(repository)
    assert file.added == 100_000
    assert 60_000 < len(staged_diff(repository, file)) <= 64 << 10


def test_from_a_folder_below(repository: Path) -> None:
    (repository / "sub").mkdir()
    (repository / "top.py").write_text("x\n")
    git(repository, "add", ".")
    (file,) = staged_files(repository / "sub")
    assert file.path == "top.py"
    assert staged_diff(repository / "sub", file).endswith("+x")


def test_the_repositorys_settings_start_nothing(repository: Path, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {trace}\n")
    program.chmod(0o755)
    (repository / ".gitattributes").write_text("*.py diff=evil\n")
    (repository / "a.py").write_text("x = 1\n")
    git(repository, "add", ".")
    for key in ("diff.external", "diff.evil.command", "diff.evil.textconv", "core.fsmonitor"):
        git(repository, "config", key, str(program))
    git(repository, "config", "diff.noprefix", "true")
    git(repository, "config", "diff.relative", "true")
    files = staged_files(repository)
    assert [staged_diff(repository, file).splitlines()[1:] for file in files][1] == ["+x = 1"]
    assert not trace.exists()


def test_the_index_that_a_hook_is_given(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repository / "a.py").write_text("x\n")
    other = repository / ".git" / "other-index"
    subprocess.run(
        ["git", "add", "."], cwd=repository, env={**os.environ, "GIT_INDEX_FILE": str(other)}
    )
    with pytest.raises(LocalAgentError, match="nothing is staged"):
        staged_files(repository)
    monkeypatch.setenv("GIT_INDEX_FILE", str(other))
    assert [file.path for file in staged_files(repository)] == ["a.py"]


def test_no_repository_no_folder_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="not in a git repository"):
        staged_files(tmp_path)
    with pytest.raises(UsageError, match="there is no folder"):
        staged_files(tmp_path / "nowhere")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="git is not installed"):
        staged_files(tmp_path)
