"""Applying steps, and taking them back from any state that a kill can leave."""

from __future__ import annotations

import errno
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from localagent.core.errors import LocalAgentError, OutsideWorkspace, WorkspaceError
from localagent.history.checkpoints.change_set import PathChange, build_change_set
from localagent.history.checkpoints.transaction import (
    apply_changes,
    discard,
    explain,
    reading,
    revert,
    temp_name,
)
from localagent.workspace.safe_files import ABSENT, PathState, SafeDir

OLD, NEW = b"old", b"new"


def goal(data: bytes) -> PathState:
    return PathState("file", None, hashlib.sha256(data).hexdigest(), len(data))


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[SafeDir]:
    (tmp_path / "a").write_bytes(OLD)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "b").write_bytes(OLD)
    with SafeDir(tmp_path) as opened:
        yield opened


@pytest.fixture
def steps(tree: SafeDir) -> tuple[PathChange, ...]:
    """A file that changes, a folder that a file replaces, and a file in a new folder."""
    goals = {"a": goal(NEW), "folder": goal(NEW), "made/c": goal(NEW)}
    return build_change_set(tree, goals, clear=True).steps


def content(step: PathChange) -> io.BytesIO:
    return io.BytesIO(NEW if step.after.sha256 == goal(NEW).sha256 else OLD)


def test_apply_and_revert(tree: SafeDir, steps: tuple[PathChange, ...]) -> None:
    apply_changes(tree, steps, "id", content)
    assert [tree.state(step.path) for step in steps] == [step.after for step in steps]
    assert revert(tree, steps, "id", content) == []
    assert [tree.state(step.path) for step in steps] == [step.before for step in steps]


def test_temporary_files_go_with_a_revert(tree: SafeDir, steps: tuple[PathChange, ...]) -> None:
    (tree.root / temp_name("a", "id")).write_bytes(NEW[:1])
    (tree.root / temp_name("folder", "id")).write_bytes(NEW)
    assert discard(tree, steps, "id") == 2
    assert revert(tree, steps, "id", content) == []
    assert sorted(path.name for path in tree.root.iterdir()) == ["a", "folder"]


def test_another_programs_write_is_neither_overwritten_nor_reverted(
    tree: SafeDir, steps: tuple[PathChange, ...]
) -> None:
    (tree.root / "a").write_bytes(b"theirs")
    with pytest.raises(WorkspaceError, match="another program changed a"):
        apply_changes(tree, steps, "id", content)
    assert revert(tree, steps, "id", content) == ["a"]
    assert (tree.root / "a").read_bytes() == b"theirs"
    assert tree.state("folder/b").sha256 == goal(OLD).sha256


def test_an_absent_path_between_a_folder_and_a_file_is_ours(
    tree: SafeDir, steps: tuple[PathChange, ...]
) -> None:
    (tree.root / "folder" / "b").unlink()
    (tree.root / "folder").rmdir()
    assert revert(tree, steps, "id", content) == []
    assert tree.state("folder/b").sha256 == goal(OLD).sha256


def test_a_folder_that_became_a_link_is_an_error(tree: SafeDir, tmp_path: Path) -> None:
    steps = build_change_set(tree, {"folder/b": goal(NEW)}, clear=True).steps
    (tmp_path / "folder").rename(tmp_path / "real")
    (tmp_path / "folder").symlink_to("real")
    with pytest.raises(LocalAgentError):
        apply_changes(tree, steps, "id", content)
    assert (tmp_path / "real" / "b").read_bytes() == OLD


def test_content_is_new_by_path_or_stored_by_hash() -> None:
    step = PathChange("a", ABSENT, goal(NEW))
    assert reading({"a": b"x"}, lambda _: io.BytesIO(b"y"))(step).read() == b"x"
    assert reading({}, lambda sha256: io.BytesIO(sha256.encode()))(step).read().decode() == (
        step.after.sha256
    )


def test_names_of_temporary_files() -> None:
    assert temp_name("src/main.py", "id") == ".main.py.localagent-id.tmp"
    long = temp_name("a" * 250, "id")
    assert len(long) < 60 and long != temp_name("a" * 249 + "b", "id")


@pytest.mark.parametrize(
    ("number", "kind", "text"),
    [
        (errno.ENOSPC, WorkspaceError, "no space left to write a"),
        (errno.EACCES, WorkspaceError, "cannot write a: "),
        (errno.ELOOP, OutsideWorkspace, "was replaced by something else"),
        (errno.EIO, WorkspaceError, "cannot write a: "),
    ],
)
def test_errors_are_explained(number: int, kind: type[LocalAgentError], text: str) -> None:
    error = explain(OSError(number, "reason"), "a")
    assert type(error) is kind and text in error.message
