"""Verify the audit log: every record is there, as it was written.

`verify` checks every line against its own hash and every record against the one before it. It then
checks every session file against the head, which has an entry for each record. A finding names the
file, and the record or line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localagent.core.errors import UsageError, WorkspaceError
from localagent.core.locks import locked
from localagent.history.audit.hash_chain import TORN, ZERO, ChainLine, is_altered, scan
from localagent.history.audit.log import BASE, COMPACTED, HEAD, LOCK, PRUNED, TIP, audit_dir


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference to the log as it was written. `line` is 0 for the whole file.

    `serious` is False for traces of a killed process.
    """

    file: str
    line: int
    what: str
    serious: bool = True

    def __str__(self) -> str:
        place = f"{self.file}, line {self.line}" if self.line else self.file
        return f"{place}: {self.what}"


@dataclass(frozen=True, slots=True)
class Verified:
    """The result: how much was checked, and the findings. `head` is the hash of the head's last
    record, or zeros."""

    sessions: int
    records: int
    pruned: int
    head: str
    findings: tuple[Finding, ...]

    @property
    def intact(self) -> bool:
        """Whether nothing has changed since it was written."""
        return not any(finding.serious for finding in self.findings)


@dataclass(slots=True)
class _Head:
    """The content of the head. `tips` are (count, hash, line of the head) by session, in order.

    `since` is the number of records of a session when the head was shortened.
    """

    tips: dict[str, list[tuple[int, str, int]]] = field(default_factory=dict)
    since: dict[str, int] = field(default_factory=dict)
    pruned: dict[str, int] = field(default_factory=dict)
    hashes: dict[str, int] = field(default_factory=dict)
    last: str = ZERO
    compacted: int = 0


def verify(noted: str | None = None) -> Verified:
    """Check the whole log, and with `noted` that it continues from that head hash.

    Raises UsageError for a text that is no hash, and WorkspaceError for an unreadable log.
    """
    if noted is not None:
        noted = noted.strip().lower()
        if len(noted) != len(ZERO) or set(noted) - set("0123456789abcdef"):
            raise UsageError(
                f"{noted!r} is no head hash", "it is what `localagent audit head` prints"
            )
    folder = audit_dir()
    try:
        head_data, sizes = _snapshot(folder)
        findings: list[Finding] = []
        head = _head(head_data, findings)
        records = 0
        for session, size in sizes.items():
            with (folder / f"{session}.jsonl").open("rb") as file:
                data = file.read(size)
            records += _session(session, data, head, findings)
    except OSError as error:
        raise WorkspaceError(
            f"cannot read the audit log: {error.strerror or error}", f"it is in {folder}"
        ) from error
    findings += _missing(head, sizes)
    if noted is not None:
        findings += _noted(noted, head)
    return Verified(len(sizes), records, len(head.pruned), head.last, tuple(findings))


def head_intact(data: bytes) -> bool:
    """Whether the head's file, by itself, is as it was written."""
    findings: list[Finding] = []
    _head(data, findings)
    return not any(finding.serious for finding in findings)


def head_hash() -> str:
    """The hash of the head's last record; zeros for an empty log. Raises WorkspaceError.

    A user who notes it elsewhere can later check everything written until now.
    """
    last = ZERO
    try:
        for line in scan(_snapshot(audit_dir())[0]):
            last = line.hash if line.record is not None else last
    except OSError as error:
        raise WorkspaceError(f"cannot read the audit log: {error.strerror or error}") from error
    return last


def _snapshot(folder: Path) -> tuple[bytes, dict[str, int]]:
    """The head, and the sizes of the session files at the same moment."""
    if not folder.is_dir():
        return b"", {}
    with locked(folder / LOCK):
        head = folder / HEAD
        data = head.read_bytes() if head.exists() else b""
        files = sorted(p for p in folder.glob("*.jsonl") if p.name != HEAD)
        return data, {path.stem: path.stat().st_size for path in files}


def _head(data: bytes, findings: list[Finding]) -> _Head:
    head = _Head()
    base = confirmed = ""
    for line in _checked(HEAD, data, findings, allow_base=True):
        record = line.record
        assert record is not None
        head.last = line.hash
        head.hashes[line.hash] = line.number
        name, kind = str(record.get("file", "")), record.get("type")
        if kind == TIP:
            head.pruned.pop(name, None)  # a resumed session begins a new file
            head.tips.setdefault(name, []).append(
                (int(record["count"]), str(record["last"]), line.number)
            )
        elif kind == PRUNED:
            head.pruned[name] = line.number
            head.tips.pop(name, None)
            head.since.pop(name, None)
        elif kind == BASE:
            base = line.hash
            for session, (count, last) in record["files"].items():
                head.tips[session] = [(count, last, line.number)]
                head.since[session] = count
        elif kind == COMPACTED:
            head.compacted, confirmed = line.number, str(record.get("base"))
    if base != confirmed:
        findings.append(Finding(HEAD, 1, "the first record is not the one that was written"))
    return head


def _checked(
    name: str, data: bytes, findings: list[Finding], *, allow_base: bool = False
) -> Iterator[ChainLine]:
    """The records that fit their hash, in order; every other line becomes a finding."""
    broken: list[ChainLine] = []
    base: dict[str, Any] = {}
    for line in scan(data):
        if line.record is None:
            broken.append(line)
            continue
        follows = line.follows
        if allow_base and line.number == 1 and line.record.get("type") == BASE:
            base, follows = line.record, True
        elif base:  # the base stands for all records before the one after it
            follows = line.record["seq"] == base["seq"] + 1 and line.record["prev"] == base["was"]
            base = {}
        if broken:
            findings.append(_broken(name, broken, line))
            broken = []
        if not follows:
            findings.append(
                Finding(
                    name,
                    line.number,
                    "it does not go on from the record before: one was removed, put in, moved or "
                    "replaced",
                )
            )
        if not line.ended:
            findings.append(Finding(name, line.number, "its end of line is missing", False))
        yield line
    if broken:
        findings.append(_broken(name, broken, None))


def _broken(name: str, lines: list[ChainLine], following: ChainLine | None) -> Finding:
    """The finding for lines that do not fit their hash: torn by a kill, or altered.

    The next record confirms a torn line, unless it is the end of the file.
    """
    first = lines[0]
    raw = b"\n".join(line.raw for line in lines)
    altered = any(is_altered(line.raw) for line in lines)
    if following is None:
        torn = not altered and not lines[-1].ended
        where = "a process was killed while it wrote"
    else:
        record = following.record or {}
        digest = hashlib.sha256(raw).hexdigest()
        torn = not altered and record.get("type") == TORN and record.get("sha256") == digest
        where = f"a process was killed while it wrote, which line {following.number} tells"
    if torn:
        return Finding(name, first.number, f"torn: {where}", False)
    return Finding(name, first.number, "it was changed: it does not fit its own hash")


def _session(session: str, data: bytes, head: _Head, findings: list[Finding]) -> int:
    """Check one session's file; returns its number of records."""
    name = f"{session}.jsonl"
    by_seq: dict[int, tuple[str, int]] = {}
    last = (0, 0)
    for line in _checked(name, data, findings):
        assert line.record is not None
        seq = int(line.record["seq"])
        by_seq[seq] = (line.hash, line.number)
        last = (seq, line.number)
        if seq == 1 and line.record.get("session", session) != session:
            was = line.record["session"]
            findings.append(Finding(name, line.number, f"it is the file of session {was}"))
    if session in head.pruned:
        findings.append(Finding(name, 0, "it was to be deleted, and is still there", False))
    else:
        tips = head.tips.get(session, [])
        findings += _against_head(name, by_seq, last, tips, head.since.get(session, 0))
    return len(by_seq)


def _against_head(
    name: str,
    by_seq: dict[int, tuple[str, int]],
    last: tuple[int, int],
    tips: list[tuple[int, str, int]],
    since: int,
) -> Iterator[Finding]:
    """Check a file's records against the head's entries for it."""
    expected = since or 1
    wrong = False
    for count, digest, at in tips:
        if count != expected and not wrong:
            yield Finding(HEAD, at, f"it skips from record {expected - 1} of {name} to {count}")
        expected = count + 1
        record = by_seq.get(count)
        if record is None:
            yield Finding(name, last[1], f"record {count} is gone, which line {at} of the head has")
            return
        if record[0] != digest and not wrong:
            wrong = True
            yield Finding(name, record[1], f"it is not the record that line {at} of the head has")
    known = expected - 1 if tips else 0
    if last[0] == known + 1:
        what = "the head was not told of it: a process was killed here, or the head was cut"
        yield Finding(name, last[1], what, False)
    elif last[0] > known:
        where = f"{last[0] - known} records after record {known}"
        yield Finding(name, last[1], f"the head does not have {where}: it was cut or replaced")


def _missing(head: _Head, sizes: dict[str, int]) -> Iterator[Finding]:
    for session, tips in head.tips.items():
        if session not in sizes and session not in head.pruned:
            count = tips[-1][0]
            yield Finding(f"{session}.jsonl", 0, f"it is gone, with its {count} records")


def _noted(noted: str, head: _Head) -> Iterator[Finding]:
    """Check that the log still holds everything from the time when `noted` was its head."""
    if noted not in head.hashes:
        cut = " or older than what is kept: the head was shortened" if head.compacted else ""
        yield Finding(HEAD, 0, f"the noted head is not in it: the log was replaced{cut}")
    elif head.hashes[noted] < head.compacted:
        what = "noted before the head was shortened; sessions with no record since are not covered"
        yield Finding(HEAD, head.hashes[noted], what, False)
