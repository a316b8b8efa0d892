"""Undo and redo: everything comes back exactly, and nothing of someone else's is lost."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localagent.core.changes import Change, deletion, file_change
from localagent.core.errors import LocalAgentError, UsageError, WorkspaceError
from localagent.history.checkpoints.checkpoint import Checkpoints
from localagent.history.checkpoints.undo import redo, undo
from localagent.history.checkpoints.workspace_lock import WorkspaceLock, acquire
from localagent.history.sessions.transcript import open_session

Pictures = Callable[[Path], dict[str, tuple[str, int, bytes]]]
Batches = Callable[[random.Random], list[Change]]


def test_a_turn_of_several_changes_is_undone_and_redone(
    root: Path, session_dir: Path, picture_of: Pictures
) -> None:
    before = picture_of(root)
    turn = Checkpoints(root, session_dir, 1)
    turn.apply([file_change("src/main.py", b"one"), file_change("new/x/y", b"new", 0o700)])
    turn.apply([deletion("src"), Change("link", "symlink", b"elsewhere"), deletion("empty")])
    turn.apply([Change("run.sh", "file", b"#!", 0o600), file_change("src/main.py", b"two")])
    after = picture_of(root)
    undone = undo(root)
    assert picture_of(root) == before
    assert (undone.session, undone.turn, undone.kept) == (session_dir.name, 1, ())
    assert [e.path for e in undone.changed] == ["link", "new/x/y", "run.sh", "src/main.py"]
    redo(root)
    assert picture_of(root) == after
    undo(root)
    assert picture_of(root) == before


def test_the_order_is_that_of_the_changes_also_when_the_clock_is_set_back(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, hour in enumerate((3, 2, 1)):
        monkeypatch.setattr(time, "time_ns", lambda hour=hour: hour * 3600 * 10**9)
        with open_session(root) as session:
            Checkpoints(root, session.folder, 1).apply([file_change(f"n{number}", b"1")])
    for number in (2, 1, 0):
        assert [event.path for event in undo(root).changed] == [f"n{number}"]


def test_turns_are_undone_newest_first_across_sessions(root: Path) -> None:
    folders = []
    for _ in range(2):
        with open_session(root) as session:
            folders.append(session.folder)
    first, second = folders
    states = [b"print('hello')\n"]
    for number, (folder, turn) in enumerate([(second, 1), (first, 1), (second, 2), (first, 2)]):
        states.append(b"state %d" % number)
        Checkpoints(root, folder, turn).apply([file_change("src/main.py", states[-1])])
    for state in reversed(states[:-1]):
        undo(root)
        assert (root / "src/main.py").read_bytes() == state
    with pytest.raises(UsageError, match="nothing to undo"):
        undo(root)
    for state in states[1:]:
        redo(root)
        assert (root / "src/main.py").read_bytes() == state
    with pytest.raises(UsageError, match="nothing to redo"):
        redo(root)


def test_other_workspaces_are_left_alone(root: Path, session_dir: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    Checkpoints(root, session_dir, 1).apply([file_change("x", b"x")])
    with pytest.raises(UsageError, match="nothing to undo"):
        undo(other)
    assert (root / "x").exists()


def test_a_named_turn(root: Path, session_dir: Path) -> None:
    for number in (1, 2):
        turn = Checkpoints(root, session_dir, number)
        turn.apply([file_change(f"file{number}", b"x")])
    name = session_dir.name
    with pytest.raises(UsageError, match="no turn 7") as raised:
        undo(root, "7")
    assert f"{name}:2" in raised.value.hint
    assert undo(root, f"{name[-4:]}:1").turn == 1
    assert not (root / "file1").exists()
    with pytest.raises(UsageError, match="nothing to undo in turn 1"):
        undo(root, "1")
    assert redo(root, f"{name}:1").turn == 1
    assert undo(root, name).turn == 1  # brought back last, so it is the session's last change
    assert undo(root, "2").turn == 2
    assert not (root / "file2").exists()


def test_what_was_changed_by_hand_is_not_overwritten(
    root: Path, session_dir: Path, picture_of: Pictures
) -> None:
    Checkpoints(root, session_dir, 1).apply(
        [file_change("src/main.py", b"agent"), file_change("run.sh", b"agent"), deletion("link")]
    )
    (root / "src/main.py").write_bytes(b"mine")
    (root / "link").write_bytes(b"mine, too")
    by_hand = picture_of(root)
    with pytest.raises(WorkspaceError, match=r"link, src/main\.py; nothing was undone"):
        undo(root)
    assert picture_of(root) == by_hand
    undo(root, force=True)
    assert (root / "src/main.py").read_bytes() == b"print('hello')\n"
    assert os.readlink(root / "link") == "src/main.py"
    redo(root)
    assert picture_of(root) == by_hand


def test_a_changed_mode_counts_as_changed(root: Path, session_dir: Path) -> None:
    Checkpoints(root, session_dir, 1).apply([file_change("run.sh", b"agent")])
    (root / "run.sh").chmod(0o700)
    with pytest.raises(WorkspaceError, match=r"run\.sh"):
        undo(root)


def test_what_was_put_back_by_hand_is_no_conflict(root: Path, session_dir: Path) -> None:
    Checkpoints(root, session_dir, 1).apply(
        [file_change("run.sh", b"agent"), file_change("new", b"agent")]
    )
    (root / "new").unlink()
    undo(root)
    assert (root / "run.sh").read_bytes() == b"#!/bin/sh\r\necho hi\r\n"


def test_folders_that_hold_something_else_stay(root: Path, session_dir: Path) -> None:
    Checkpoints(root, session_dir, 1).apply([file_change("made/by/agent", b"x")])
    (root / "made/mine").write_bytes(b"mine")
    assert undo(root).kept == ("made",)
    assert sorted(p.name for p in (root / "made").iterdir()) == ["mine"]


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_that_replaced_a_file_and_holds_something_else(
    root: Path, session_dir: Path, force: bool, picture_of: Pictures
) -> None:
    changes = [deletion("run.sh"), file_change("run.sh/inner", b"x")]
    Checkpoints(root, session_dir, 1).apply(changes)
    (root / "run.sh/mine").write_bytes(b"mine")
    before = picture_of(root)
    if not force:
        with pytest.raises(WorkspaceError, match=r"run\.sh"):
            undo(root)
        assert picture_of(root) == before
        return
    undo(root, force=True)
    assert (root / "run.sh").is_file()
    redo(root)
    assert picture_of(root) == before


def test_undo_does_not_follow_a_folder_that_became_a_link(
    root: Path, session_dir: Path, tmp_path: Path, picture_of: Pictures
) -> None:
    Checkpoints(root, session_dir, 1).apply([file_change("src/main.py", b"agent")])
    outside = tmp_path / "outside"
    shutil.copytree(root / "src", outside)
    shutil.rmtree(root / "src")
    (root / "src").symlink_to(outside)
    before = picture_of(outside)
    for force in (False, True):
        with pytest.raises(WorkspaceError):
            undo(root, force=force)
    assert picture_of(outside) == before


def test_undo_takes_the_lock(root: Path, session_dir: Path) -> None:
    Checkpoints(root, session_dir, 1).apply([file_change("x", b"x")])
    held = acquire(root, "some-session")
    assert isinstance(held, WorkspaceLock)
    with held:
        with pytest.raises(WorkspaceError, match="some-session"):
            undo(root)
        assert undo(root, lock=held).turn == 1
    redo(root)
    again = acquire(root, "x")
    assert isinstance(again, WorkspaceLock)
    again.release()


def test_undo_works_with_a_torn_transcript_and_torn_records(
    root: Path, session_dir: Path, picture_of: Pictures
) -> None:
    before = picture_of(root)
    Checkpoints(root, session_dir, 1).apply([file_change("x", b"x")])
    (session_dir / "transcript.jsonl").write_bytes(b'{"seq": 1, "ty')
    with (session_dir / "checkpoints/turn-0001.jsonl").open("ab") as file:
        file.write(b'{"op": "intent", "id": "abc", "steps": [{"pa')
    undo(root)
    assert picture_of(root) == before
    redo(root)
    assert (root / "x").exists()


def test_gits_own_files_stay_as_they_are(
    root: Path, session_dir: Path, picture_of: Pictures
) -> None:
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"]):
        subprocess.run(["git", "-C", str(root), *command], check=True)
    (root / "run.sh").write_bytes(b"staged")
    subprocess.run(["git", "-C", str(root), "add", "run.sh"], check=True)
    (root / "run.sh").write_bytes(b"dirty")
    git = picture_of(root / ".git")
    Checkpoints(root, session_dir, 1).apply([file_change("run.sh", b"agent"), deletion("src")])
    assert picture_of(root / ".git") == git
    undo(root)
    assert picture_of(root / ".git") == git
    assert (root / "run.sh").read_bytes() == b"dirty"


def test_kept_contents_that_are_gone(root: Path, session_dir: Path, picture_of: Pictures) -> None:
    Checkpoints(root, session_dir, 1).apply([file_change("run.sh", b"1"), file_change("a", b"2")])
    shutil.rmtree(session_dir / "blobs")
    before = picture_of(root)
    with pytest.raises(WorkspaceError, match="is missing from"):
        undo(root)
    assert picture_of(root) == before


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**32), turns=st.integers(1, 4), sizes=st.integers(1, 3))
def test_random_changes_are_undone_exactly(
    quick_disk: Path, picture_of: Pictures, make_batch: Batches, seed: int, turns: int, sizes: int
) -> None:
    """Any tree, any changes in any turns: each undo leads back exactly, each redo forth; a batch
    that is refused changes nothing."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(dir=quick_disk) as folder:
        root = Path(folder, "w")
        root.mkdir()
        with open_session(root) as session:
            pass
        pictures = [picture_of(root)]
        for number in range(1, turns + 1):
            turn = Checkpoints(root, session.folder, number)
            for _ in range(sizes):
                before = picture_of(root)
                try:
                    turn.apply(make_batch(rng))
                except LocalAgentError:
                    assert picture_of(root) == before
            pictures.append(picture_of(root))
        states = [p for i, p in enumerate(pictures) if i == 0 or p != pictures[i - 1]]
        for state in reversed(states[:-1]):
            undo(root)
            assert picture_of(root) == state
        for state in states[1:]:
            redo(root)
            assert picture_of(root) == state
