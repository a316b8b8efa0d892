"""What a command writes is counted by itself, whatever others do to the disk meanwhile."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest


def job(folder: Path, disk: int) -> dict[str, object]:
    return {"memory": 0, "written": [str(folder)], "disk": disk}


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no launcher")


@pytest.mark.parametrize(("limit", "over"), [(1 << 20, True), (64 << 20, False)])
def test_room_that_others_make_hides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, over: bool
) -> None:
    from localagent.sandbox.launcher import supervisor

    free = iter(range(1 << 40, 1 << 41, 1 << 30))  # each time that it is looked at, more
    monkeypatch.setattr(supervisor.LimitWatch, "_free_disk", lambda _: next(free))
    seconds = iter(range(100))
    monkeypatch.setattr(supervisor.time, "monotonic", lambda: next(seconds))
    looking = supervisor.LimitWatch(os.getpid(), job(tmp_path, limit))
    (tmp_path / "filled").write_bytes(os.urandom(4 << 20))
    assert bool(looking.violation()) == over


def test_a_folder_that_takes_long_is_looked_at_seldom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from localagent.sandbox.launcher import supervisor

    now = [0.0]
    looks = []

    def slow(_folder: str) -> int:
        looks.append(now[0])
        now[0] += 1.0
        return 0

    monkeypatch.setattr(supervisor, "_disk_usage", slow)
    monkeypatch.setattr(supervisor.LimitWatch, "_free_disk", lambda _self: 1 << 40)
    monkeypatch.setattr(supervisor.time, "monotonic", lambda: now[0])
    looking = supervisor.LimitWatch(os.getpid(), job(tmp_path, 1 << 20))
    while now[0] < 60.0:
        now[0] += 0.1
        looking.violation()
    assert 2 <= len(looks) <= 3


def test_what_others_write_is_not_looked_for_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from localagent.sandbox.launcher import supervisor

    free = [1 << 40]
    looks = []
    monkeypatch.setattr(supervisor, "_disk_usage", lambda _folder: looks.append(0) or 600_000)
    monkeypatch.setattr(supervisor.LimitWatch, "_free_disk", lambda _self: free[0])
    monkeypatch.setattr(supervisor.time, "monotonic", lambda: 0.0)
    looking = supervisor.LimitWatch(os.getpid(), job(tmp_path, 1_000_000))
    for less, expected in [(900_000, 0), (200_000, 1), (0, 1), (390_000, 1), (20_000, 2)]:
        free[0] -= less
        assert looking.violation() == ""
        assert len(looks) == expected


def test_deleted_files_and_shared_memory_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a command holds although no folder and no process of its own shows it."""
    from localagent.sandbox.launcher import supervisor

    if sys.platform != "linux":
        pytest.skip("counted from /proc")
    watch = supervisor.LimitWatch(os.getpid(), job(tmp_path, 1 << 20))
    with (tmp_path / "deleted").open("wb") as file:
        file.write(os.urandom(4 << 20))
        (tmp_path / "deleted").unlink()
        watch._next_measurement = 0.0
        assert watch.violation() == "the command wrote more than 1 MiB to the disk"
    shared = iter([1 << 30, 2 << 30])
    monkeypatch.setattr(supervisor.procfs, "memory_row", lambda _name: next(shared, 2 << 30))
    monkeypatch.setattr(supervisor.procfs, "private_memory", lambda _pid: 0)
    limits = {**job(tmp_path, 0), "memory": 512 << 20}
    watch = supervisor.LimitWatch(os.getpid(), limits)
    assert "512 MiB of memory" in watch.violation()
