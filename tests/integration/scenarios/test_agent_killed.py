"""kill -9 of the agent at any moment of a session that writes files: nothing is half done."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from localagent.core.errors import UsageError
from localagent.core.events import FileChanged, SessionStarted
from localagent.history.sessions import transcript
from localagent.models.scripted import ScriptedModel
from localagent.project.project import Project
from localagent.session.factory import open_session
from localagent.session.recorders import WorkspaceUndo
from tests.doubles.opening import opening

KILLS = 50
FILES = 6
OLD = "".join(f"old line {n}\n" for n in range(60))
NEW = "".join(f"new line {n}\n" for n in range(120))
WRITES = [f"```write path=file{n}.txt\n{NEW}```" for n in range(FILES)]
SCRIPT = [*WRITES, "```done\nall written\n```"]
TASK = "write the files"


def lay_out(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    for number in range(FILES // 2):  # half of the files are new
        (folder / f"file{number}.txt").write_text(OLD)


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def run_in_child(folder: Path, resume: str | None = None) -> int:
    """Start the session in a child process; returns its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            given = opening(folder, planner="react", yes=True, resume=resume, sandbox="none")
            with open_session(*given, ScriptedModel(SCRIPT)) as session:
                for _ in session.run(TASK):
                    pass
        finally:
            os._exit(0)
    return pid


def whole_run(folder: Path) -> float:
    """Seconds that an undisturbed session takes."""
    lay_out(folder)
    started = time.monotonic()
    os.waitpid(run_in_child(folder), 0)
    assert content(folder) == {f"file{n}.txt": NEW for n in range(FILES)}
    return time.monotonic() - started


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_random_moments(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    seconds = whole_run(folder)
    chance = random.Random(7)
    cut_short = 0
    for _ in range(KILLS):
        lay_out(folder)
        before = content(folder)
        known = set(transcript.session_ids())
        pid = run_in_child(folder)
        time.sleep(chance.uniform(0, seconds))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        left = {k: v for k, v in content(folder).items() if not k.startswith(".")}
        assert all(text in (before.get(name), NEW) for name, text in left.items())
        new = set(transcript.session_ids()) - known
        cut_short += any(text != NEW for text in left.values()) or len(left) < FILES
        resumed = new and chance.random() < 0.3
        if resumed:
            check_resume(folder, new.pop())
        else:
            check_undo(folder, before)
    assert cut_short > KILLS // 4  # else the moments tell nothing


def check_undo(folder: Path, before: dict[str, str]) -> None:
    """Undo takes back all that the killed turn did, also its temporary files."""
    done: object = None
    try:
        done = WorkspaceUndo(Project.open(folder)).undo()
    except UsageError as error:
        done = error  # it was killed before it changed anything
    assert content(folder) == before, done


def check_resume(folder: Path, session: str) -> None:
    """A resumed session reads its torn transcript, and finishes the work."""
    given = opening(folder, planner="react", yes=True, resume=session, sandbox="none")
    with open_session(*given, ScriptedModel(SCRIPT)) as again:
        events = list(again.run(again.unfinished or TASK))
    assert isinstance(events[0], SessionStarted)
    assert events[0].resumed
    assert content(folder) == {f"file{n}.txt": NEW for n in range(FILES)}
    assert all(e.after_sha256 for e in events if isinstance(e, FileChanged))
