"""The change set: which steps lead from the present state of paths to their goals."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from localagent.core.errors import RefusedError, WorkspaceError
from localagent.history.checkpoints.change_set import (
    FILE_MODE,
    FOLDER_MODE,
    PathChange,
    below,
    build_change_set,
)
from localagent.workspace.safe_files import ABSENT, PathState, SafeDir

FILE = PathState("file", None, "0" * 64, 3)


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[SafeDir]:
    (tmp_path / "src").mkdir(mode=0o750)
    (tmp_path / "src" / "main.py").write_text("a")
    (tmp_path / "src" / "main.py").chmod(0o640)
    with SafeDir(tmp_path) as opened:
        yield opened


def paths(steps: tuple[PathChange, ...]) -> list[tuple[str, str, str]]:
    return [(step.path, step.before.kind, step.after.kind) for step in steps]


def test_missing_parents_are_made_before_the_file(tree: SafeDir) -> None:
    steps = build_change_set(tree, {"a/b/c.py": FILE}, clear=True).steps
    assert paths(steps) == [
        *(("a", "absent", "dir"), ("a/b", "absent", "dir"), ("a/b/c.py", "absent", "file"))
    ]
    assert [step.after.mode for step in steps] == [FOLDER_MODE, FOLDER_MODE, FILE_MODE]


def test_a_path_keeps_its_mode_and_owner_unless_the_goal_has_one(tree: SafeDir) -> None:
    (step,) = build_change_set(tree, {"src/main.py": FILE}, clear=True).steps
    assert (step.after.mode, step.after.uid) == (0o640, os.getuid())
    goal = PathState("file", 0o755, "0" * 64)
    assert build_change_set(tree, {"src/main.py": goal}, clear=True).steps[0].after.mode == 0o755


def test_what_has_its_goal_already_is_no_step(tree: SafeDir) -> None:
    goals = {"src": PathState("dir"), "src/main.py": tree.state("src/main.py"), "none": ABSENT}
    assert build_change_set(tree, goals, clear=True).steps == ()


def test_a_folder_goes_with_its_content_only_if_cleared(tree: SafeDir) -> None:
    cleared = build_change_set(tree, {"src": ABSENT}, clear=True)
    assert paths(cleared.steps) == [("src", "dir", "absent"), ("src/main.py", "file", "absent")]
    spared = build_change_set(tree, {"src": ABSENT}, clear=False)
    assert (spared.steps, spared.kept, spared.blocked) == ((), ("src",), ())
    both = build_change_set(tree, {"src": ABSENT, "src/main.py": ABSENT}, clear=False)
    assert len(both.steps) == 2 and both.kept == ()


def test_a_folder_in_the_place_of_a_file_blocks_it(tree: SafeDir) -> None:
    blocked = build_change_set(tree, {"src": FILE}, clear=False)
    assert (blocked.steps, blocked.blocked) == ((), ("src",))
    cleared = build_change_set(tree, {"src": FILE}, clear=True)
    assert paths(cleared.steps) == [("src", "dir", "file"), ("src/main.py", "file", "absent")]


def test_a_cleared_folder_with_a_goal_in_it_is_emptied(tree: SafeDir) -> None:
    steps = build_change_set(tree, {"src": ABSENT, "src/new.py": FILE}, clear=True).steps
    assert paths(steps) == [("src/main.py", "file", "absent"), ("src/new.py", "absent", "file")]


@pytest.mark.parametrize("goals", [{"src/main.py/x": FILE}, {"a": FILE, "a/b": FILE}])
def test_a_parent_that_is_a_file_is_an_error(tree: SafeDir, goals: dict[str, PathState]) -> None:
    with pytest.raises(WorkspaceError, match="is not a folder"):
        build_change_set(tree, goals, clear=True)


@pytest.mark.parametrize("path", [".git/config", "sub/.GIT/hooks/x", ".git"])
def test_git_is_the_users_alone(tree: SafeDir, path: str) -> None:
    with pytest.raises(RefusedError, match="git's own files"):
        build_change_set(tree, {path: FILE}, clear=True)


def test_a_socket_is_refused(tree: SafeDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree.root)
    with socket.socket(socket.AF_UNIX) as endpoint:
        endpoint.bind("s")
        with pytest.raises(RefusedError, match="a device, a socket or a named pipe"):
            build_change_set(tree, {"s": FILE}, clear=True)


def test_below_lists_parents_first(tree: SafeDir) -> None:
    (tree.root / "src" / "deep").mkdir()
    (tree.root / "src" / "deep" / "x").touch()
    assert list(below(tree, "src")) == ["src/deep", "src/deep/x", "src/main.py"]
    assert list(below(tree, "src/main.py")) == []


def test_a_change_survives_its_json_form(tree: SafeDir) -> None:
    (step,) = build_change_set(tree, {"src/main.py": ABSENT}, clear=True).steps
    assert PathChange.from_dict(step.to_dict()) == step
