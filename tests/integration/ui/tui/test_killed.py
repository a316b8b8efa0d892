"""A session at a terminal that is ended at any moment, by kill -9 or with its terminal: the next
one finds all that was on the screen, files as they were between two changes, and goes on."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pty_session import PtySession
from tui_replies import SLOW

from localagent.core.events import ChangesUndone, FileChanged, TurnFinished, TurnStarted
from localagent.history.sessions import transcript

MOMENTS = 36
OLD, NEW = "old\n" * 30, "new\n" * 40
MADE = "".join(f"{n}\n" for n in range(1, 501))
LINES = ("write the files", "!seq 500 > made.txt", "/undo", "/redo", "what is it?")
LAST = "that is all"
# The states of the folder, one after each change that the lines make.
FILES = {"a.txt": OLD}
STATES: list[dict[str, str]] = [
    FILES,
    FILES | {"a.txt": NEW},
    FILES | {"a.txt": NEW, "b.txt": NEW},
    FILES | {"a.txt": NEW, "b.txt": NEW, "made.txt": MADE},
    FILES | {"a.txt": NEW, "b.txt": NEW},
    FILES | {"a.txt": NEW, "b.txt": NEW, "made.txt": MADE},
]
SCRIPT = f"""\
--- reply pace = 0.002
```write path=a.txt
{NEW}```
--- reply pace = 0.002
```write path=b.txt
{NEW}```
--- reply pace = 0.01
```done
both files are written
```
--- reply repeat = true, pace = 0.01
```done
{LAST}
```
"""
AGAIN = "--- reply repeat = true\n```done\ngone on with\n```\n"


def content(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def lay_out(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    for name, text in FILES.items():
        (folder / name).write_text(text)


@contextmanager
def session(folder: Path, script: str, *words: str) -> Iterator[PtySession]:
    replies = folder.parent / "replies.txt"
    replies.write_text(script)
    given = ("--scripted", str(replies), "--planner", "react", "--mode", "auto", *words)
    one = PtySession(folder, *given)
    try:
        yield one
    finally:
        one.close()


def enter_lines(one: PtySession, until: float) -> None:
    """Type the lines as soon as the terminal is there, and read until the moment `until`."""
    typed = False
    while time.monotonic() < until:
        one.read(min(0.01, max(until - time.monotonic(), 0)))
        if not typed and b"sends" in one.seen:
            one.type("".join(f"{line}\r" for line in LINES))
            typed = True


def let_it_answer(one: PtySession) -> None:
    """Ask, and read until it is in the middle of a slow answer."""
    one.until("auto mode")
    one.type("what is it?\r")
    one.until("line 3 of")


def undisturbed(folder: Path) -> float:
    """Seconds that the whole session takes."""
    lay_out(folder)
    with session(folder, SCRIPT) as one:
        one.until("sends")
        one.type("".join(f"{line}\r" for line in LINES))
        one.until(LAST)
        took = time.monotonic() - one.began
        one.type("\x04")
        assert one.wait() == 0
    assert content(folder) == STATES[-1]
    return took


def test_its_end_is_on_record_however_often_it_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    with session(folder, SLOW) as one:
        let_it_answer(one)
        one.hang_up()
    (name,) = transcript.session_ids()
    assert isinstance(transcript.read(name).events[-1], TurnFinished)


def test_a_turn_that_was_cut_off_is_shown_as_that(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    with session(folder, SLOW) as one:
        let_it_answer(one)
        one.kill()
    (name,) = transcript.session_ids()
    with session(folder, SLOW, "--resume", name) as one:
        one.until("the session ended in the middle of this turn")


@pytest.mark.slow
@pytest.mark.sandbox
@pytest.mark.skipif(not hasattr(os, "login_tty"), reason="needs a pty")
def test_ended_at_any_moment(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    seconds = undisturbed(folder)
    chance = random.Random(11)
    changes = []
    for number in range(MOMENTS):
        lay_out(folder)
        known = set(transcript.session_ids())
        with session(folder, SCRIPT) as one:
            enter_lines(one, one.began + chance.uniform(0, seconds))
            if number % 2:
                one.kill()
            else:
                one.hang_up()
            assert one.left_behind() == []
        new = sorted(set(transcript.session_ids()) - known)
        assert len(new) <= 1
        if new and (transcript.read(new[0])).entries:
            changes.append(check_record(new[0], folder, one.seen, whole=number % 2 == 0))
            check_resumed(new[0], folder)
        else:
            assert content(folder) == FILES
    assert len(set(changes)) > 3, f"the moments tell too little: {changes}"


def check_record(name: str, folder: Path, seen: bytes, *, whole: bool) -> int:
    """What was shown is on record, and files are as the record says; how many changes that are."""
    past = transcript.read(name)
    assert [entry.seq for entry in past.entries] == list(range(1, len(past.entries) + 1))
    assert past.damaged <= (0 if whole else 1)
    ended = [e for e in past.events if isinstance(e, TurnFinished)]
    begun = [e for e in past.events if isinstance(e, TurnStarted)]
    if whole:
        assert len(ended) == len(begun), "its last turn has no end"
    assert len(begun) - len(ended) <= 1
    shown = seen.decode(errors="replace")
    changed = [e.path for e in past.events if isinstance(e, FileChanged)]
    for path in ("a.txt", "b.txt", "made.txt"):
        if any(f"{word} {path}" in shown for word in ("→ changed", "→ created")):
            assert path in changed
    undone = [e.again for e in past.events if isinstance(e, ChangesUndone)]
    assert len(undone) >= shown.count("undid turn") + shown.count("redid turn")
    assert all(text in (OLD, NEW, MADE) for key, text in content(folder).items() if key[0] != ".")
    return len(changed) + len(undone)


def check_resumed(name: str, folder: Path) -> None:
    """It is gone on with, and nothing of the record is lost; files are as between two changes."""
    before = transcript.read(name).events
    with session(folder, AGAIN, "--resume", name) as one:
        one.until("auto mode")
        done = sum(isinstance(e, FileChanged | ChangesUndone) for e in before)
        assert content(folder) in STATES[done : done + 2]
        one.type("go on\r")
        one.until("gone on with")
        one.type("\x04")
        assert one.wait() == 0
        assert one.left_behind() == []
    after = transcript.read(name).events
    assert after[: len(before)] == before
    assert isinstance(after[-1], TurnFinished)
    assert after[-1].outcome == "answered"
