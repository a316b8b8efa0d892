"""The audit log: what is in it, and that whatever is done to it afterwards is found and located."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from localagent.core.errors import UsageError, WorkspaceError
from localagent.core.events import (
    Blocked,
    Decision,
    Event,
    FileChanged,
    FileRead,
    ModelRequested,
    SessionStarted,
    TextDelta,
    ToolCalled,
    ToolReturned,
    TurnFinished,
    TurnStarted,
)
from localagent.core.paths import sessions_dir
from localagent.history.audit.hash_chain import scan
from localagent.history.audit.log import HEAD, AuditLog, audit_dir
from localagent.history.audit.prune import prune
from localagent.history.audit.verify import Verified, head_hash, verify

STARTED = SessionStarted("s", "/w", "m", "ab" * 32, "react", "unshare", "1", read_only=False)
FINISHED = TurnFinished(1, "answered", 0, "done", "", "", [], 1.0, 2, 3, 4)
EVENTS = [
    STARTED,
    TurnStarted(1, "how does it work?"),
    FileRead("a.py", "cd" * 32),
    ModelRequested("act", "<user>\nhow does it work?"),
    ToolCalled(1, "edit", {"path": "a.py", "body": "the new text"}),
    Decision("edit", "a.py", True, "user"),
    FileChanged("a.py", "cd" * 32, "ef" * 32, "-old\n+new"),
    ToolReturned(1, "edit", True, "changed a.py", "changed"),
    Blocked("path", "../x", "outside"),
    FINISHED,
]


def write(session: str, events: list = EVENTS, **more: object) -> Path:
    with AuditLog(session, **more) as log:
        for event in events:
            log.append(own(event, session))
    return audit_dir() / f"{session}.jsonl"


def own(event: Event, session: str) -> Event:
    """The event, as that session has it."""
    return replace(event, session=session) if isinstance(event, SessionStarted) else event


def records(path: Path) -> list[dict]:
    return [line.record for line in scan(path.read_bytes()) if line.record is not None]


def serious(found: Verified) -> list[str]:
    return [str(f) for f in found.findings if f.serious]


def test_what_a_session_did_is_there_without_its_texts() -> None:
    path = write("s", facts={"policy": "none"})
    found = records(path)
    assert [r["type"] for r in found] == [
        *("session", "prompt", "read", "asked", "called", "decision", "written", "returned"),
        *("blocked", "finished"),
    ]
    assert (found[0]["model_sha256"], found[0]["policy"]) == ("ab" * 32, "none")
    assert found[4]["arg_path"] == "a.py"
    assert found[6]["after_sha256"] == "ef" * 32
    text = path.read_text()
    for secret in ("how does it work", "the new text", "+new", "changed a.py"):
        assert secret not in text
    assert verify() == Verified(1, 10, 0, head_hash(), ())
    assert (path.stat().st_mode & 0o777, audit_dir().stat().st_mode & 0o777) == (0o600, 0o700)


def test_texts_are_there_where_they_are_asked_for() -> None:
    found = records(write("s", texts=True))
    assert found[1]["text"] == "how does it work?"
    assert found[4]["arg_body"] == "the new text"


def test_commands_are_told_in_words() -> None:
    found = records(write("s", [ToolCalled(1, "shell", {"body": "rm -rf build"})]))
    assert found[0]["command"] == "rm -rf build"


def test_pieces_of_replies_are_not_in_it() -> None:
    assert records(write("s", [TextDelta("x"), FINISHED]))[0]["type"] == "finished"


def test_a_session_that_goes_on_continues_its_file() -> None:
    write("s")
    path = write("s", [FINISHED])
    assert [r["seq"] for r in records(path)] == list(range(1, 12))
    assert verify().findings == ()


def test_nothing_there_is_nothing_wrong() -> None:
    assert verify() == Verified(0, 0, 0, "0" * 64, ())


def test_a_full_disk_ends_the_turn(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(small_disk))
    with AuditLog("s", texts=True) as log:
        log.append(STARTED)
        with pytest.raises(WorkspaceError, match="audit log"):
            log.append(TurnStarted(1, "x" * (2 << 20)))
        log.append(FINISHED)
    assert verify().findings == ()


def test_a_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    with pytest.raises(WorkspaceError, match="audit log"):
        AuditLog("s")


# Tampering


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of three sessions that wrote in turns."""
    folder = tmp_path_factory.mktemp("audit")
    old = os.environ.get("XDG_DATA_HOME")
    os.environ["XDG_DATA_HOME"] = str(folder)
    try:
        logs = [AuditLog(name) for name in ("a", "b", "c")]
        for event in EVENTS:
            for log in logs:
                log.append(own(event, log.session))
        for log in logs:
            log.close()
    finally:
        os.environ.pop("XDG_DATA_HOME")
        if old is not None:
            os.environ["XDG_DATA_HOME"] = old
    return folder


def tampered(three: Path, name: str, data: bytes | None) -> Verified:
    """What `verify` finds where a file of the log holds `data`, or is gone."""
    path = three / "localagent" / "audit" / name
    whole = path.read_bytes()
    before = os.environ.get("XDG_DATA_HOME")
    os.environ["XDG_DATA_HOME"] = str(three)
    try:
        path.unlink() if data is None else path.write_bytes(data)
        return verify()
    finally:
        path.write_bytes(whole)
        os.environ.pop("XDG_DATA_HOME")
        if before is not None:
            os.environ["XDG_DATA_HOME"] = before


NAMES = st.sampled_from(["a.jsonl", "b.jsonl", "c.jsonl", HEAD])
MANY = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def content(three: Path, name: str) -> bytes:
    return (three / "localagent" / "audit" / name).read_bytes()


def line_of(data: bytes, at: int) -> int:
    return data.count(b"\n", 0, at) + 1


def located(found: Verified, name: str, line: int) -> bool:
    """Whether something was found in that file at that line or the one after."""
    return any(f.file == name and line <= f.line <= line + 1 for f in found.findings)


def test_the_log_of_three_is_intact(three: Path) -> None:
    whole = tampered(three, HEAD, content(three, HEAD))
    assert (whole.sessions, whole.records, whole.findings) == (3, 30, ())


@MANY
@given(name=NAMES, where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_every_flipped_bit_is_found(three: Path, name: str, where: float, bit: int) -> None:
    data = bytearray(content(three, name))
    at = int(where * len(data))
    line = line_of(data, at)
    data[at] ^= 1 << bit
    found = tampered(three, name, bytes(data))
    assert not found.intact
    assert located(found, name, line)


@MANY
@given(
    name=NAMES,
    where=st.floats(0, 1, exclude_max=True),
    count=st.integers(1, 400),
    put=st.binary(max_size=40),
)
def test_every_replaced_or_deleted_piece_is_found(
    three: Path, name: str, where: float, count: int, put: bytes
) -> None:
    data = content(three, name)
    at = int(where * len(data))
    changed = data[:at] + put + data[at + count :]
    found = tampered(three, name, changed)
    if changed == data:
        assert found.findings == ()
    else:
        assert found.findings
        assert any(f.file in (name, HEAD) for f in found.findings)
        # What ends like a line that a kill has torn may be taken for one.
        if at + count < len(data):
            assert not found.intact


@MANY
@given(name=NAMES, numbers=st.permutations(range(10)))
def test_every_order_but_the_right_one_is_found(three: Path, name: str, numbers: list[int]) -> None:
    lines = content(three, name).splitlines(keepends=True)
    changed = [lines[n] for n in numbers] + lines[10:]
    found = tampered(three, name, b"".join(changed))
    assert found.intact == (list(numbers) == list(range(10)))
    if not found.intact:
        first = next(i for i, n in enumerate(numbers) if i != n)
        assert located(found, name, first + 1)


@MANY
@given(name=NAMES, which=st.integers(0, 29), to=st.integers(0, 30), copy=st.booleans())
def test_every_record_removed_or_repeated_is_found(
    three: Path, name: str, which: int, to: int, copy: bool
) -> None:
    lines = content(three, name).splitlines(keepends=True)
    which %= len(lines)
    changed = list(lines)
    if copy:
        changed.insert(to % (len(lines) + 1), lines[which])
    else:
        del changed[which]
    found = tampered(three, name, b"".join(changed))
    assert found.findings
    last_of_head = name == HEAD and not copy and which == len(lines) - 1
    # The head without its last record is what a kill leaves, too; it is told as that.
    assert found.intact == last_of_head


@MANY
@given(name=NAMES, where=st.floats(0, 1, exclude_max=True))
def test_every_truncation_is_found(three: Path, name: str, where: float) -> None:
    data = content(three, name)
    cut = data[: int(where * len(data))]
    found = tampered(three, name, cut)
    assert found.findings
    if name != HEAD and len(cut) < len(data) - 1:
        assert not found.intact
        assert any(f.file == name and "is missing" in f.what for f in found.findings)


@pytest.mark.parametrize("name", ["a.jsonl", "c.jsonl", HEAD])
def test_a_deleted_file_is_found(three: Path, name: str) -> None:
    found = tampered(three, name, None)
    assert not found.intact
    if name != HEAD:
        assert serious(found) == [f"{name}: the file is missing, with its 10 records"]


def test_a_file_in_the_place_of_another(three: Path) -> None:
    found = tampered(three, "a.jsonl", content(three, "b.jsonl"))
    assert not found.intact


def test_a_record_forged_with_its_hash_is_found(three: Path) -> None:
    """Somebody who knows how it is made changes a record and makes its own hash fit."""
    from localagent.history.audit.hash_chain import Link, seal

    lines = content(three, "a.jsonl").splitlines(keepends=True)
    record = json.loads(lines[5])
    record["allowed"] = False
    fields = {k: v for k, v in record.items() if k not in ("seq", "prev", "hash")}
    lines[5] = seal(fields, Link(5, record["prev"]))[0]
    found = tampered(three, "a.jsonl", b"".join(lines))
    assert located(found, "a.jsonl", 6)
    assert any("this record is not the one in line" in text for text in serious(found))


# The head, noted elsewhere


def test_a_noted_head_shows_a_log_that_was_made_anew() -> None:
    write("s")
    noted = head_hash()
    assert verify(noted).intact
    write("t")
    assert verify(noted).findings == ()
    shutil.rmtree(audit_dir())
    write("s", [STARTED, FINISHED])
    assert verify().intact
    assert serious(verify(noted)) == [
        f"{HEAD}: the head does not hold the noted hash: the log was replaced"
    ]


@pytest.mark.parametrize("noted", ["", "xyz", "0" * 63, "g" * 64])
def test_what_is_no_hash_is_refused(noted: str) -> None:
    with pytest.raises(UsageError):
        verify(noted)


# Kills


@pytest.mark.parametrize("cut", [1, 5, 40, 100])
def test_a_torn_record_is_no_tampering(cut: int) -> None:
    """A kill in the middle of a record: the head has no entry for the record yet."""
    path = write("s", EVENTS[:4])
    head = audit_dir() / HEAD
    known = head.read_bytes()
    write("s", EVENTS[4:5])
    head.write_bytes(known)
    path.write_bytes(path.read_bytes()[:-cut])
    found = verify()
    assert found.intact
    assert found.findings
    write("s", EVENTS[5:])
    found = verify()
    assert found.intact
    assert all("torn" in f.what for f in found.findings)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills processes")
def test_kills_at_any_moment_by_several_processes(quick_disk: Path) -> None:
    """Three processes write, two of them the same session, and are killed again and again."""
    code = (
        "import sys\n"
        "from localagent.history.audit.log import AuditLog\n"
        "from localagent.core.events import TurnStarted\n"
        "log = AuditLog(sys.argv[1], texts=True)\n"
        "print('ready', flush=True)\n"
        "n = 0\n"
        "while True:\n"
        "    n += 1\n"
        "    log.append(TurnStarted(n, 'x' * (n * 997 % 30000)))\n"
    )
    rng = random.Random(5)
    for _ in range(8):
        processes = [
            subprocess.Popen([sys.executable, "-c", code, name], stdout=subprocess.PIPE)
            for name in ("s", "s", "t")
        ]
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        for process in processes:
            time.sleep(rng.random() / 20)
            process.send_signal(signal.SIGKILL)
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        found = verify()
        assert found.intact, found.findings
    assert verify().records > 100


# Retention


def aged(session: str, days: float) -> None:
    path = audit_dir() / f"{session}.jsonl"
    then = time.time() - days * 86_400
    os.utime(path, (then, then))


def test_old_sessions_go_and_the_log_stays_verifiable() -> None:
    for name in ("s", "t", "u"):
        write(name)
    aged("s", 40)
    assert prune(30, 0) == ["s"]
    found = verify()
    assert (found.sessions, found.pruned, found.findings) == (2, 1, ())


def test_what_was_pruned_since_a_noted_head_is_named() -> None:
    """A forged record of the pruning of a session looks like a real one."""
    for name in ("s", "t", "u"):
        write(name)
    aged("s", 40)
    prune(30, 0)
    noted = head_hash()
    assert verify(noted).findings == ()
    aged("t", 40)
    prune(30, 0)
    assert verify().findings == ()
    assert serious(verify(noted)) == [
        "t.jsonl: pruned since the hash was noted; its records are gone"
    ]


def test_an_empty_log_beside_sessions_is_reported() -> None:
    assert verify().findings == ()
    (sessions_dir() / "20261128").mkdir(parents=True)
    assert "1 sessions exist" in verify().findings[0].what


def test_the_oldest_go_where_bytes_are_short() -> None:
    for age, name in enumerate(("u", "t", "s")):
        write(name)
        aged(name, age)
    size = (audit_dir() / "s.jsonl").stat().st_size
    assert prune(0, size * 2 + 10) == ["s"]
    assert verify().intact


def test_a_session_at_work_stays() -> None:
    with AuditLog("s") as log:
        log.append(STARTED)
        aged("s", 40)
        assert prune(30, 1) == []
        log.append(FINISHED)
    assert verify().findings == ()


def test_no_limit_deletes_what_a_policy_keeps() -> None:
    for age, name in ((40, "s"), (20, "t"), (5, "u")):
        write(name)
        aged(name, age)
    assert prune(10, 1, min_days=50) == []
    assert prune(10, 1, min_days=30) == ["s"]
    assert prune(0, 1, min_days=10) == ["t"]
    assert verify().intact


def test_a_pruned_session_that_goes_on_begins_anew() -> None:
    write("s")
    prune(0, 1)
    write("s", [FINISHED])
    write("s", [FINISHED])
    found = verify()
    assert (found.sessions, found.records, found.findings) == (1, 2, ())


def test_a_kill_between_the_record_and_the_deletion() -> None:
    path = write("s")
    kept = path.read_bytes()
    prune(0, 1)
    path.write_bytes(kept)
    found = verify()
    assert found.intact
    assert "still exists" in found.findings[0].what
    prune(0, 1)
    assert verify().findings == ()


def test_the_head_is_shortened_and_still_binds(three: Path) -> None:
    for number in range(30):
        write(f"s{number}")
    size = (audit_dir() / HEAD).stat().st_size
    noted = head_hash()
    prune(0, 0, head_bytes=size // 2)
    assert (audit_dir() / HEAD).stat().st_size < size // 2
    write("s3", [FINISHED])
    found = verify(noted)
    assert (found.sessions, found.records) == (30, 301)
    assert [f.serious for f in found.findings] == [False]  # the note is older than the base
    assert verify(head_hash()).findings == ()
    prune(0, 0, head_bytes=size // 4)
    assert verify().findings == ()
    write("new")
    # What the base says of an old session holds still.
    path = audit_dir() / "s1.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert any("s1.jsonl" in text for text in serious(verify()))


def test_a_changed_base_is_found() -> None:
    for number in range(10):
        write(f"s{number}")
    prune(0, 0, head_bytes=2000)
    head = audit_dir() / HEAD
    lines = head.read_bytes().splitlines(keepends=True)
    from localagent.history.audit.hash_chain import Link, seal

    base = json.loads(lines[0])
    base["files"]["s1"] = [9, base["files"]["s1"][1]]
    fields = {k: v for k, v in base.items() if k not in ("seq", "prev", "hash")}
    lines[0] = seal(fields, Link(base["seq"] - 1))[0]
    head.write_bytes(b"".join(lines))
    assert f"{HEAD}, line 1: the first record was replaced" in serious(verify())
