"""The digest of one chunk of lines: counts by template, minute and host. It runs in a process.

A line's shape (its digits as "0") is looked up first. Only a new shape is masked, so most lines
cost one match of the time stamp and two look-ups.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from localagent.logs.json_lines import plain_lines
from localagent.logs.masks import DIGITS, Masks
from localagent.logs.severity import INFO, is_change, severity
from localagent.logs.timestamps import TimeReader

NO_TIME = -1
"""The minute of lines in a source without time stamps."""

_MAX_LINE = 4000
_SHAPES = 40_000
_SHAPE_CHARS = 600
_VALUES = 64
_SAMPLES = 3
_VALUE = re.compile(
    r"\b[A-Za-z_][\w.]*=\"?(?P<pair>[\w.:/@-]{2,60})"
    r"|\b(?P<id>[A-Za-z]+[-_][\w-]*\d[\w-]*|\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{8,40})\b"
)
_BLOCK = "-----BEGIN "


@dataclass(slots=True)
class Sample:
    """One line: its time in seconds, its number in the source, and its text."""

    seconds: float
    line: int
    text: str


@dataclass(slots=True)
class LineGroup:
    """The lines of a chunk that have the same program, severity and masked message.

    `notable` lines may belong to an incident: warnings, errors and changes.
    """

    program: str
    severity: int
    text: str
    status: str = ""
    notable: bool = False
    minutes: dict[int, int] = field(default_factory=dict)
    hosts: dict[str, int] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    values: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChunkDigest:
    """The groups of one chunk, its number of lines, and its first and last minute."""

    groups: list[LineGroup]
    lines: int
    first: int
    last: int


class _Counter:
    """Counts the lines of one chunk."""

    def __init__(self, label: str, newest: float) -> None:
        self._label = label
        # The name of the file stands for the program of lines without one.
        self._service = label.rpartition("/")[2]
        self._reader = TimeReader(newest)
        self._masks = Masks()
        self._shapes: dict[str, LineGroup] = {}
        self._groups: dict[tuple[str, str, str], LineGroup] = {}

    def count(self, raw: list[str], lines: list[str], shapes: list[str]) -> ChunkDigest:
        """Count `lines`; `raw` has the same lines as the source has them."""
        reader, known = self._reader, self._shapes
        hits: dict[tuple[int, int, str], int] = {}
        ids: dict[int, LineGroup] = {}
        last_of: dict[int, int] = {}
        minute: int | None = None
        first = next((m for m in map(self._minute, lines) if m is not None), NO_TIME)
        last, inside = first, False
        for number, line in enumerate(lines):
            match = reader.match(line)
            host, status = self._label, ""
            if match is not None and (minute := reader.minute(match)) is not None:
                last = max(last, minute)
                inside = False
                host = match[4] or host
                status = reader.status(match) or _status(line)
            else:
                if not line or line[0] in " \t" or inside:
                    inside = inside and not line.startswith("-----END")
                    continue
                inside = line.startswith(_BLOCK)
                minute = first if minute is None else minute
            shape = shapes[number][:_SHAPE_CHARS] + status
            group = known.get(shape)
            if group is None:
                group = self._group(shape, line, match, status)
            key = id(group)
            if key not in ids:
                ids[key] = group
            if len(group.samples) < _SAMPLES:
                group.samples.append(self._sample(number, raw[number], line))
            if group.notable:
                _add_values(group, line)
            last_of[key] = number
            hit = key, minute, host
            hits[hit] = hits.get(hit, 0) + 1
        for (key, minute, host), hit_count in hits.items():
            group = ids[key]
            group.minutes[minute] = group.minutes.get(minute, 0) + hit_count
            group.hosts[host] = group.hosts.get(host, 0) + hit_count
        for key, number in last_of.items():
            if ids[key].samples[-1].line < number:
                ids[key].samples.append(self._sample(number, raw[number], lines[number]))
        return ChunkDigest(list(self._groups.values()), len(lines), first, last)

    def _minute(self, line: str) -> int | None:
        match = self._reader.match(line)
        return None if match is None else self._reader.minute(match)

    def _sample(self, number: int, raw: str, line: str) -> Sample:
        return Sample(self._reader.seconds(line), number, raw[:_MAX_LINE])

    def _group(self, shape: str, line: str, match: re.Match[str] | None, status: str) -> LineGroup:
        """The group of a new shape."""
        end = match.end() if match is not None else 0
        program = (match[5] if match is not None else None) or self._service
        text = self._masks.mask(shape[end : len(shape) - len(status)].lstrip(" :-"))
        key = self._masks[program.translate(_STR_DIGITS)], status, text
        group = self._groups.get(key)
        if group is None:
            level = severity(line[:end], line[end:_MAX_LINE])
            notable = level > INFO or status == "5" or is_change(text)
            group = self._groups[key] = LineGroup(program, level, text, status, notable)
        if len(self._shapes) >= _SHAPES:
            self._shapes.clear()
        self._shapes[shape] = group
        return group


_STR_DIGITS = str.maketrans("123456789", "000000000")


def _status(line: str) -> str:
    """ "5" if the line reports an HTTP status of 500 or more."""
    return "5" if "status=5" in line or 'status":5' in line else ""


def _add_values(group: LineGroup, line: str) -> None:
    """Count the ids and values of a notable line; a full table counts only known values."""
    values = group.values
    for match in _VALUE.finditer(line[:_MAX_LINE]):
        value = match["pair"] or match["id"]
        if value in values or len(values) < _VALUES:
            values[value] = values.get(value, 0) + 1


def digest_chunk(data: bytes, label: str, newest: float) -> ChunkDigest:
    """The digest of whole lines. `label` names the source; lines without a host count as its."""
    raw = data.decode("utf-8", "replace").removesuffix("\n").split("\n")
    if data[:1] == b"{":
        lines = plain_lines(raw)
        shapes = [line.translate(_STR_DIGITS) for line in lines]
    else:
        lines = raw
        shapes = data.translate(DIGITS).decode("utf-8", "replace").removesuffix("\n").split("\n")
    return _Counter(label, newest).count(raw, lines, shapes)
