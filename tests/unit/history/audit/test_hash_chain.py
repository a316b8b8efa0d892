"""Chains of records: read them back, repair torn ends, detect changes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from localagent.history.audit.hash_chain import (
    TORN,
    Link,
    append,
    end_of,
    is_altered,
    open_chain,
    scan,
    seal,
    unseal,
)


def grown(path: Path, *names: str) -> None:
    fd = open_chain(path)
    for name in names:
        append(fd, {"type": name})
    os.close(fd)


def types(path: Path) -> list[str]:
    return [line.record["type"] for line in scan(path.read_bytes()) if line.record is not None]


def test_records_come_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "chain"
    grown(path, "a", "b")
    grown(path, "c")
    lines = list(scan(path.read_bytes()))
    assert [line.record and line.record["seq"] for line in lines] == [1, 2, 3]
    assert all(line.follows and line.ended for line in lines)
    assert path.stat().st_mode & 0o777 == 0o600


def test_odd_text_and_a_long_record(tmp_path: Path) -> None:
    path = tmp_path / "chain"
    fd = open_chain(path)
    odd = 'a"\\\n,"hash":"' + "0" * 64 + '"}\udc80é' + "x" * 100_000
    append(fd, {"type": odd})
    assert append(fd, {"type": "z"}) == end_of(fd)
    os.close(fd)
    assert types(path) == [odd, "z"]


@pytest.mark.parametrize("cut", [1, 2, 30, 90, 150])
def test_a_torn_end_is_kept_and_told(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "chain"
    grown(path, "a", "b")
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    grown(path, "c")
    data = path.read_bytes()
    assert data.startswith(whole[:-cut])
    if cut == 1:  # only the end of the line was missing
        assert types(path) == ["a", "b", "c"]
    else:
        assert types(path) == ["a", TORN, "c"]
        assert [line.follows for line in scan(data)] == [True, False, True, True]


def test_a_kill_while_a_torn_end_is_mended(tmp_path: Path) -> None:
    """What is torn twice is told once, as a whole."""
    path = tmp_path / "chain"
    grown(path, "a", "b")
    path.write_bytes(path.read_bytes()[:-20])
    grown(path)
    grown(path, "c")
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join(lines[:2]) + b"\n" + lines[2][:25])
    grown(path, "d")
    assert types(path) == ["a", TORN, "d"]


def test_a_file_of_nothing_but_a_torn_record(tmp_path: Path) -> None:
    path = tmp_path / "chain"
    path.write_bytes(b'{"seq":1,"ty')
    grown(path, "a")
    assert types(path) == [TORN, "a"]


def test_a_changed_record_does_not_fit() -> None:
    line, link = seal({"type": "a"}, Link())
    assert unseal(line[:-1]) is not None
    assert link.seq == 1
    for place in range(len(line) - 1):
        changed = bytearray(line[:-1])
        changed[place] ^= 1
        assert unseal(bytes(changed)) is None


def test_only_a_whole_line_counts_as_altered() -> None:
    line, _ = seal({"type": "a"}, Link())
    assert not any(is_altered(line[:length]) for length in range(len(line) - 2))
    assert is_altered(line.replace(b'"a"', b'"b"'))
