"""The files of the next commit, and the command that makes it; with the real git."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from localagent.core.errors import LocalAgentError, UsageError
from localagent.workspace.git.commit import StagedFile, command, head, select


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit, of the files a.py and gone.py."""
    git(tmp_path, "init", "-q")
    for name in ("a.py", "gone.py"):
        (tmp_path / name).write_text("one\ntwo\n")
    (tmp_path / ".gitignore").write_text("*.log\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_without_staged_files_the_changed_ones_are_selected(repository: Path) -> None:
    (repository / "a.py").write_text("one\n2\n")
    (repository / "gone.py").unlink()
    (repository / "new.bin").write_bytes(b"\0\1")
    (repository / "x.log").touch()
    (repository / "same.py").touch()
    git(repository, "add", "same.py")
    git(repository, "commit", "-qm", "second")
    changed = ["new.bin", "a.py", "gone.py", "x.log", "same.py", "a.py"]
    selection = select(repository, changed)
    assert selection.files == (
        StagedFile("a.py", "M", "", 1, 1),
        StagedFile("gone.py", "D", "", 0, 2),
        StagedFile("new.bin", "A"),
    )
    assert selection.add == ("a.py", "gone.py", "new.bin")
    first = selection.files[0]
    assert selection.diff_of(repository, first) == "@@ -1,2 +1,2 @@\n one\n-two\n+2"
    assert selection.versions_of(repository, first) == [
        *(("a.py", sha256("one\ntwo\n")), ("a.py", sha256("one\n2\n")))
    ]


def test_a_folder_that_became_a_link_is_committed_as_a_link(repository: Path) -> None:
    (outside := repository.parent / "outside").mkdir(exist_ok=True)
    (outside / "x.py").write_text("secret\n")
    (repository / "d").mkdir()
    (repository / "d/x.py").write_text("one\n")
    git(repository, "add", "d")
    git(repository, "commit", "-qm", "second")
    (repository / "d/x.py").unlink()
    (repository / "d").rmdir()
    (repository / "d").symlink_to(outside)
    selection = select(repository, ["d", "d/x.py"])
    assert [str(file) for file in selection.files] == [
        *("d: added, +1 -0", "d/x.py: deleted, +0 -1")
    ]
    assert "secret" not in str(selection.diffs)
    line = command("link", selection.add, hooks=True)
    subprocess.run(["sh", "-c", line], cwd=repository, check=True)
    listing = ["git", "ls-tree", "-r", "--name-only", "HEAD"]
    done = subprocess.run(listing, cwd=repository, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [".gitignore", "a.py", "d", "gone.py"]


def test_staged_files_come_first(repository: Path) -> None:
    (repository / "a.py").write_text("one\n2\n")
    git(repository, "add", "a.py")
    (repository / "gone.py").write_text("changed\n")
    selection = select(repository, ["gone.py"])
    assert ([f.path for f in selection.files], selection.add) == (["a.py"], ())
    assert selection.diff_of(repository, selection.files[0]).endswith("-two\n+2")
    assert selection.versions_of(repository, selection.files[0])[1] == ("a.py", sha256("one\n2\n"))


def test_the_command_commits_exactly_the_selection(repository: Path) -> None:
    (repository / "it's.py").write_text("x\n")
    (repository / "a.py").write_text("other\n")
    hook = repository / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    before = head(repository)
    for hooks, code in ((True, 1), (False, 0)):
        line = command("it's\n\na body", ["it's.py"], hooks=hooks)
        assert subprocess.run(["sh", "-c", line], cwd=repository, check=False).returncode == code
    assert head(repository) != before
    shown = ["git", "show", "--format=%B", "--name-only"]
    done = subprocess.run(shown, cwd=repository, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["it's", "a", "body", "it's.py"]


def test_nothing_to_commit(repository: Path) -> None:
    with pytest.raises(LocalAgentError, match="nothing to commit"):
        select(repository, ["a.py"])


@pytest.mark.parametrize(
    ("name", "what"), [("MERGE_HEAD", "a merge"), ("rebase-apply", "a rebase")]
)
def test_unfinished_work_comes_first(repository: Path, name: str, what: str) -> None:
    (repository / ".git" / name).write_text("")
    with pytest.raises(UsageError, match=f"{what} is not finished"):
        select(repository, ["a.py"])


def test_a_repository_that_is_kept_elsewhere(repository: Path, tmp_path: Path) -> None:
    tree = tmp_path.parent / f"{tmp_path.name}-tree"
    git(repository, "worktree", "add", "-q", str(tree))
    with pytest.raises(UsageError, match="is stored in another folder"):
        select(tree, ["a.py"])
    with pytest.raises(UsageError, match="not in a git repository"):
        select(Path("/"), ["a.py"])
