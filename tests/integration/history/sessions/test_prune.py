"""Pruning: the oldest sessions go, whole; what is new or at work stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.core.changes import deletion, file_change
from localagent.core.errors import UsageError
from localagent.core.paths import sessions_dir
from localagent.history.checkpoints.checkpoint import Checkpoints
from localagent.history.checkpoints.undo import undo
from localagent.history.checkpoints.workspace_lock import WorkspaceLock, acquire
from localagent.history.sessions import transcript
from localagent.history.sessions.catalog import candidates, disk_use, prune
from localagent.history.sessions.transcript import open_session, session_ids


@pytest.fixture
def four(root: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Four sessions, oldest first, that keep a megabyte each."""
    times = iter(f"2026-01-01T00:00:{n:02d}.000Z" for n in range(60))
    monkeypatch.setattr(transcript, "timestamp", lambda: next(times))
    names = []
    for number in range(4):
        with open_session(root) as session:
            names.append(session.session)
        (root / "big").write_bytes(bytes([number]) * (1 << 20))
        Checkpoints(root, session.folder, 1).apply([deletion("big")])
    return names


def test_the_oldest_go_first(root: Path, four: list[str]) -> None:
    assert disk_use(four[0]) > 1 << 20
    assert prune(5 << 20) == []
    gone = prune(int(2.5 * (1 << 20)), keep=1)
    assert [p.session for p in gone] == four[:2]
    assert gone[0].bytes > 1 << 20
    assert session_ids() == sorted(four[2:])
    assert sorted(p.name for p in sessions_dir().iterdir()) == sorted(four[2:])
    undo(root)
    assert (root / "big").read_bytes() == bytes([3]) * (1 << 20)


def test_what_would_go_is_told_first(four: list[str]) -> None:
    would = candidates(int(2.5 * (1 << 20)), keep=1)
    assert [p.session for p in would] == four[:2]
    assert session_ids() == sorted(four)
    assert prune(int(2.5 * (1 << 20)), keep=1) == would


def test_the_newest_stay_in_any_case(four: list[str]) -> None:
    assert [p.session for p in prune(0, keep=3)] == four[:1]
    assert [p.session for p in prune(0, keep=0)] == four[1:]


def test_a_session_at_work_stays(root: Path, four: list[str]) -> None:
    held = acquire(root, four[0])
    assert isinstance(held, WorkspaceLock)
    with held:
        assert [p.session for p in prune(0, keep=0)] == four[1:]


def test_a_prune_that_was_killed_is_completed(four: list[str]) -> None:
    half = sessions_dir() / four[0]
    half.rename(half.with_name(f".pruned-{four[0]}"))
    assert prune(100 << 20) == []
    assert session_ids() == sorted(four[1:])
    assert not list(sessions_dir().glob(".*"))


def test_a_pruned_turn_is_unknown(root: Path, four: list[str]) -> None:
    prune(0, keep=0)
    with pytest.raises(UsageError, match="nothing to undo"):
        undo(root)
    with open_session(root) as session:
        Checkpoints(root, session.folder, 1).apply([file_change("x", b"x")])
    assert undo(root).session == session.session
