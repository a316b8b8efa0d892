"""Time stamps of the usual formats lead to the same moment."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from localagent.logs.timestamps import TimeReader, read_minute, show_time

NEWEST = datetime(2026, 12, 1, tzinfo=UTC).timestamp()
MOMENT = "2026-11-28 21:23"


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-28T21:23:46.123Z message",
        "2026-11-28T23:23:46+02:00 web-1 app[3]: message",
        "2026-11-28 21:23:46,123 INFO shop.cart: message",
        "[2026-11-28 21:23:46.123] message",
        "2026/11/28 21:23:46 [error] 31#31: *7 message",
        "Nov 28 21:23:46 web-1 sshd[812]: message",
        "<34>Nov 28 21:23:46 web-1 su: message",
        "Nov 28 2026 21:23:46 web-1 app: message",
        "<34>1 2026-11-28T21:23:46.003Z web-1 su 12 ID47 - message",
        '10.0.0.1 - ada [28/Nov/2026:21:23:46 +0000] "GET / HTTP/1.1" 200 12',
        "[Sat Nov 28 21:23:46.123456 2026] [core:error] message",
        "E1128 21:23:46.123456       1 server.go:12] message",
        "1795901026 message",
        "1795901026.123 message",
        "1795901026123 message",
    ],
)
def test_the_usual_formats(line: str) -> None:
    reader = TimeReader(NEWEST)
    match = reader.match(line)
    assert match is not None
    assert show_time(reader.minute(match) or 0) == MOMENT
    assert int(reader.seconds(line)) % 60 == 46


@pytest.mark.parametrize(
    ("line", "host", "program"),
    [
        ("2026-11-28T21:23:46Z web-1 app[3]: message", "web-1", "app"),
        ("Nov 28 21:23:46 db-2 kernel: message", "db-2", "kernel"),
        ("2026-11-28 21:23:46,123 ERROR shop.cart: message", None, None),
    ],
)
def test_host_and_program(line: str, host: str | None, program: str | None) -> None:
    match = TimeReader(NEWEST).match(line)
    assert match is not None
    assert (match[4], match[5]) == (host, program)


def test_a_stamp_without_a_year_is_before_the_last_change_of_the_file() -> None:
    reader = TimeReader(datetime(2027, 1, 2, tzinfo=UTC).timestamp())
    match = reader.match("Dec 31 23:59:00 web-1 app: message")
    assert match is not None
    assert show_time(reader.minute(match) or 0) == "2026-12-31 23:59"


@pytest.mark.parametrize("line", ["no stamp", "", "2026-13-41T99:99:99 message"])
def test_lines_without_a_stamp(line: str) -> None:
    assert TimeReader(NEWEST).match(line) is None


def test_an_impossible_date_has_no_minute() -> None:
    assert read_minute("2026-02-31 10:00") is None
