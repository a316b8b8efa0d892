"""Verify that every record of the audit log is present and unchanged.

`verify` checks every line against its own hash, and every record against the record before it. The
head has an entry for each record; `verify` checks every session file against these entries. A
finding names the file and the line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localagent.core.errors import UsageError, WorkspaceError
from localagent.core.locks import locked
from localagent.core.paths import sessions_dir
from localagent.history.audit.hash_chain import TORN, ZERO, ChainLine, is_altered, scan
from localagent.history.audit.log import BASE, COMPACTED, HEAD, LOCK, PRUNED, TIP, audit_dir


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference between the log on disk and the log as it was written.

    `line` is 0 if the finding is about the whole file. `serious` is False if a killed process can
    have caused the difference.
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
    """The result of `verify`: the number of sessions and records that were checked, and findings.

    `head` is the hash of the head's last record; zeros if the head has no record.
    """

    sessions: int
    records: int
    pruned: int
    head: str
    findings: tuple[Finding, ...]

    @property
    def intact(self) -> bool:
        """Whether no finding is serious."""
        return not any(finding.serious for finding in self.findings)


@dataclass(slots=True)
class _Head:
    """The parsed head.

    `tips` holds, for each session, its entries in order: (record count, hash, line of the head).
    `since` holds the number of records of each session when the head was last shortened.
    """

    tips: dict[str, list[tuple[int, str, int]]] = field(default_factory=dict)
    since: dict[str, int] = field(default_factory=dict)
    pruned: dict[str, int] = field(default_factory=dict)
    hashes: dict[str, int] = field(default_factory=dict)
    last: str = ZERO
    compacted: int = 0


def verify(noted: str | None = None) -> Verified:
    """Check the whole audit log.

    With `noted`, a head hash that the user noted earlier, check too that the log still holds every
    record before that hash. Raises UsageError if `noted` is not a hash, and WorkspaceError if the
    log cannot be read.
    """
    if noted is not None:
        noted = noted.strip().lower()
        if len(noted) != len(ZERO) or set(noted) - set("0123456789abcdef"):
            raise UsageError(
                f"{noted!r} is not a head hash", "`localagent audit head` prints the head hash"
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
            f"cannot read the audit log: {error.strerror or error}", f"the log is in {folder}"
        ) from error
    findings += _missing(head, sizes)
    if not head.last.strip("0") and (sessions := _count_sessions()):
        what = f"the log is empty, but {sessions} sessions exist: audit was off, or it was deleted"
        findings.append(Finding(HEAD, 0, what, False))
    if noted is not None:
        findings += _noted(noted, head)
    return Verified(len(sizes), records, len(head.pruned), head.last, tuple(findings))


def head_intact(data: bytes) -> bool:
    """Whether the head's bytes `data` hold an unbroken chain of records."""
    findings: list[Finding] = []
    _head(data, findings)
    return not any(finding.serious for finding in findings)


def head_hash() -> str:
    """The hash of the head's last record; zeros for an empty log. Raises WorkspaceError.

    A user who notes the hash elsewhere can later check every record written before it.
    """
    last = ZERO
    try:
        for line in scan(_snapshot(audit_dir())[0]):
            last = line.hash if line.record is not None else last
    except OSError as error:
        raise WorkspaceError(f"cannot read the audit log: {error.strerror or error}") from error
    return last


def _snapshot(folder: Path) -> tuple[bytes, dict[str, int]]:
    """The head's bytes, and the size of each session file at the same moment."""
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
        findings.append(Finding(HEAD, 1, "the first record was replaced"))
    return head


def _checked(
    name: str, data: bytes, findings: list[Finding], *, allow_base: bool = False
) -> Iterator[ChainLine]:
    """Yield the lines that match their hash, in order, and add a finding for each other line."""
    broken: list[ChainLine] = []
    base: dict[str, Any] = {}
    for line in scan(data):
        if line.record is None:
            broken.append(line)
            continue
        follows = line.follows
        if allow_base and line.number == 1 and line.record.get("type") == BASE:
            base, follows = line.record, True
        elif base:  # the base record replaced all records before this one
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
                    "this record does not continue the record before it: a record was removed, "
                    "inserted, moved or replaced",
                )
            )
        if not line.ended:
            findings.append(Finding(name, line.number, "the line has no newline", False))
        yield line
    if broken:
        findings.append(_broken(name, broken, None))


def _broken(name: str, lines: list[ChainLine], following: ChainLine | None) -> Finding:
    """The finding for lines that do not match their hash: torn by a kill, or altered.

    The record `following` confirms torn lines by their hash. None means that the file ends here.
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
        where = f"a process was killed while it wrote; line {following.number} confirms this"
    if torn:
        return Finding(name, first.number, f"torn: {where}", False)
    return Finding(name, first.number, "the line was changed: it does not match its own hash")


def _session(session: str, data: bytes, head: _Head, findings: list[Finding]) -> int:
    """Check the file of one session, and return the number of its records."""
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
            findings.append(Finding(name, line.number, f"this is the file of session {was}"))
    if session in head.pruned:
        findings.append(Finding(name, 0, "the file was to be pruned, but still exists", False))
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
    """Check the records of a session's file against the head's entries for that file."""
    expected = since or 1
    wrong = False
    for count, digest, at in tips:
        if count != expected and not wrong:
            what = f"the head skips from record {expected - 1} of {name} to record {count}"
            yield Finding(HEAD, at, what)
        expected = count + 1
        record = by_seq.get(count)
        if record is None:
            what = f"record {count} is missing, but line {at} of the head has an entry for it"
            yield Finding(name, last[1], what)
            return
        if record[0] != digest and not wrong:
            wrong = True
            what = f"this record is not the one in line {at} of the head"
            yield Finding(name, record[1], what)
    known = expected - 1 if tips else 0
    if last[0] == known + 1:
        what = "the head has no entry for this record: a process was killed, or the head was cut"
        yield Finding(name, last[1], what, False)
    elif last[0] > known:
        where = f"{last[0] - known} records after record {known}"
        what = f"the head has no entries for {where}: the head was cut or replaced"
        yield Finding(name, last[1], what)


def _count_sessions() -> int:
    try:
        return sum(entry.is_dir() for entry in sessions_dir().iterdir())
    except OSError:
        return 0


def _missing(head: _Head, sizes: dict[str, int]) -> Iterator[Finding]:
    for session, tips in head.tips.items():
        if session not in sizes and session not in head.pruned:
            count = tips[-1][0]
            yield Finding(f"{session}.jsonl", 0, f"the file is missing, with its {count} records")


def _noted(noted: str, head: _Head) -> Iterator[Finding]:
    """Check that the log still holds every record up to the head hash `noted`."""
    if noted not in head.hashes:
        cut = ", or the head was shortened since" if head.compacted else ""
        yield Finding(HEAD, 0, f"the head does not hold the noted hash: the log was replaced{cut}")
        return
    for session, line in head.pruned.items():
        if line > head.hashes[noted]:
            yield Finding(
                f"{session}.jsonl", 0, "pruned since the hash was noted; its records are gone"
            )
    if head.hashes[noted] < head.compacted:
        what = (
            "the hash was noted before the head was shortened, so it does not cover sessions "
            "without a record since then"
        )
        yield Finding(HEAD, head.hashes[noted], what, False)
