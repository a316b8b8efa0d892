"""The digest of log files: templates, and where each chunk of lines stands.

The calling process reads; two processes count the lines of chunks; the calling process merges. So
memory is bounded by a few chunks and the templates.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from localagent.code.process import Child, ChildDied
from localagent.core.errors import LocalAgentError
from localagent.logs.chunk import NO_TIME, ChunkDigest, digest_chunk
from localagent.logs.masks import without_pairs
from localagent.logs.sources import LogChunk, Source, chunks
from localagent.logs.templates import LogLine, Template, TemplateMiner
from localagent.redaction.redactor import Redactor

_PROCESSES = 2
_AHEAD = 3
"""Chunks that are read before their turn: one for each process, and one more."""

Progress = Callable[[int, int], None]
"""Receives the bytes that are read, and all bytes; 0 if their number is unknown."""


@dataclass(frozen=True, slots=True)
class Span:
    """A chunk: its source, its first line, its number of lines, its first and last minute."""

    source: int
    line: int
    lines: int
    first: int
    last: int


@dataclass(slots=True)
class LogDigest:
    """All that is known of a set of sources. Its texts have no secrets."""

    sources: list[Source]
    templates: list[Template] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)

    @property
    def lines(self) -> int:
        """The number of lines."""
        return sum(span.lines for span in self.spans)

    @property
    def first(self) -> int:
        """The first minute, or NO_TIME."""
        return min((s.first for s in self.spans if s.first != NO_TIME), default=NO_TIME)

    @property
    def last(self) -> int:
        """The last minute, or NO_TIME."""
        return max((s.last for s in self.spans), default=NO_TIME)

    def where(self, place: LogLine) -> str:
        """A line's place as "path:line"."""
        return f"{self.sources[place.source].path}:{place.line}"


def make_digest(sources: Sequence[Source], progress: Progress) -> LogDigest:
    """Read all sources. Raises UsageError for an unreadable one."""
    digest = LogDigest(list(sources))
    miner = TemplateMiner()
    total = sum(source.size for source in sources)
    done, line, current = 0, 1, 0
    for chunk, counted in _counted(sources):
        if chunk.source != current:
            done += sources[current].size
            line, current = 1, chunk.source
        miner.add(counted.groups, chunk.source, line)
        digest.spans.append(Span(chunk.source, line, counted.lines, counted.first, counted.last))
        line += counted.lines
        progress(done + chunk.read, total)
    digest.templates = sorted(miner.templates, key=lambda template: template.first)
    _redact(digest)
    return digest


def _counted(sources: Sequence[Source]) -> Iterator[tuple[LogChunk, ChunkDigest]]:
    """Each chunk with its digest, in order; `_PROCESSES` processes work side by side."""
    children = [Child(module="localagent.logs.chunk") for _ in range(_PROCESSES)]
    free = deque(children)

    def count(chunk: LogChunk) -> ChunkDigest:
        source = sources[chunk.source]
        child = free.popleft()  # at most one task for each process, so one is free
        try:
            return child.call(digest_chunk, chunk.data, source.label, source.modified)
        except (ChildDied, OSError) as error:
            raise LocalAgentError(f"a process that reads {source.path} ended: {error}") from error
        finally:
            free.append(child)

    waiting: deque[tuple[LogChunk, Future[ChunkDigest]]] = deque()
    with ThreadPoolExecutor(_PROCESSES, "log-reader") as pool:
        try:
            for number, source in enumerate(sources):
                for chunk in chunks(number, source):
                    waiting.append((chunk, pool.submit(count, chunk)))
                    if len(waiting) >= _AHEAD:
                        chunk, future = waiting.popleft()
                        yield chunk, future.result()
            while waiting:
                chunk, future = waiting.popleft()
                yield chunk, future.result()
        finally:
            for child in children:  # ends the calls of a caller that stopped early
                child.close()


def _redact(digest: LogDigest) -> None:
    """Remove the secrets from all texts of a digest."""
    redactor = Redactor()
    for template in digest.templates:
        for place in template.samples:
            place.text = redactor.redact(without_pairs(place.text))
        template.text = redactor.redact(template.text)
        template.values = {
            value: count
            for value, count in template.values.items()
            if redactor.redact(value) == value
        }
