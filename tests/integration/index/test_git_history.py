"""Past commits lead to files whose own words do not tell; what is kept of them, and when."""

from __future__ import annotations

import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest
from index_rows import rows

from localagent.index import git_history
from localagent.index.build import bring_up_to_date
from localagent.index.disk import DiskIndex
from localagent.workspace.workspace import Workspace


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository of which one file was once changed "for leap years"."""
    root = tmp_path / "work"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    commit(root, "a start", {"src/dates.py": "X = 1\n", "src/other.py": "Y = 1\n"})
    commit(root, "Count leap years right\n\nSigned-off-by: Ada <a@zurich>", {"src/dates.py": "X\n"})
    return root


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "index.sqlite"


def git(root: Path, *words: str) -> str:
    settings = ("-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(root), *settings, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def commit(root: Path, message: str, files: dict[str, str]) -> str:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "add", "-Af")
    git(root, "commit", "-qm", message)
    return git(root, "rev-parse", "HEAD").strip()


def found(root: Path, file: Path, query: str) -> list[str]:
    with DiskIndex(Workspace.open(root), file) as index:
        return [hit.path for hit in index.search(query)]


MATHEMATICS = {"sqrt", "log", "ln", "exp", "pow", "power", "ceil", "floor", "mod"}


def test_a_sqlite_without_mathematics_is_enough(
    root: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RHEL 8 and 9 have SQLite 3.26 and 3.34; mathematical functions came with 3.35."""
    connect = sqlite3.connect

    def without_mathematics(*words: Any, **settings: Any) -> sqlite3.Connection:
        def allow(action: int, _: str | None, name: str | None, *__: str | None) -> int:
            is_new = action == sqlite3.SQLITE_FUNCTION and name in MATHEMATICS
            return sqlite3.SQLITE_DENY if is_new else sqlite3.SQLITE_OK

        database: sqlite3.Connection = connect(*words, **settings)
        database.set_authorizer(allow)
        return database

    monkeypatch.setattr(sqlite3, "connect", without_mathematics)
    assert found(root, file, "leap years are miscounted") == ["src/dates.py"]


def test_a_file_is_found_by_what_was_said_of_its_change(root: Path, file: Path) -> None:
    with DiskIndex(Workspace.open(root), file) as index:
        (hit,) = index.search("leap years are miscounted")
    head = git(root, "rev-parse", "HEAD")
    assert hit.path == "src/dates.py"
    assert hit.reasons == (f"commit {head[:10]} matches your words",)


def test_what_says_nothing_of_a_file_is_left_out(root: Path, file: Path) -> None:
    commit(root, "sweeping", {f"src/wide{n}.py": "Z\n" for n in range(git_history.WIDE + 1)})
    commit(root, "chronicle", {"README.md": "x\n", "tests/test_x.py": "x\n", ".env": "A=1\n"})
    for query in ("sweeping", "chronicle", "zurich"):
        assert found(root, file, query) == []
    assert b".env" not in file.read_bytes()


def test_a_file_that_is_gone_or_hidden_is_not_shown(root: Path, file: Path) -> None:
    assert found(root, file, "leap years") == ["src/dates.py"]
    (root / ".localagentignore").write_text("dates.py\n")
    assert found(root, file, "leap years") == []
    (root / ".localagentignore").unlink()
    (root / "src/dates.py").unlink()
    assert found(root, file, "leap years") == []


def test_it_follows_the_history_that_is_checked_out(root: Path, file: Path, tmp_path: Path) -> None:
    workspace = Workspace.open(root)
    first = git(root, "rev-parse", "HEAD")
    commit(root, "Wombat numbers", {"src/other.py": "Y = 2\n"})
    assert found(root, file, "wombat") == ["src/other.py"]
    git(root, "commit", "-q", "--amend", "-m", "Platypus numbers")
    assert found(root, file, "wombat") == []
    assert found(root, file, "platypus") == ["src/other.py"]
    git(root, "checkout", "-q", "-b", "side", first.strip())
    assert found(root, file, "platypus") == []
    fresh = tmp_path / "fresh.sqlite"
    bring_up_to_date(fresh, workspace)[0].close()
    assert rows(file, workspace.root) == rows(fresh, workspace.root)
    assert len(rows(file, workspace.root)["commits"]) == 3


def test_only_the_newest_are_kept(root: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_history, "MOST", 1)
    assert found(root, file, "leap years") == ["src/dates.py"]
    commit(root, "wombat", {"src/other.py": "Y = 2\n"})
    assert (found(root, file, "wombat"), found(root, file, "leap")) == (["src/other.py"], [])


@pytest.mark.parametrize("asked", ["head", "_history", "_commits"])
def test_where_git_does_not_tell_what_was_known_stays(
    root: Path, file: Path, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    found(root, file, "leap")
    commit(root, "wombat", {"src/other.py": "Y = 2\n"})
    with monkeypatch.context() as patch:
        patched = getattr(git_history, asked)

        def hangs(*arguments: object) -> object:
            with monkeypatch.context() as inner:
                inner.setattr(git_history, "ask_git", lambda *_, **__: None)
                return patched(*arguments)

        patch.setattr(git_history, asked, hangs)
        assert (found(root, file, "leap"), found(root, file, "wombat")) == (["src/dates.py"], [])
    assert found(root, file, "wombat") == ["src/other.py"]


def test_odd_names_and_a_workspace_that_is_a_folder_of_the_repository(
    root: Path, file: Path
) -> None:
    commit(root, "wombat \x01\x02 quokka", {"src/a 'b'\n\"c\".py": "x\n", "src/é.py": "x\n"})
    assert found(root / "src", file, "wombat") == ["a 'b'\n\"c\".py", "é.py"]


def test_without_git_and_before_a_first_commit(tmp_path: Path, file: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain/x.py").write_text("wombat = 1\n")
    assert found(tmp_path / "plain", file, "wombat") == ["x.py"]
    git(tmp_path / "plain", "init", "-q")
    assert found(tmp_path / "plain", file, "wombat") == ["x.py"]
    commit(tmp_path / "plain", "quokka", {})
    assert found(tmp_path / "plain", file, "quokka") == ["x.py"]
