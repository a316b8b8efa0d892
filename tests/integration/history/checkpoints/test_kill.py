"""`kill -9` of a process that changes the workspace, at random moments.

The process is real: it is forked, applies changes one after another, and is killed. Half of the
moments are chosen in time, the others as a number of executed lines, so that every place in the
code is as likely to be met, however short it lasts.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from localagent.core.changes import Change
from localagent.core.errors import LocalAgentError, UsageError
from localagent.core.paths import sessions_dir
from localagent.history.checkpoints.checkpoint import Checkpoints, recover, recover_workspace
from localagent.history.checkpoints.undo import redo, undo
from localagent.history.sessions.transcript import open_session

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")

Picture = dict[str, tuple[str, int, bytes]]
Pictures = Callable[[Path], Picture]
Batches = Callable[[random.Random], list[Change]]


class Killer:
    """Kills its own process when `left` lines of the journal have run."""

    def __init__(self, left: int) -> None:
        self.left = left

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Any:
        if f"localagent{os.sep}history" not in frame.f_code.co_filename:
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return self


def in_child(work: Callable[[], object], lines: int | None, seconds: float) -> bool:
    """Run `work` in a child that is killed after `lines` lines, or else after `seconds`; whether
    it was killed before its end."""
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(tell, b"x")
            if lines is not None:
                sys.settrace(Killer(lines))
            work()
            os._exit(0)
        except BaseException as error:
            os.write(2, repr(error).encode())
            os._exit(1)
    os.read(ready, 1)
    if lines is None:
        time.sleep(seconds)  # the random moment itself, not a wait for something
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    os.close(ready)
    os.close(tell)
    assert not (os.WIFEXITED(status) and os.WEXITSTATUS(status)), "the child failed"
    return os.WIFSIGNALED(status)


def temps(root: Path) -> list[str]:
    return [path.name for path in root.rglob(".*.localagent-*.tmp")]


def counted(work: Callable[[], object]) -> tuple[int, float]:
    """How many lines of the journal `work` executes, and how many seconds it takes."""
    killer = Killer(0)
    started = time.monotonic()
    sys.settrace(killer)
    try:
        work()
    finally:
        sys.settrace(None)
    return -killer.left, time.monotonic() - started


def apply_all(root: Path, folder: Path, batches: list[list[Change]]) -> None:
    turn = Checkpoints(root, folder, 1)
    for batch in batches:
        try:
            turn.apply(batch)
        except LocalAgentError:
            continue


def fresh(base: Path, picture: Picture, name: str) -> Path:
    """A workspace that looks like `picture`."""
    root = base / name
    root.mkdir()
    for rel, (kind, mode, data) in sorted(picture.items()):
        path = root / rel
        if kind == "dir":
            path.mkdir()
            path.chmod(mode)
        elif kind == "symlink":
            path.symlink_to(os.fsdecode(data))
        else:
            path.write_bytes(data)
            path.chmod(mode)
    return root


def test_killed_while_applying(quick_disk: Path, picture_of: Pictures, make_batch: Batches) -> None:
    rng = random.Random(20261122)
    killed = 0
    for series in range(10):
        start, batches, states, lines, seconds = _recorded(
            quick_disk / f"series{series}", picture_of, make_batch, rng
        )
        for number in range(11):
            root = fresh(quick_disk, start, f"w{series}-{number}")
            with open_session(root) as session:
                folder = session.folder
            by_lines = rng.randint(1, lines) if number % 2 else None
            killed += in_child(
                partial(apply_all, root, folder, batches),
                by_lines,
                rng.uniform(0, seconds / 3),  # tracing makes the measured time longer
            )
            found = picture_of(root)
            for path, value in found.items():
                if not path.endswith(".tmp"):
                    whole = value[0] == "dir" or any(value == s.get(path) for s in states)
                    assert whole, f"{path} is partly written: {value[:2]}"
            recover(folder, root)
            recovered = picture_of(root)
            assert recovered in states, "an apply was neither done nor taken back"
            assert not temps(root)
            assert recover(folder, root).turns == ()
            if recovered != start:
                undo(root)
                assert picture_of(root) == start
                redo(root)
                assert picture_of(root) == recovered
            shutil.rmtree(root)
    assert killed >= 70, f"only {killed} of 110 kills came before the end"


def _recorded(
    base: Path, picture_of: Pictures, make_batch: Batches, rng: random.Random
) -> tuple[Picture, list[list[Change]], list[Picture], int, float]:
    """A start, some batches of changes, the states that lead through them, and what it costs."""
    base.mkdir()
    root = fresh(base, {}, "w")
    with open_session(root) as session:
        folder = session.folder
    apply_all(root, folder, [make_batch(rng) for _ in range(4)])
    start = picture_of(root)
    batches = [make_batch(rng) for _ in range(6)]
    states = [start]
    cost = [0, 0.0]
    with open_session(root) as session:
        folder = session.folder
    for batch in batches:
        lines, seconds = counted(partial(apply_all, root, folder, [batch]))
        cost = [cost[0] + lines, cost[1] + seconds]
        states.append(picture_of(root))
    return start, batches, states, int(cost[0]), cost[1]


def _undo_turn(root: Path, folder: Path) -> None:
    """Undo the session's turn, unless a child did so before it was killed."""
    with contextlib.suppress(UsageError):
        undo(root, f"{folder.name}:1")


def test_killed_while_undoing_and_recovering(
    quick_disk: Path, picture_of: Pictures, make_batch: Batches
) -> None:
    """Undo, killed again and again and run again, arrives."""
    rng = random.Random(7)
    killed = 0
    for number in range(8):
        root = fresh(quick_disk, {}, f"w{number}")
        with open_session(root) as session:
            folder = session.folder
        apply_all(root, folder, [make_batch(rng) for _ in range(3)])
        start = picture_of(root)
        with open_session(root) as session:
            folder = session.folder
        apply_all(root, folder, [make_batch(rng) for _ in range(4)])
        end = picture_of(root)
        if end == start:
            continue
        for lines in (150, 400, 900, 1500, 2200):
            died = in_child(partial(_undo_turn, root, folder), lines + rng.randint(-100, 100), 0)
            killed += died
            if not died:
                break
            in_child(partial(recover_workspace, root, sessions_dir()), rng.randint(1, 600), 0)
        recover_workspace(root, sessions_dir())
        assert picture_of(root) in (start, end)
        if picture_of(root) == end:
            undo(root)
        assert picture_of(root) == start
        assert not temps(root)
    assert killed > 10
