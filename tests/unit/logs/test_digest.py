"""A digest counts lines of all kinds of sources, and is kept on disk."""

from __future__ import annotations

import gzip
import json
import os
import tracemalloc
from pathlib import Path

import pytest

from localagent.core.errors import UsageError
from localagent.logs import digest as digests
from localagent.logs.digest import LogDigest
from localagent.logs.json_lines import plain_lines
from localagent.logs.slices import parse_minute, read_slice
from localagent.logs.sources import chunks, open_sources
from localagent.logs.store import digest_of
from localagent.logs.timestamps import show_time

LINES = [
    "2026-11-28T10:00:00Z web-1 api[1]: INFO user=ann request 0a1b2c3d4e took 12 ms",
    "2026-11-28T10:00:30Z web-2 api[1]: INFO user=bob request ffeeddcc11 took 7 ms",
    "2026-11-28T10:05:00Z web-1 api[1]: ERROR cannot reach 10.0.0.7:5432 password=hunter2",
    "    at connect (db.js:12)",
]


def _write(path: Path, lines: list[str]) -> str:
    text = "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return str(path)


def _texts(digest: LogDigest) -> dict[str, int]:
    return {template.text: template.count for template in digest.templates}


@pytest.mark.parametrize("name", ["app.log", "app.log.gz"])
def test_numbers_and_ids_do_not_make_templates(tmp_path: Path, name: str) -> None:
    digest = digest_of([_write(tmp_path / name, LINES)])
    assert _texts(digest) == {
        "INFO <*> request <id> took <n> ms": 2,
        "ERROR cannot reach <ip>:<n> password=<secret>": 1,
    }
    first, error = digest.templates
    assert first.hosts == {"web-1": 1, "web-2": 1}
    assert digest.where(error.samples[0]) == f"{tmp_path / name}:3"
    assert "hunter2" not in error.samples[0].text
    assert (digest.lines, show_time(digest.last)) == (4, "2026-11-28 10:05")


def test_json_lines(tmp_path: Path) -> None:
    entries = [
        {"ts": "2026-11-28T10:00:00Z", "level": "error", "host": "web-1", "msg": "pool 5 full"},
        {"time": 1795860000.5, "severity": "ERROR", "hostname": "web-2", "message": "pool 6 full"},
    ]
    digest = digest_of([_write(tmp_path / "a.json", [json.dumps(e) for e in entries])])
    assert _texts(digest) == {"ERROR pool <n> full": 2}
    assert digest.templates[0].hosts == {"web-1": 1, "web-2": 1}
    assert digest.templates[0].samples[0].text == json.dumps(entries[0])


def test_a_journald_export(tmp_path: Path) -> None:
    message = b"two\nlines"
    path = tmp_path / "j.export"
    path.write_bytes(
        b"__CURSOR=s=1\n__REALTIME_TIMESTAMP=1795860000000000\n_HOSTNAME=db-1\nPRIORITY=3\n"
        b"SYSLOG_IDENTIFIER=kernel\nMESSAGE\n"
        + len(message).to_bytes(8, "little")
        + message
        + b"\n\n__CURSOR=s=2\n__REALTIME_TIMESTAMP=1795860060000000\n_HOSTNAME=db-1\n"
        b"SYSLOG_IDENTIFIER=kernel\nMESSAGE=second\n\n"
    )
    texts = [s.text for t in digest_of([str(path)]).templates for s in t.samples]
    assert texts == [
        "2026-11-28T10:00:00.000Z db-1 kernel: ERROR two lines",
        "2026-11-28T10:01:00.000Z db-1 kernel: second",
    ]


def test_an_entry_without_an_end_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "j.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"__CURSOR=s=1\n")
        for number in range(60):
            file.write(b"F%d=%b\n" % (number, b"A" * (1 << 20)))
        file.write(b"_HOSTNAME=db-1\nMESSAGE=the end\n")
    tracemalloc.start()
    try:
        (data,) = (chunk.data for chunk in chunks(0, *open_sources([str(path)])))
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert data == b"db-1 app: the end\n"


@pytest.mark.parametrize("value", ["1e999", '"-inf"', '"nan"'])
def test_a_time_that_is_no_number_is_left_out(value: str) -> None:
    line = f'{{"time": {value}, "level": "\u00b2", "msg": "x"}}'
    assert plain_lines([line]) == ["\u00b2 x"]


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in (str(tmp_path / "pipe"), "/dev/zero"):
        with pytest.raises(UsageError, match=f"cannot read {name}: not a regular file"):
            open_sources([name])


def test_a_file_in_a_folder_is_never_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path / "-", LINES)
    monkeypatch.setattr("sys.stdin", None)
    digest = digest_of(["."], root=tmp_path)
    assert digest.lines == 4 and digest.sources[0].path == "./-"


def test_lines_without_time_stamps_are_counted(tmp_path: Path) -> None:
    digest = digest_of([_write(tmp_path / "a.log", ["step 1 done", "step 2 done"])])
    assert _texts(digest) == {"step <n> done": 2}
    assert digest.first == -1


def test_a_private_key_in_a_log_is_no_sample(tmp_path: Path) -> None:
    lines = [
        *LINES[:1],
        "-----BEGIN PRIVATE KEY-----",
        "MIIEvQIBADANBgkq0",
        "-----END PRIVATE KEY-----",
    ]
    digest = digest_of([_write(tmp_path / "a.log", lines)])
    assert not any("MIIE" in s.text for t in digest.templates for s in t.samples)


def test_control_characters_are_redacted(tmp_path: Path) -> None:
    digest = digest_of(
        [_write(tmp_path / "a.log", ["2026-11-28T10:00:00Z \x1b[31mred\x1b]0;x\x07"])]
    )
    assert "\x1b" not in digest.templates[0].samples[0].text + digest.templates[0].text


def test_unchanged_files_are_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = _write(tmp_path / "a.log", LINES)
    first = digest_of([name])
    with monkeypatch.context() as context:
        context.setattr(digests, "chunks", None)
        assert digest_of([name]) == first
    _write(tmp_path / "a.log", [*LINES, LINES[0]])
    assert digest_of([name]).lines == 5


@pytest.mark.parametrize("name", ["missing.log", "broken.gz"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "broken.gz").write_bytes(b"\x1f\x8b\x08\x00")
    with pytest.raises(UsageError, match=name):
        digest_of([str(tmp_path / name)])


def test_a_slice_has_the_lines_of_its_minutes(tmp_path: Path) -> None:
    digest = digest_of([_write(tmp_path / "a.log", LINES)])
    start = parse_minute("10:05", digest, digest.first)
    places = read_slice(digest, start, digest.last, ["REACH"], 10)
    assert [place.line for place in places] == [3]
    assert places[0].text.endswith("password=<secret>")
    with pytest.raises(UsageError, match="is no time"):
        parse_minute("25:99", digest, 0)
