"""The transcript: what is stored, and what is left of it after a kill or on a full disk."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import pytest

from localagent.core import events
from localagent.core.errors import UsageError, WorkspaceError
from localagent.core.messages import Message
from localagent.core.paths import data_dir, sessions_dir
from localagent.history.sessions import transcript
from localagent.history.sessions.transcript import find_session, list_sessions, open_session, read

FINISHED = events.TurnFinished(1, "solved", 0, "ok", "pytest", "proposal 1", ["a"], 1.5, 1, 2, 3)


def an_event(cls: type[Any]) -> Any:
    """An event of the class, its text full of what breaks lines and encodings."""
    text = 'line\nbreak \u2028 ü 😀 "quoted" \udce9'
    values: dict[str, Any] = {
        "int": 1, "float": 1.5, "bool": True, "str": text, "list[str]": [text],
        "dict[str, str]": {"k": text}, "int | None": None, "str | None": text,
        "dict[str, object]": {"question": text, "parts": [{"lines": [[1, 2]]}], "anew": True},
        "float | None": 0.5, "Outcome": "solved", "Mode": "ask",
        "list[dict[str, str]]": [{"role": "user", "content": text}],
        "TurnKind": "check", "list[int]": [5432], "list[PlanStep]": [],
    }  # fmt: skip
    made = {f.name: values.get(str(f.type), "user") for f in fields(cls)}
    return cls(**made)


def test_every_kind_of_event_is_read_back_but_for_the_pieces(root: Path) -> None:
    stored = [an_event(cls) for cls in get_args(events.Event)]
    with open_session(root) as session:
        for event in stored:
            session.append(event)
    left_out = (events.TextDelta, events.ThoughtDelta, events.ModelReading)
    found = read(session.session)
    assert found.events == [event for event in stored if not isinstance(event, left_out)]
    assert [entry.seq for entry in found.entries] == list(range(1, len(found.entries) + 1))
    assert found.damaged == 0
    assert found.workspace == str(root)


def test_lines_are_json_objects_with_the_time_in_utc(root: Path) -> None:
    with open_session(root) as session:
        session.append(events.Warned("ü"))
    [line] = (session.folder / "transcript.jsonl").read_bytes().splitlines()
    record = json.loads(line)
    assert "ü".encode() in line
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["time"])
    assert abs(datetime.fromisoformat(record["time"]).timestamp() - datetime.now().timestamp()) < 60
    assert list(record) == ["seq", "time", "type", "text", "lost"]


def test_folders_and_files_are_private(root: Path) -> None:
    with open_session(root) as session:
        session.append(FINISHED)
    for path in (data_dir(), sessions_dir(), session.folder):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    for path in session.folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_torn_line_is_reported_and_the_next_one_is_whole(root: Path) -> None:
    with open_session(root) as session:
        session.append(events.Warned("one"))
    file = session.folder / "transcript.jsonl"
    with file.open("ab") as out:
        out.write(b'{"seq":2,"time":"2026-01-01T00:00:00.000Z","type":"warned","te')
    found = read(session.session)
    assert (found.events, found.damaged) == ([events.Warned("one")], 1)
    with open_session(root, session.session) as again:
        again.append(events.Warned("two"))
    found = read(session.session)
    assert (found.events, found.damaged) == ([events.Warned("one"), events.Warned("two")], 1)
    assert [entry.seq for entry in found.entries] == [1, 2]


def test_lines_of_another_version_are_passed_over(root: Path) -> None:
    with open_session(root) as session:
        session.append(events.Warned("one"))
    with (session.folder / "transcript.jsonl").open("ab") as out:
        out.write(b'{"seq":2,"type":"from_the_future"}\n[1]\n\xff\xfe\n{"type":"warned"}\n')
    found = read(session.session)
    assert (found.events, found.damaged) == ([events.Warned("one")], 4)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_kill_9_tears_at_most_the_last_line(root: Path) -> None:
    for _ in range(5):
        with open_session(root) as session:
            pass
        ready, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            with open_session(root, session.session) as writer:
                for number in range(1_000_000):
                    writer.append(events.Warned(f"{number} " + "x" * 5000))
                    os.write(tell, b"x") if number == 50 else None
            os._exit(0)
        os.read(ready, 1)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(ready)
        os.close(tell)
        found = read(session.session)
        assert len(found.entries) >= 50
        assert found.damaged <= 1
        assert [e.seq for e in found.entries] == list(range(1, len(found.entries) + 1))


def test_a_full_disk_ends_with_a_clear_error_and_whole_lines(
    root: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(small_disk))
    with open_session(root) as session:
        with pytest.raises(WorkspaceError, match="cannot write the transcript: No space left"):
            for _ in range(100):
                session.append(events.Warned("x" * 30_000))
        session.append(FINISHED)  # is not stored, and does not raise a second time
        assert session.lost == 2
    found = read(session.session)
    assert found.damaged == 0
    assert len(found.entries) > 10


def test_a_full_disk_when_a_session_begins(
    root: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(small_disk))
    with pytest.raises(OSError), (small_disk / "full").open("wb") as file:
        file.write(b"x" * (2 << 20))
    with pytest.raises(WorkspaceError, match="No space left"):
        open_session(root)


def test_ids_sort_by_time_and_can_be_typed(root: Path) -> None:
    with open_session(root) as session:
        assert re.fullmatch(r"\d{8}-\d{4}-[0-9a-hjkmnp-tv-z]{4}", session.session)


def test_sessions_are_found_by_a_part_of_their_id(root: Path) -> None:
    ids = ["20261122-1703-k3f9", "20261122-1810-aaaa", "20261123-0900-bbbb"]
    for name in ids:
        (sessions_dir() / name).mkdir(parents=True)
    (sessions_dir() / "other").mkdir()
    assert find_session("20261122-1703-k3f9") == ids[0]
    assert find_session("20261123") == ids[2]
    assert find_session("AAAA") == ids[1]
    with pytest.raises(UsageError, match="matches 2 sessions"):
        find_session("20261122")
    with pytest.raises(UsageError) as raised:
        find_session("20261122-1703-k3f8")
    assert "20261122-1703-k3f9" in raised.value.hint
    for bad in ("", "../other", "other", "zzzz"):
        with pytest.raises(UsageError):
            find_session(bad)


def test_an_unknown_session_where_none_is_stored() -> None:
    with pytest.raises(UsageError) as raised:
        read("k3f9")
    assert raised.value.hint == "no session is stored yet"


def test_a_session_belongs_to_its_workspace(root: Path, tmp_path: Path) -> None:
    with open_session(root) as session:
        pass
    with pytest.raises(UsageError, match="belongs to"):
        open_session(tmp_path, session.session)


def test_the_conversation_of_a_resumed_session(root: Path) -> None:
    with open_session(root) as session:
        session.append(events.TurnStarted(1, "do"))
        session.append(events.MessageAdded("user", "do"))
        session.append(events.MessageAdded("assistant", "done"))
    found = read(session.session[-4:])
    assert found.messages() == [Message("user", "do"), Message("assistant", "done")]
    assert found.last_turn == 1


def test_the_list_of_sessions(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(f"2026-01-01T00:00:{n:02d}.000Z" for n in range(60))
    monkeypatch.setattr(transcript, "timestamp", lambda: next(times))
    names = []
    for workspace in (root, tmp_path, root):
        with open_session(workspace) as session:
            names.append(session.session)
    with open_session(root, names[2]) as session:
        session.append(events.TurnStarted(1, "first\nprompt"))
        session.append(events.ModelRequested("x", '{"type":"turn_started","prompt":"no"}'))
        session.append(events.FileChanged("b.py", None, "1", ""))
        session.append(events.FileChanged("a.py", None, "1", ""))
        session.append(FINISHED)
        session.append(events.TurnStarted(2, "second"))
    found = list_sessions(root)
    assert [s.session for s in found] == [names[2], names[0]]
    assert (found[0].prompt, found[0].outcome, found[0].turns) == ("first\nprompt", "", 2)
    assert found[0].files == ("a.py", "b.py")
    assert len(list_sessions()) == 3
    assert list_sessions(tmp_path / "none") == []
