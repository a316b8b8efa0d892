"""Forks, titles, searching and deleting: what goes on from where, and what can still be undone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from localagent.core.changes import file_change
from localagent.core.errors import UsageError, WorkspaceError
from localagent.core.events import MessageAdded, SessionStarted, TurnFinished, TurnStarted
from localagent.core.paths import sessions_dir
from localagent.history.checkpoints.checkpoint import Checkpoints
from localagent.history.checkpoints.undo import undo
from localagent.history.sessions.catalog import delete, find, fork, forks_of, lineage, prune, rename
from localagent.history.sessions.transcript import (
    TranscriptWriter,
    is_in_use,
    list_sessions,
    open_session,
    read,
    session_ids,
)


def started(session: str, root: Path) -> SessionStarted:
    return SessionStarted(session, str(root), "m", "", "react", "none", "0", False)


def one_turn(writer: TranscriptWriter, root: Path, turn: int) -> None:
    """A turn that writes its number into the file "state"."""
    writer.append(TurnStarted(turn, f"task {turn}"))
    writer.append(MessageAdded("user", f"task {turn}"))
    Checkpoints(root, writer.folder, turn).apply([file_change("state", b"%d" % turn)])
    writer.append(MessageAdded("assistant", f"Answer No. {turn}\nwith a second line"))
    writer.append(
        TurnFinished(turn, "answered", 0, "", "", "", ["state"], 1.0, 0, 0, 0),
    )


@pytest.fixture
def three(root: Path) -> str:
    """A session of three turns, the third after it was resumed."""
    (root / "state").write_bytes(b"0")
    with open_session(root) as writer:
        writer.append(started(writer.session, root))
        for turn in (1, 2):
            one_turn(writer, root, turn)
    with open_session(root, writer.session) as writer:
        writer.append(started(writer.session, root))
        one_turn(writer, root, 3)
    return writer.session


def test_a_fork_has_the_turns_up_to_one_and_goes_on_with_the_next(root: Path, three: str) -> None:
    before = (sessions_dir() / three / "transcript.jsonl").read_bytes()
    name = fork(three, 2)
    copy = read(name)
    assert copy.last_turn == 2
    assert copy.workspace == str(root)
    assert [m.content for m in copy.messages()][::2] == ["task 1", "task 2"]
    assert isinstance(copy.events[-1], TurnFinished)
    assert [entry.seq for entry in copy.entries] == list(range(1, len(copy.entries) + 1))
    with open_session(root, name) as writer:
        one_turn(writer, root, 3)
    assert [entry.seq for entry in read(name).entries][-1] == len(read(name).entries)
    assert (sessions_dir() / three / "transcript.jsonl").read_bytes() == before


@pytest.mark.parametrize("turn", [-1, 4])
def test_a_turn_that_is_not_there_is_said(three: str, turn: int) -> None:
    with pytest.raises(UsageError, match="has no turn") as caught:
        fork(three, turn)
    assert "1 to 3" in caught.value.hint
    assert session_ids() == [three]


def test_a_fork_at_turn_zero_is_empty(three: str) -> None:
    assert read(fork(three, 0)).entries == ()


def test_what_a_forks_first_turns_changed_is_undone_where_it_was_made(
    root: Path, three: str
) -> None:
    name = fork(three, 2)
    undo(root, f"{three}:3")
    assert (root / "state").read_bytes() == b"2"
    with open_session(root, name) as writer:
        one_turn(writer, root, 3)
    assert undo(root, name).session == name
    done = undo(root, f"{name}:2")
    assert (done.session, done.turn) == (three, 2)
    assert undo(root, name).turn == 1
    assert (root / "state").read_bytes() == b"0"


def test_a_later_turn_of_the_parent_is_not_the_forks(root: Path, three: str) -> None:
    name = fork(three, 2)
    with pytest.raises(UsageError, match=f"no turn {name}:3"):
        undo(root, f"{name}:3")


def test_a_fork_of_a_fork_knows_its_whole_line(root: Path, three: str) -> None:
    middle = fork(three, 2)
    last = fork(middle, 1)
    assert [(p.session, p.turn) for p in lineage(last)][1:] == [(middle, 1), (three, 1)]
    undo(root, f"{three}:3")
    undo(root, f"{three}:2")
    assert undo(root, last).session == three
    assert forks_of(three) == [middle]


def test_what_cannot_be_undone_any_more_is_said_plainly(root: Path, three: str) -> None:
    name = fork(three)
    delete(three)
    assert session_ids() == [name]
    with pytest.raises(UsageError, match="can no longer be undone") as caught:
        undo(root, f"{name}:1")
    assert three in caught.value.hint


def test_a_session_in_use_by_another_process_stays(root: Path, three: str) -> None:
    code = (
        "import sys, pathlib\nfrom localagent.history.sessions.transcript import open_session\n"
        f"with open_session(pathlib.Path({str(root)!r}), {three!r}):\n"
        "    print('open', flush=True)\n    sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    assert other.stdout.readline() == b"open\n"
    try:
        assert is_in_use(three)
        with pytest.raises(WorkspaceError, match="in use"):
            delete(three)
        with pytest.raises(WorkspaceError, match="in use") as caught:
            open_session(root, three)
        assert "sessions fork" in caught.value.hint
        with pytest.raises(WorkspaceError, match="in use"):
            rename(three, "x")
        assert prune(0, keep=0) == []
        name = fork(three)
        assert read(name).last_turn == 3
    finally:
        other.kill()
        other.communicate()
    assert not is_in_use(three)
    assert delete(three).bytes > 0


def test_a_name_is_kept_and_taken_over(three: str) -> None:
    assert rename(three[-4:], "  the  name ü ") == three
    assert [s.title for s in list_sessions()] == ["the name ü"]
    copy = read(fork(three, 1))
    assert (copy.title, copy.last_turn) == ("the name ü", 1)
    assert [entry.seq for entry in read(three).entries][-1] == len(read(three).entries)
    for bad in ("", " \n", "x" * 201, "a\x1bb"):
        with pytest.raises(UsageError, match="invalid title"):
            rename(three, bad)


def test_words_outcomes_and_files_are_looked_for(root: Path, tmp_path: Path, three: str) -> None:
    with open_session(tmp_path) as other:
        other.append(TurnStarted(1, "elsewhere, the ANSWER"))
    found = find(root, ["answer", "no. 2"])
    assert [(f.session.session, f.line) for f in found] == [(three, "Answer No. 1")]
    assert find(root, ["answer", "no. 4"]) == []
    assert len(find(None, ["answer"])) == 2
    assert [f.session.session for f in find(None, outcome="answered")] == [three]
    assert find(None, file="stat") == []  # no FileChanged was recorded
    assert find(root)[0].line == ""
