"""The lock: one holder, known by name, and free again however the holder ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from localagent.core.errors import WorkspaceError
from localagent.history.checkpoints.workspace_lock import Holder, WorkspaceLock, acquire

HOLD = """
import sys
from pathlib import Path
from localagent.history.checkpoints.workspace_lock import acquire
lock = acquire(Path(sys.argv[1]), "the-other")
print(type(lock).__name__, flush=True)
sys.stdin.read()
"""

# A fork shares the lock until it becomes another program, or ends.
HOLD_WITH_A_CHILD = """
import os, sys, time
from pathlib import Path
from localagent.history.checkpoints.workspace_lock import acquire
lock = acquire(Path(sys.argv[1]), "the-other")
if os.fork() == 0:
    os.close(1)
    time.sleep(0.5)
    os._exit(0)
print("forked", flush=True)
time.sleep(60)
"""

# Each process enters often; two in at a time would see each other's mark.
CONTEND = """
import os, sys
from pathlib import Path
from localagent.history.checkpoints.workspace_lock import WorkspaceLock, acquire
root, mark = Path(sys.argv[1]), Path(sys.argv[2])
entered = 0
while entered < 200:
    lock = acquire(root, str(os.getpid()))
    if not isinstance(lock, WorkspaceLock):
        continue
    with lock:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
        os.unlink(mark)
        entered += 1
print("done")
"""


def test_a_second_session_learns_who_holds_it(root: Path) -> None:
    first = acquire(root, "20261122-1703-k3f9")
    assert isinstance(first, WorkspaceLock)
    with first:
        second = acquire(root, "other")
        assert second == Holder(os.getpid(), "20261122-1703-k3f9")
        assert str(second) == f"session 20261122-1703-k3f9 (process {os.getpid()})"
    third = acquire(root, "other")
    assert isinstance(third, WorkspaceLock)
    third.release()
    third.release()


def test_links_to_a_workspace_share_its_lock(root: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(root)
    first = acquire(root, "a")
    assert isinstance(first, WorkspaceLock)
    with first:
        assert isinstance(acquire(tmp_path / "alias", "b"), Holder)
        other = acquire(tmp_path, "c")
        assert isinstance(other, WorkspaceLock)
        other.release()


def test_kill_9_frees_it(root: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"WorkspaceLock\n"
        assert acquire(root, "me") == Holder(child.pid, "the-other")
        child.send_signal(signal.SIGKILL)
        child.wait()
    mine = acquire(root, "me")
    assert isinstance(mine, WorkspaceLock)
    mine.release()


def test_a_process_that_a_killed_holder_was_starting_is_waited_for(root: Path) -> None:
    command = [sys.executable, "-c", HOLD_WITH_A_CHILD, str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"forked\n"
        child.send_signal(signal.SIGKILL)
        child.wait()
    mine = acquire(root, "me")
    assert isinstance(mine, WorkspaceLock)
    mine.release()


def test_two_processes_are_never_in_at_once(root: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", CONTEND, str(root), str(tmp_path / "mark")]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for child in both:
        assert child.communicate(timeout=60)[0] == "done\n"


def test_a_state_folder_that_cannot_be_used(root: Path, home: Path) -> None:
    (home / ".local").write_bytes(b"a file")
    with pytest.raises(WorkspaceError, match="cannot lock the workspace"):
        acquire(root, "me")
