"""The time stamps of log lines, in the usual formats.

A format is a pattern at the start of a line. Its groups 1 to 5 are the text up to the minute, the
second, the zone, and the host and the program of syslog. Times are seconds since the epoch; a time
without a zone counts as UTC.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_MONTH = "|".join(_MONTHS)
_LEVEL = "TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|ERR|FATAL|CRITICAL|CRIT|SEVERE|ALERT|EMERG"
# "web-1 nginx[12]: " after a time stamp: a host, which is no level, and a program.
_ORIGIN = (
    rf"(?: (?!(?:{_LEVEL})\b)(?P<host>[A-Za-z0-9_.:-]+)"
    r" (?P<program>[A-Za-z0-9_./@-]+)(?:\[\d+\])?: )?"
)
_SECOND = r":(?P<second>\d\d(?:[.,]\d{1,9})?)"
_ZONE = r" ?(?P<zone>Z\b|UTC\b|[+-]\d\d:?\d\d)?"
_NO_ORIGIN = r"(?P<host>(?!))?(?P<program>(?!))?"


@dataclass(frozen=True, slots=True)
class TimeFormat:
    """A format: the pattern, and `read`, which turns the minute's text into a time.

    `read` gets the year of a stamp that has none. With `has_status`, a group `status` has the first
    digit of an HTTP status.
    """

    name: str
    pattern: re.Pattern[str]
    read: Callable[[str, int], datetime]
    has_year: bool = True
    has_status: bool = False


def _strptime(form: str) -> Callable[[str, int], datetime]:
    return lambda text, _year: datetime.strptime(text, form)


def _iso(text: str, _year: int) -> datetime:
    return datetime.fromisoformat(text.replace("/", "-").replace(" ", "T"))


def _month_first(text: str, year: int) -> datetime:
    """Read "Nov 28 21:23" or "Nov 28 2026 21:23"."""
    month, day, *rest = text.split()
    hour, minute = rest[-1].split(":")
    number = int(rest[0]) if len(rest) > 1 else year
    return datetime(number, _MONTHS.index(month) + 1, int(day), int(hour), int(minute))


def _klog(text: str, year: int) -> datetime:
    """Read "1128 21:23"."""
    month, day, hour, minute = int(text[:2]), int(text[2:4]), int(text[5:7]), int(text[8:10])
    return datetime(year, month, day, hour, minute)


def _epoch(text: str, _year: int) -> datetime:
    seconds = int(text[:10])
    return datetime.fromtimestamp(seconds - seconds % 60, UTC).replace(tzinfo=None)


_DATE = r"\d{4}[-/](?:0\d|1[0-2])[-/][0-3]\d[T ][0-2]\d:[0-5]\d"
FORMATS = (
    # RFC 5424: <34>1 2026-11-28T21:23:46.003Z host program pid id data message
    TimeFormat(
        "rfc5424",
        re.compile(
            rf"<\d{{1,3}}>1 (?P<minute>{_DATE}){_SECOND}{_ZONE} (?P<host>\S+) (?P<program>\S+)"
            r" \S+ \S+ (?:-|\[[^\]]*\]) ?"
        ),
        _iso,
    ),
    # ISO 8601, python's logging, log4j, nginx's error log, journalctl -o short-iso
    TimeFormat("iso", re.compile(rf"\[?(?P<minute>{_DATE}){_SECOND}{_ZONE}\]?{_ORIGIN}"), _iso),
    # RFC 3164, and the form with a year
    TimeFormat(
        "syslog-year",
        re.compile(
            rf"(?:<\d{{1,3}}>)?(?P<minute>(?:{_MONTH}) [ \d]\d \d{{4}} \d\d:\d\d){_SECOND}"
            rf"{_ZONE}{_ORIGIN}"
        ),
        _month_first,
    ),
    TimeFormat(
        "syslog",
        re.compile(
            rf"(?:<\d{{1,3}}>)?(?P<minute>(?:{_MONTH}) [ \d]\d \d\d:\d\d){_SECOND}"
            rf"(?P<zone>(?!))?{_ORIGIN}"
        ),
        _month_first,
        has_year=False,
    ),
    # nginx's and apache's access logs: 10.0.0.1 - ada [28/Nov/2026:21:23:46 +0000] "GET /x" 200
    TimeFormat(
        "access",
        re.compile(
            rf"\S+ \S+ \S+ \[(?P<minute>\d\d/(?:{_MONTH})/\d{{4}}:\d\d:\d\d){_SECOND}{_ZONE}\]"
            rf'{_NO_ORIGIN}(?= "[^"]*" (?P<status>[1-5]))?'
        ),
        _strptime("%d/%b/%Y:%H:%M"),
        has_status=True,
    ),
    # apache's error log: [Sat Nov 28 21:23:46.123456 2026]
    TimeFormat(
        "apache-error",
        re.compile(
            rf"\[[A-Z][a-z]{{2}} (?P<minute>(?:{_MONTH}) [ \d]\d \d\d:\d\d){_SECOND}"
            rf" (?P<zone>\d{{4}})\]{_NO_ORIGIN}"
        ),
        _month_first,
        has_year=False,
    ),
    # klog, as Kubernetes writes it: I1128 21:23:46.123456 1 file.go:12] message
    TimeFormat(
        "klog",
        re.compile(
            rf"(?=[IWEF]\d{{4}} )[IWEF](?P<minute>\d{{4}} \d\d:\d\d){_SECOND}(?P<zone>(?!))?"
            rf"{_NO_ORIGIN}"
        ),
        _klog,
        has_year=False,
    ),
    # seconds or milliseconds since the epoch, in years 2001 to 2286
    TimeFormat(
        "epoch",
        re.compile(
            rf"\[?(?P<minute>1\d{{9}})(?P<second>\d{{3}}\b|\.\d{{1,9}})?(?P<zone>(?!))?\]?(?=[\s:,|-])"
            rf"{_NO_ORIGIN}"
        ),
        _epoch,
    ),
)  # fmt: skip
LEVEL = re.compile(rf"\b(?:{_LEVEL})\b", re.IGNORECASE)
_CACHED_MINUTES = 100_000


class TimeReader:
    """Reads the stamps of one source's lines. `newest` is the time of the file's last change."""

    def __init__(self, newest: float) -> None:
        self._newest = datetime.fromtimestamp(newest, UTC).replace(tzinfo=None)
        self._format = FORMATS[0]
        self._minutes: dict[tuple[str | None, str | None], int | None] = {}

    def match(self, line: str) -> re.Match[str] | None:
        """The stamp at the start of `line`. The format of the line before is tried first."""
        return self._format.pattern.match(line) or self._other(line)

    def minute(self, match: re.Match[str]) -> int | None:
        """The minutes since the epoch of the latest match, or None for an impossible date."""
        key = match[1], match[3]
        minute = self._minutes.get(key, -1)
        if minute == -1:
            if len(self._minutes) > _CACHED_MINUTES:
                self._minutes.clear()
            minute = self._minutes[key] = self._read(*key)
        return minute

    def seconds(self, line: str) -> float:
        """The exact time of a line; 0 for a line without a stamp."""
        match = self.match(line)
        minute = None if match is None else self.minute(match)
        if match is None or minute is None:
            return 0.0
        second = match["second"] or "0"
        if self._format.name != "epoch":
            return minute * 60 + float(second.replace(",", "."))
        fraction = float(second) if second.startswith(".") else int(second) / 1000
        return int(match["minute"]) + fraction

    def status(self, match: re.Match[str]) -> str:
        """The class of the HTTP status of an access log's line, or ""."""
        return (match["status"] or "") if self._format.has_status else ""

    def _other(self, line: str) -> re.Match[str] | None:
        """Try the other formats; the next line probably has the same one."""
        if line[:1] in (" ", "\t"):
            return None
        for each in FORMATS:
            match = each.pattern.match(line)
            if match is not None:
                self._format = each
                return match
        return None

    def _read(self, text: str, zone: str | None) -> int | None:
        """The minutes since the epoch, or None for an impossible date."""
        form = self._format
        try:
            if form.name == "apache-error":
                when = form.read(text, int(zone or 0))
            elif form.has_year:
                when = form.read(text, 0) - _offset(zone)
            else:
                when = self._with_year(form, text)
        except (ValueError, OverflowError):
            return None
        return int((when - _EPOCH).total_seconds()) // 60

    def _with_year(self, form: TimeFormat, text: str) -> datetime:
        """The latest year that puts the time before the file's last change."""
        year = self._newest.year
        try:
            when = form.read(text, year)
        except ValueError:  # 29 February
            return form.read(text, year - 1)
        later = when > self._newest + timedelta(days=1)
        return form.read(text, year - 1) if later else when


_EPOCH = datetime(1970, 1, 1)


def _offset(zone: str | None) -> timedelta:
    if not zone or zone in ("Z", "UTC"):
        return timedelta()
    sign = -1 if zone[0] == "-" else 1
    return sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))


def show_time(minute: int) -> str:
    """A minute since the epoch as "2026-11-28 21:23"."""
    return (_EPOCH + timedelta(minutes=minute)).strftime("%Y-%m-%d %H:%M")


def read_minute(text: str) -> int | None:
    """The minutes since the epoch of "2026-11-28 21:23"; None for an impossible date."""
    reader = TimeReader(0.0)
    match = reader.match(f"{text}:00")
    return None if match is None else reader.minute(match)
