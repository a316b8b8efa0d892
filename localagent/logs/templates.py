"""Merges the groups of all chunks into templates; drain3 joins messages that differ in words.

drain3 sees each masked message once, not each line: a log of 500 MB has millions of lines, but only
thousands of masked messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from localagent.logs.chunk import NO_TIME, LineGroup, Sample

if TYPE_CHECKING:
    from drain3.drain import Drain

_MAX_TEMPLATES = 5000
_KEPT_FIRST = 3
_SLOTS = 48
_SLOT_MINUTES = 10
_LETTERS = str.maketrans("0123456789", "abcdefghij")
_VALUES = 200
_HOSTS = 500
# Other lines, and lines of more than eleven days, are counted by ten minutes.
_MINUTES = 16_000
_TOKENS = 60
"""Words of a message that drain3 compares; the rest of a long line is cut."""


@dataclass(slots=True)
class LogLine:
    """A line that stands for others: source, line number, time in seconds, and text."""

    source: int
    line: int
    seconds: float
    text: str

    @property
    def minute(self) -> int:
        """The minute since the epoch."""
        return int(self.seconds // 60) if self.seconds else NO_TIME


@dataclass(slots=True)
class Template:
    """All lines of one kind: their counts by minute and by host, samples, and common values.

    `samples` has the first lines in order of time, then one of each ten minutes, then the last.
    """

    number: int
    program: str
    severity: int
    text: str
    status: str = ""
    notable: bool = False
    count: int = 0
    minutes: dict[int, int] = field(default_factory=dict)
    hosts: dict[str, int] = field(default_factory=dict)
    samples: list[LogLine] = field(default_factory=list)
    values: dict[str, int] = field(default_factory=dict)

    @property
    def first(self) -> int:
        """The minute of the first line."""
        return self.samples[0].minute

    @property
    def last(self) -> int:
        """The minute of the last line."""
        return self.samples[-1].minute

    def sample_at(self, minute: int) -> LogLine:
        """The first sample from `minute` on, otherwise the last one."""
        return next((s for s in self.samples if s.minute >= minute), self.samples[-1])

    def add(self, group: LineGroup, source: int, line: int) -> None:
        """Add the lines of a chunk that begins at line number `line` of a source."""
        self.count += sum(group.minutes.values())
        self.severity = max(self.severity, group.severity)
        self.notable = self.notable or group.notable
        step = 1 if self.notable and len(self.minutes) < _MINUTES else _SLOT_MINUTES
        for minute, number in group.minutes.items():
            key = minute - minute % step
            self.minutes[key] = self.minutes.get(key, 0) + number
        _add_counts(self.hosts, group.hosts, _HOSTS)
        _add_counts(self.values, group.values, _VALUES)
        self._add_samples(group.samples, source, line)

    def _add_samples(self, samples: Iterable[Sample], source: int, line: int) -> None:
        new = [LogLine(source, line + s.line, s.seconds, s.text) for s in samples]
        ordered = sorted([*self.samples, *new], key=lambda s: s.seconds)
        kept, slots = ordered[:_KEPT_FIRST], {s.minute // _SLOT_MINUTES for s in ordered[:1]}
        for place in ordered[_KEPT_FIRST:-1]:
            slot = place.minute // _SLOT_MINUTES
            if slot not in slots and len(slots) < _SLOTS:
                slots.add(slot)
                kept.append(place)
        self.samples = kept + ordered[max(len(ordered) - 1, _KEPT_FIRST) :]


def _add_counts(counts: dict[str, int], more: dict[str, int], limit: int) -> None:
    """Add `more` to `counts`; a full table counts only the keys that it has."""
    for key, number in more.items():
        if key in counts or len(counts) < limit:
            counts[key] = counts.get(key, 0) + number


class TemplateMiner:
    """Collects templates. A message beyond the limit joins the template of the rest."""

    def __init__(self) -> None:
        self.templates: list[Template] = []
        self._drain = _new_drain()
        self._known: dict[tuple[str, str, str], Template] = {}
        self._clusters: dict[int, Template] = {}
        self._rest: Template | None = None

    def add(self, groups: Iterable[LineGroup], source: int, line: int) -> None:
        """Add the groups of a chunk that begins at line number `line` of a source."""
        for group in groups:
            key = group.program, group.status, group.text
            template = self._known.get(key)
            if template is None:
                template = self._known[key] = self._template(group)
            template.add(group, source, line)

    def _template(self, group: LineGroup) -> Template:
        """The template that drain3 finds for a new message."""
        if len(self.templates) >= _MAX_TEMPLATES:
            if self._rest is None:
                self._rest = self._new(group, "<other lines>")
            return self._rest
        words = group.text.split()[:_TOKENS]
        # The first word keeps programs, statuses and severities apart; drain3 would not compare
        # a first word with digits.
        head = [f"{group.program or '-'}|{group.status}|{group.severity}".translate(_LETTERS)]
        cluster, _ = self._drain.add_log_message(" ".join([*head, *words]))
        template = self._clusters.get(cluster.cluster_id)
        text = " ".join(cluster.log_template_tokens[1:])
        if template is None:
            template = self._clusters[cluster.cluster_id] = self._new(group, text)
        template.text = text
        return template

    def _new(self, group: LineGroup, text: str) -> Template:
        template = Template(
            *(len(self.templates) + 1, group.program, group.severity, text),
            *(group.status, group.notable),
        )
        self.templates.append(template)
        return template


def _new_drain() -> Drain:
    from drain3.drain import Drain

    return Drain(depth=4, sim_th=0.6, max_children=200)
