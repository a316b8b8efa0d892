"""The digest as sections of text: for the terminal, a Markdown page, and the model.

Every line that a section quotes stands in the logs; secrets and control characters are redacted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from localagent.logs.chunk import NO_TIME
from localagent.logs.digest import LogDigest
from localagent.logs.incident import Incident, LogEvent
from localagent.logs.severity import ERROR, NAMES, WARN
from localagent.logs.templates import Template
from localagent.logs.timestamps import show_time

_BARS = " ▁▂▃▄▅▆▇█"
_COLUMNS = 60
_LINE = 150
_MOST = 8
_RARE = 3
"""Most lines of a template that counts as rare."""


@dataclass(frozen=True, slots=True)
class LogSection:
    """A title and its lines."""

    title: str
    lines: tuple[str, ...]


def sections(
    digest: LogDigest, incident: Incident | None, answer: str = ""
) -> Iterator[LogSection]:
    """The parts of the report that have lines, the most important first."""
    return (part for part in _sections(digest, incident, answer) if part.lines)


def _sections(digest: LogDigest, incident: Incident | None, answer: str) -> Iterator[LogSection]:
    yield LogSection("what was read", tuple(_head(digest)))
    if answer:
        yield LogSection("answer", tuple(answer.splitlines()))
    if digest.first != NO_TIME:
        yield LogSection("warnings and errors by time", tuple(timeline(digest, incident)))
    if incident is not None:
        yield from _incident(digest, incident)
    else:
        yield LogSection("incident", ("no burst of errors or warnings stands out",))
    worst = sorted(
        (t for t in digest.templates if t.severity >= WARN), key=lambda t: (-t.severity, -t.count)
    )
    yield LogSection("warnings and errors", tuple(_template_rows(digest, worst[:_MOST])))
    rare = [t for t in digest.templates if t.count <= _RARE and t.severity < WARN]
    yield LogSection("rare lines", tuple(_template_rows(digest, rare[:_MOST])))
    common = sorted(digest.templates, key=lambda t: -t.count)
    yield LogSection("most lines", tuple(_template_rows(digest, common[:_MOST])))


def _head(digest: LogDigest) -> Iterator[str]:
    names = [source.path for source in digest.sources]
    files = names[0] if len(names) == 1 else f"{len(names)} files"
    yield f"{files}: {digest.lines:,} lines of {len(digest.templates):,} kinds"
    if digest.first != NO_TIME:
        yield f"{show_time(digest.first)} to {show_time(digest.last)} UTC"
    else:
        yield "no time stamps were recognized"


def timeline(digest: LogDigest, incident: Incident | None) -> Iterator[str]:
    """A bar for each part of the time, for errors and for warnings, with the onset below."""
    first, last = digest.first, digest.last
    step = max(1, -(-(last - first + 1) // _COLUMNS))
    columns = (last - first) // step + 1
    for name, low, high in (("errors  ", ERROR, 9), ("warnings", WARN, WARN)):
        counts: Counter[int] = Counter()
        for template in digest.templates:
            if low <= template.severity <= high:
                for minute, count in template.minutes.items():
                    counts[(max(minute, first) - first) // step] += count
        most = max(counts.values(), default=0)
        row = "".join(_bar(counts[column], most) for column in range(columns))
        yield f"{name} |{row}| at most {most:,} in {step} min"
    if incident is not None:
        column = (incident.onset - first) // step
        yield f"{'':9}{'':{column}} ^ errors begin at {show_time(incident.onset)[11:]}"
    start, end = show_time(first)[11:], show_time(last)[11:]
    yield f"{'':9} {start}{end:>{max(columns - len(start), len(end) + 1)}}"


def _bar(count: int, most: int) -> str:
    return _BARS[-(-count * (len(_BARS) - 1) // most)] if count else " "


def _incident(digest: LogDigest, incident: Incident) -> Iterator[LogSection]:
    if incident.candidates:
        cause, *others = incident.candidates
        yield LogSection("probable first cause", tuple(_evidence(digest, cause)))
        if others:
            rows = (_event_row(digest, each) for each in others)
            yield LogSection("other candidates", tuple(rows))
    rows = (_event_row(digest, each) for each in incident.course)
    yield LogSection("course of events", tuple(rows))
    touched = [f"{host}  {count:,} lines" for host, count in incident.hosts]
    yield LogSection("hosts with errors since then", tuple(touched))
    if incident.ids:
        ids = [f"{value}  in {count} kinds of errors" for value, count in incident.ids]
        yield LogSection("what the errors share", tuple(ids))


def _evidence(digest: LogDigest, event: LogEvent) -> Iterator[str]:
    yield f"{show_time(event.minute)}  {origin(event.template)}"
    yield f"{digest.where(event.place)}"
    yield clip(event.place.text)
    yield _why(event)


def _why(event: LogEvent) -> str:
    if event.burst is not None:
        return f"{event.burst.count} lines in 5 min, usually {event.burst.usual:.1f}"
    if not event.is_new:
        return f"the latest of {event.template.count:,} lines of this kind"
    times = f"{event.template.count:,} lines" if event.template.count > 1 else "one line"
    return f"new: {times} from then on, none before"


def _event_row(digest: LogDigest, event: LogEvent) -> str:
    time = show_time(event.minute)[11:]
    return f"{time}  {digest.where(event.place)}  {clip(event.place.text)}"


def origin(template: Template) -> str:
    """The hosts with most of the lines, and the program."""
    hosts = sorted(template.hosts, key=lambda host: -template.hosts[host])
    more = f" and {len(hosts) - 2} more" if len(hosts) > 2 else ""
    program = template.program
    program = f", {program}" if program and not hosts[0].endswith(program) else ""
    return f"{', '.join(hosts[:2])}{more}{program}"


def _template_rows(digest: LogDigest, templates: Iterable[Template]) -> Iterator[str]:
    for template in templates:
        times = ""
        if template.first != NO_TIME:
            times = f"{show_time(template.first)[5:]} to {show_time(template.last)[5:]}"
        level = NAMES[template.severity]
        yield f"{template.count:>9,}  {level:5}  {times}  {origin(template)}"
        place = template.samples[0]
        yield f"{'':11}{digest.where(place)}  {clip(template.text)}"


def clip(text: str, limit: int = _LINE) -> str:
    """A line, cut to `limit` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def as_text(parts: Iterable[LogSection]) -> str:
    """The sections for a terminal."""
    blocks = ["\n".join([part.title, *(f"  {line}" for line in part.lines)]) for part in parts]
    return "\n\n".join(blocks)


def as_markdown(parts: Iterable[LogSection]) -> str:
    """The sections as a page; the lines are code, so no line can be markup."""
    blocks = ["# Logs"]
    for part in parts:
        lines = "\n".join(f"    {line}" for line in part.lines)
        blocks.append(f"## {part.title.capitalize()}\n\n{lines}")
    return "\n\n".join(blocks) + "\n"


def as_json(digest: LogDigest, incident: Incident | None) -> dict[str, object]:
    """The digest and the incident as values for JSON. Times are UTC, to the minute."""
    return {
        "files": [source.path for source in digest.sources],
        "lines": digest.lines,
        "first": _time(digest.first),
        "last": _time(digest.last),
        "incident": None if incident is None else _incident_json(digest, incident),
        "templates": [_template_json(digest, template) for template in digest.templates],
    }


def _incident_json(digest: LogDigest, incident: Incident) -> dict[str, object]:
    events = [_event_json(digest, each) for each in incident.candidates]
    return {
        "onset": _time(incident.onset),
        "cause": events[0] if events else None,
        "candidates": events,
        "course": [_event_json(digest, each) for each in incident.course],
        "hosts": dict(incident.hosts),
        "shared": dict(incident.ids),
    }


def _event_json(digest: LogDigest, event: LogEvent) -> dict[str, object]:
    return {
        "minute": _time(event.minute),
        "place": digest.where(event.place),
        "text": event.place.text,
        "lines": event.template.count,
        "new": event.is_new,
        "score": round(event.score, 2),
    }


def _template_json(digest: LogDigest, template: Template) -> dict[str, object]:
    return {
        "text": template.text,
        "program": template.program,
        "level": NAMES[template.severity],
        "lines": template.count,
        "first": _time(template.first),
        "last": _time(template.last),
        "hosts": template.hosts,
        "place": digest.where(template.samples[0]),
        "sample": template.samples[0].text,
    }


def _time(minute: int) -> str | None:
    return None if minute == NO_TIME else show_time(minute)


def reordered(incident: Incident, cause: LogEvent) -> Incident:
    """The incident with `cause` as its first candidate."""
    others: Sequence[LogEvent] = [each for each in incident.candidates if each is not cause]
    return Incident(
        *(incident.onset, (cause, *others), incident.course, incident.hosts, incident.ids)
    )
