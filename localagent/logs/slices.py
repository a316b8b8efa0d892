"""A slice of the logs: the lines of some minutes, or with some words. The files are read again.

Only chunks whose minutes overlap are searched, so a slice of a large file is quick.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice

from localagent.core.errors import UsageError
from localagent.logs.chunk import NO_TIME
from localagent.logs.digest import LogDigest, Span
from localagent.logs.json_lines import plain_lines
from localagent.logs.masks import without_pairs
from localagent.logs.sources import STDIN, chunks
from localagent.logs.templates import LogLine
from localagent.logs.timestamps import TimeReader, read_minute, show_time
from localagent.redaction.redactor import Redactor

_TIME = re.compile(
    r"(?:(?P<date>\d{4}-\d\d-\d\d)[ T])?(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::\d\d)?Z?"
)
_MAX_LINE = 2000


def read_slice(
    digest: LogDigest, first: int, last: int, words: Sequence[str], limit: int
) -> list[LogLine]:
    """At most `limit` lines from minute `first` to `last` that have all `words`, in order of time.

    Secrets are redacted.
    """
    places = list(islice(_places(digest, first, last, [w.lower() for w in words]), limit * 20))
    places.sort(key=lambda place: place.seconds)
    redactor = Redactor()
    for place in places[:limit]:
        place.text = redactor.redact(without_pairs(place.text[:_MAX_LINE]))
    return places[:limit]


def parse_minute(text: str, digest: LogDigest, default: int) -> int:
    """The minute that `text` names: "2026-11-28 21:23", or "21:23" of the log's last day.

    "" is `default`. Raises UsageError for a text that is no time.
    """
    if not text.strip():
        return default
    match = _TIME.fullmatch(text.strip())
    if match is None or int(match["hour"]) > 23 or int(match["minute"]) > 59:
        raise UsageError(f"{text!r} is no time", 'write "21:23" or "2026-11-28 21:23"')
    clock = f"{int(match['hour']):02}:{match['minute']}"
    date = match["date"] or show_time(digest.last)[:10]
    minute = read_minute(f"{date} {clock}")
    if minute is None:
        raise UsageError(f"{text!r} is no time", 'write "2026-11-28 21:23"')
    before = minute - 24 * 60
    return (
        before if not match["date"] and minute > digest.last >= before >= digest.first else minute
    )


def _places(digest: LogDigest, first: int, last: int, words: Sequence[str]) -> Iterator[LogLine]:
    for number, source in enumerate(digest.sources):
        spans = [span for span in digest.spans if span.source == number]
        overlapping = [
            s for s in spans if s.first == NO_TIME or (s.first <= last and first <= s.last)
        ]
        if source.path == STDIN or not overlapping:
            continue
        reader = TimeReader(source.modified)
        for span, chunk in zip(spans, chunks(number, source), strict=False):
            if span in overlapping:
                yield from _matches(span, chunk.data, reader, (first, last), words)
            if span is overlapping[-1]:
                break


def _matches(
    span: Span, data: bytes, reader: TimeReader, minutes: tuple[int, int], words: Sequence[str]
) -> Iterator[LogLine]:
    raw = data.decode("utf-8", "replace").removesuffix("\n").split("\n")
    lines = plain_lines(raw) if data[:1] == b"{" else raw
    minute = span.first
    for number, line in enumerate(lines):
        match = reader.match(line)
        minute = (reader.minute(match) if match is not None else None) or minute
        if minutes[0] <= minute <= minutes[1] or minute == NO_TIME:
            lower = line.lower()
            if all(word in lower for word in words):
                seconds = reader.seconds(line) or minute * 60.0
                yield LogLine(span.source, span.line + number, seconds, raw[number])
