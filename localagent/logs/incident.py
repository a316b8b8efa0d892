"""Finds an incident in a digest: when errors began, and which lines may be the first cause.

A candidate is a line that is new, or comes in a burst, shortly before the errors or with them. It
ranks by severity, rarity, time, and by the words that it shares with the errors: a host, a
service, an id. Of the best candidates, the earliest comes first.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from localagent.logs.bursts import Burst, Series
from localagent.logs.chunk import NO_TIME
from localagent.logs.digest import LogDigest
from localagent.logs.severity import ERROR, FATAL, INFO, WARN, is_change
from localagent.logs.templates import LogLine, Template

_WORD = re.compile(r"\d+(?:\.\d+){3}|[A-Za-z][\w-]*(?:\.[A-Za-z][\w-]*)*")


@dataclass(frozen=True, slots=True)
class IncidentLimits:
    """Weights and limits, chosen on the even seeds of `scripts/bench logs`."""

    before: int = 150  # Minutes before the errors in which a cause is searched
    after: int = 3  # Minutes after the first errors: a cause may be logged late
    quiet: int = 20  # First minutes of a log in which every line is new
    symptom: int = 5  # Fewest lines of an effect
    changes: int = 40  # Most lines of a change that is no ordinary line
    together: int = 10  # Minutes within which a change reaches all hosts
    candidates: int = 6
    follow: int = 12  # Steps of the course of events
    close: float = 0.78  # Share of the best score with which an earlier candidate wins
    fade: float = 22.0  # Minutes after which the nearness to the errors counts a third
    named_fade: float = 60.0  # The same for a host that the errors name: it may fail slowly
    linked: float = 1.2  # Link from which a line is part of the incident


LIMITS = IncidentLimits()
_SEVERITY = {FATAL: 2.5, ERROR: 1.6, WARN: 1.3, INFO: 0.6}
_CHANGE = 1.6
_LATEST = 1.4


@dataclass(frozen=True, slots=True)
class LogEvent:
    """A line that may be the first cause, the minute of its first time, and its score."""

    template: Template
    minute: int
    place: LogLine
    is_new: bool
    score: float = 0.0
    burst: Burst | None = None


@dataclass(frozen=True, slots=True)
class Incident:
    """The minute in which errors began, the candidates (best first), and the course of events."""

    onset: int
    candidates: tuple[LogEvent, ...]
    course: tuple[LogEvent, ...] = ()
    hosts: tuple[tuple[str, int], ...] = ()
    ids: tuple[tuple[str, int], ...] = field(default=())


def find_incident(digest: LogDigest) -> Incident | None:
    """The incident of a digest, or None if nothing in it is a burst of errors."""
    begin = digest.first
    timed = [t for t in digest.templates if t.first != NO_TIME]
    errors = [t for t in timed if _is_error(t)]
    onset = _onset(errors, begin)
    if onset is None:
        errors = [t for t in timed if t.severity >= WARN]
        onset = _onset(errors, begin)
    if onset is None:
        return None
    events = [event for event in (_event(t, onset, begin) for t in timed) if event is not None]
    symptoms = [e for e in events if _is_error(e.template) and e.minute >= onset - 1]
    # A single fatal line at the onset is more likely a cause than an effect.
    symptoms = [e for e in symptoms if e.template.count >= LIMITS.symptom] or symptoms
    ranked = _ranked(events, symptoms, onset, _weights(timed))
    course = sorted(
        (e for e in events if e.template.severity >= WARN or e.template.status == "5"),
        key=lambda event: event.place.seconds,
    )
    return Incident(
        onset,
        tuple(ranked[: LIMITS.candidates]),
        tuple(course[: LIMITS.follow]),
        _affected_hosts(symptoms, onset),
        _common_ids(symptoms),
    )


def _is_error(template: Template) -> bool:
    return template.severity >= ERROR or template.status == "5"


def _onset(errors: Sequence[Template], begin: int) -> int | None:
    """The first minute of the strongest burst of errors, all kinds counted together.

    Kinds that come all the time are left out: their usual number hides the start.
    """
    counts: Counter[int] = Counter()
    for template in errors:
        series = Series(template.minutes)
        burst = series.burst(begin)
        if burst is not None:
            counts.update({m: n for m, n in template.minutes.items() if m >= burst.start})
    burst = Series(counts).burst(begin) if counts else None
    return burst.start if burst is not None else None


def _event(template: Template, onset: int, begin: int) -> LogEvent | None:
    """What a template does near the onset: it is new, or has a burst, or is a rare change."""
    low, high = onset - LIMITS.before, onset + 30
    if template.severity == INFO and template.count <= LIMITS.changes:
        change = _latest_change(template, onset, begin)
        if change is not None:
            return change
    is_new = template.first >= max(low, begin + LIMITS.quiet)
    if is_new and template.first <= high:
        if not template.notable and template.count > 5:
            return None  # a new kind of ordinary line
        return LogEvent(template, template.first, template.samples[0], True)
    if not template.notable:
        return None
    recent = {m: n for m, n in template.minutes.items() if m <= high}
    burst = Series(recent).burst(begin) if recent else None
    if burst is None or burst.start < low:
        return None
    place = template.sample_at(burst.start)
    return LogEvent(template, burst.start, place, False, burst=burst)


def _latest_change(template: Template, onset: int, begin: int) -> LogEvent | None:
    """The latest of a few changes of one kind, such as deploys, if it came before the errors."""
    if not is_change(template.text):
        return None
    low, last = max(onset - LIMITS.before, begin + LIMITS.quiet), onset + LIMITS.after
    places = [s for s in template.samples if low <= s.minute <= last]
    together = [s for s in places if places[-1].minute - s.minute < LIMITS.together]
    if not together:
        return None
    place = together[0]
    return LogEvent(template, place.minute, place, place is template.samples[0])


def _weights(templates: Sequence[Template]) -> dict[str, float]:
    """How much a shared word means, from 0 to 1: words of few templates mean most."""
    seen: Counter[str] = Counter()
    for template in templates:
        seen.update(_words(template))
    whole = math.log(len(templates) + 1)
    return {word: math.log((len(templates) + 1) / n) / whole for word, n in seen.items()}


def _words(template: Template) -> set[str]:
    """The words of a template's first line and of its common values, and the words' parts."""
    texts = [template.samples[0].text]
    texts += sorted(template.values, key=lambda v: -template.values[v])[:8]
    whole = {word.lower() for text in texts for word in _WORD.findall(text)}
    parts = {part for word in whole for part in re.split(r"[_.-]", word)}
    return {word for word in whole | parts if len(word) > 2}


def _origins(template: Template) -> set[str]:
    """The names of the hosts and the program that wrote the lines."""
    hosts = sorted(template.hosts, key=lambda host: -template.hosts[host])[:3]
    names = [part.split(".")[0] for host in hosts for part in host.split("/")]
    return {name.lower() for name in (*names, template.program) if len(name) > 1}


@dataclass(slots=True)
class _Reach:
    """The words and origins of the errors, and of the lines that lead to them."""

    weights: dict[str, float]
    words: set[str] = field(default_factory=set)
    origins: set[str] = field(default_factory=set)
    symptoms: set[str] = field(default_factory=set)
    """The origins of the errors themselves."""

    def add(self, template: Template) -> None:
        """Add a line that is part of the incident."""
        self.words |= _words(template)
        self.origins |= _origins(template)

    def names(self, template: Template) -> bool:
        """Whether the incident's lines name the host of a line that is no error of the onset."""
        return bool((_origins(template) & self.words) - self.symptoms)

    def link(self, template: Template) -> float:
        """How closely a line belongs to the incident: an error that names its host says most."""
        words, origins = _words(template), _origins(template)
        score = 1.5 if self.names(template) else 0.4 if origins & self.origins else 0.0
        score += 0.5 if words & self.origins - origins else 0.0
        others = (words & self.words) - origins - self.origins
        shared = sorted((self.weights.get(word, 0.0) for word in others), reverse=True)
        return score + min(sum(shared[:4]) / 3, 1.0)


def _ranked(
    events: Iterable[LogEvent],
    symptoms: Sequence[LogEvent],
    onset: int,
    weights: dict[str, float],
) -> list[LogEvent]:
    """The candidates, best first."""
    reach = _Reach(weights)
    for event in symptoms:
        reach.add(event.template)
    reach.symptoms = set(reach.origins)
    possible = [e for e in events if e.minute <= onset + LIMITS.after]
    scored: list[LogEvent] = []
    # The latest first: a line that leads to the errors lends its words to the lines before it.
    for event in sorted(possible, key=lambda e: -e.place.seconds):
        link = 1.0 if event in symptoms else reach.link(event.template)
        fade = LIMITS.named_fade if reach.names(event.template) else LIMITS.fade
        scored.append(replace(event, score=_event_score(event, onset, fade) + link))
        if link >= LIMITS.linked:
            reach.add(event.template)
    best = max((event.score for event in scored), default=0.0)
    close = [e for e in scored if e.score >= best * LIMITS.close]
    rest = [e for e in scored if e not in close]
    return [
        *sorted(close, key=lambda e: e.place.seconds),
        *sorted(rest, key=lambda e: -e.score),
    ]


def _event_score(event: LogEvent, onset: int, fade: float) -> float:
    template = event.template
    score = _SEVERITY[template.severity]
    if template.severity == INFO and is_change(template.text):
        score = _CHANGE
    score += 1.5 if event.is_new else 0.3 if event.burst is not None else _LATEST
    score += 0.5 if template.count <= 3 else 0.0
    distance = onset - event.minute
    return score + (2.0 * math.exp(-distance / fade) if distance >= 0 else 0.5)


def _affected_hosts(symptoms: Sequence[LogEvent], onset: int) -> tuple[tuple[str, int], ...]:
    """The hosts with errors since the onset, and the number of their lines."""
    hosts: Counter[str] = Counter()
    for event in symptoms:
        after = sum(n for m, n in event.template.minutes.items() if m >= onset)
        share = after / max(event.template.count, 1)
        hosts.update({h: round(n * share) for h, n in event.template.hosts.items()})
    return tuple((host, n) for host, n in hosts.most_common(8) if n)


def _common_ids(symptoms: Sequence[LogEvent]) -> tuple[tuple[str, int], ...]:
    """Ids and values that at least two kinds of errors share, with the number of kinds."""
    kinds: Counter[str] = Counter()
    for event in symptoms:
        kinds.update(set(event.template.values))
    return tuple((value, n) for value, n in kinds.most_common(8) if n > 1)
