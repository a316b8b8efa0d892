"""An index in memory: nothing is kept between sessions, files are read when a query needs them.

It serves until there is an index on disk, and small repositories after that. Scores are those of
BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009) over the words of the
query, with boosts for what the query names outright. Tests come after all other files: a task
quotes the test more often than the code at fault, and it is the code that is to be changed.
"""

from __future__ import annotations

import codecs
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from localagent.edits.textfile import decode, is_binary
from localagent.errors import OutsideWorkspace
from localagent.index.base import Hit, Symbol
from localagent.index.kinds import is_data, is_docs, is_test, may_be_text
from localagent.index.outline import outline
from localagent.index.query import Query, count_term, parse_query
from localagent.index.written import named_among, of_frame
from localagent.workspace import Workspace

# Larger files are data or generated.
MAX_FILE_BYTES = 512 << 10
# One query reads so much at most, the files changed last first: a second or two of work.
MAX_QUERY_BYTES = 64 << 20
# Symbols are looked at in the files that are best by their words alone.
_OUTLINED = 40
_SATURATION, _LENGTH = 1.2, 0.5  # BM25's k1 and b; b is low, for long source files are no worse

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

Stamp = tuple[int, int]


@dataclass(slots=True)
class _Matches:
    """How often each term stands in one file, and the file's size in bytes."""

    counts: dict[str, int]
    size: int


@dataclass(slots=True)
class _Score:
    """A file's score while it is added up."""

    value: float = 0.0
    named: bool = False
    reasons: list[str] = field(default_factory=list)


class SimpleIndex:
    """See `Index`."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._files: list[str] | None = None
        self._outlines: dict[str, tuple[Stamp, list[Symbol]]] = {}

    def refresh(self) -> None:
        """List the files again; their contents are compared by time and size when they are used."""
        self._files = [name for name in self._workspace.files() if may_be_text(name)]
        known = set(self._files)
        self._outlines = {p: entry for p, entry in self._outlines.items() if p in known}

    def files(self) -> Sequence[str]:
        """All files that may be text, sorted; only a name's ending tells, until one is read."""
        if self._files is None:
            self.refresh()
        return self._files or []

    def symbols(self, path: str) -> Sequence[Symbol]:
        """The definitions of one file; none for what is not there, or is no text."""
        stamp = self._stamp(path)
        if stamp is None or stamp[1] > MAX_FILE_BYTES:
            return []
        entry = self._outlines.get(path)
        if entry is None or entry[0] != stamp:
            text = self._text(path)
            entry = (stamp, [] if text is None else outline(path, text))
            self._outlines[path] = entry
        return entry[1]

    def definitions(self, name: str) -> Sequence[Symbol]:
        """The definitions with this name, those outside of tests first."""
        last = name.strip().removesuffix("()").rsplit(".", 1)[-1]
        if not last:
            return []
        found: list[Symbol] = []
        wanted = last.encode()
        for path, data in self._contents():
            if wanted in data:
                found += [s for s in self.symbols(path) if s.name.rsplit(".", 1)[-1] == last]
        return sorted(found, key=lambda s: (is_test(s.path), s.path, s.line))

    def search(self, query: str, limit: int = 10) -> Sequence[Hit]:
        """The files that best answer `query`, best first."""
        asked = parse_query(query)
        scores: dict[str, _Score] = {}
        idf = self._score_words(asked, scores)
        self._score_names(asked, scores, idf)
        self._score_symbols(asked, scores, idf)
        self._score_frames(asked, scores)
        for path, score in scores.items():
            if (is_docs(path) or is_data(path)) and not score.named:
                score.value *= 0.3
        ranked = sorted(
            (item for item in scores.items() if item[1].value > 0),
            key=lambda item: (is_test(item[0]) and not item[1].named, -item[1].value, item[0]),
        )
        return [Hit(path, round(s.value, 3), tuple(s.reasons)) for path, s in ranked[:limit]]

    # Scores

    def _score_words(self, asked: Query, scores: dict[str, _Score]) -> dict[str, float]:
        """Score the files by their words; returns each term's rarity."""
        found: dict[str, _Matches] = {}
        total = size = 0
        for path, data in self._contents() if asked.terms else ():
            total, size = total + 1, size + len(data)
            lower = data.lower()
            counts = {term: count_term(data, lower, term) for term in asked.terms}
            counts = {term: count for term, count in counts.items() if count}
            if counts:
                found[path] = _Matches(counts, len(data))
        having = Counter(term for matches in found.values() for term in matches.counts)
        idf = {term: _idf(total, having[term]) for term in asked.terms}
        average = size / total if total else 1.0
        for path, matches in found.items():
            norm = _SATURATION * (1 - _LENGTH + _LENGTH * matches.size / max(average, 1.0))
            parts = {
                term: asked.terms[term] * idf[term] * count * (1 + _SATURATION) / (count + norm)
                for term, count in matches.counts.items()
            }
            best = sorted(parts, key=lambda term: -parts[term])[:4]
            scores[path] = _Score(sum(parts.values()), reasons=[f"has {', '.join(best)}"])
        return idf

    def _score_names(self, asked: Query, scores: dict[str, _Score], idf: dict[str, float]) -> None:
        """Raise the files that the query names, by path or by a word of it."""
        highest = max((score.value for score in scores.values()), default=1.0)
        named = dict(named_among(self.files(), asked.paths))
        for path in self.files():
            if path in named:
                score = scores.setdefault(path, _Score())
                score.value += highest + 10.0
                score.named = True
                score.reasons.insert(0, f"the query names {named[path]}")
            data = os.fsencode(path)
            lower = data.lower()
            stem = PurePosixPath(path).stem.lower()
            words = [term for term in asked.terms if count_term(data, lower, term)]
            if words:
                score = scores.setdefault(path, _Score())
                for word in words:
                    rarity = asked.terms[word] * max(idf[word], 0.5)
                    score.value += (3.0 if word == stem else 1.5) * rarity
                score.reasons.append(f"its path has {', '.join(words[:3])}")

    def _score_frames(self, asked: Query, scores: dict[str, _Score]) -> None:
        """Raise the files of a traceback, the innermost frame most."""
        if not asked.frames:
            return
        highest = max((score.value for score in scores.values()), default=1.0)
        known = self.files()
        total = len(asked.frames)
        seen: set[str] = set()
        for depth, (written, line) in enumerate(reversed(asked.frames)):
            path = of_frame(self._workspace, written, known)
            if path is None or path in seen:
                continue
            seen.add(path)
            score = scores.setdefault(path, _Score())
            score.value += (highest + 5.0) * (1 - 0.5 * depth / total)
            score.reasons.insert(0, f"the traceback passes line {line}")

    def _score_symbols(
        self, asked: Query, scores: dict[str, _Score], idf: dict[str, float]
    ) -> None:
        """Raise the files that define what the query names."""
        best = sorted(scores, key=lambda path: (is_test(path), -scores[path].value))[:_OUTLINED]
        for path in best:
            names = {s.name.rsplit(".", 1)[-1].lower() for s in self.symbols(path)}
            bare = {name.replace("_", "") for name in names}
            hits = [
                t for t in asked.terms if t in names or ("_" in t and t.replace("_", "") in bare)
            ]
            if hits:
                score = scores[path]
                score.value += sum(2.0 * asked.terms[t] * max(idf.get(t, 1.0), 0.5) for t in hits)
                score.reasons.insert(0, f"defines {', '.join(hits[:3])}")

    # Files

    def _contents(self) -> Iterator[tuple[str, bytes]]:
        """The bytes of all text files within the bounds, those changed last first."""
        stamps = ((self._stamp(path), path) for path in self.files())
        found = [(stamp, path) for stamp, path in stamps if stamp and stamp[1] <= MAX_FILE_BYTES]
        room = MAX_QUERY_BYTES
        for stamp, path in sorted(found, key=lambda entry: (-entry[0][0], entry[1])):
            room -= stamp[1]
            if room < 0:
                return
            try:
                data = self._workspace.read_listed(path, MAX_FILE_BYTES)
            except OSError:
                continue
            if data.startswith(_UTF16):
                data = decode(data).text.encode()
            if not is_binary(data):
                yield path, data

    def _stamp(self, path: str) -> Stamp | None:
        """When a file was changed (nanoseconds) and its size (bytes); None where there is none."""
        try:
            found = os.stat(f"{self._workspace.root}/{path}", follow_symlinks=False)  # noqa: PTH116
        except (OSError, ValueError):
            return None
        return found.st_mtime_ns, found.st_size

    def _text(self, path: str) -> str | None:
        """The text of a file; None where it is binary or unreadable."""
        try:
            data = self._workspace.read_bytes(path, MAX_FILE_BYTES)
        except (OSError, OutsideWorkspace):
            return None
        return None if is_binary(data) else decode(data).text


def _idf(total: int, having: int) -> float:
    """How rare a term is among `total` files, of which `having` have it."""
    return math.log(1 + (total - having + 0.5) / (having + 0.5))
