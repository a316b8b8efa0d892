"""The archive for an auditor: which sessions, which files, and the same bytes each time."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from datetime import date
from types import SimpleNamespace

import pytest

from localagent.history.audit import evidence, log

SESSIONS = ("20261031-235900-a", "20261101-000000-b", "20261130-120000-c", "20261201-000000-d")


@pytest.mark.parametrize(
    ("since", "until", "letters"),
    [
        (None, None, "abcd"),
        (date(2026, 11, 1), None, "bcd"),
        (None, date(2026, 11, 30), "abc"),
        (date(2026, 11, 1), date(2026, 11, 30), "bc"),
        (date(2027, 1, 1), None, ""),
    ],
)
def test_a_period_includes_its_first_and_last_day(
    since: date | None, until: date | None, letters: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged = [SimpleNamespace(session=name) for name in reversed(SESSIONS)]
    monkeypatch.setattr(log, "sessions", lambda: logged)
    found = evidence.sessions_between(since, until)
    assert "".join(name[-1] for name in found) == letters


def test_equal_files_give_equal_bytes_and_list_their_hashes() -> None:
    files = {"audit/b.jsonl": b"b\n", "audit/a.jsonl": b"a\n"}
    data = evidence.archive(files)
    assert evidence.archive(dict(reversed(files.items()))) == data
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = tar.getnames()
        listed = tar.extractfile("localagent-evidence/SHA256SUMS")
        assert listed is not None
        sums = listed.read().decode().splitlines()
    assert names == [
        *("localagent-evidence/SHA256SUMS", "localagent-evidence/audit/a.jsonl"),
        "localagent-evidence/audit/b.jsonl",
    ]
    assert sums == [f"{hashlib.sha256(files[name]).hexdigest()}  {name}" for name in sorted(files)]


def test_the_packages_are_components() -> None:
    found = json.loads(evidence.packages())
    assert found["bomFormat"] == "CycloneDX"
    assert any(each["name"] == "pydantic" for each in found["components"])
