"""The code that the model is shown for a request: the most useful first, within a budget of tokens.

what the request names   whole, or its parts that answer the request
passages                 of the frames of a failure and of the index, best first, with what the best
                         of them use, and the imports of the best files
a map                    signatures of what lies near, where room is left
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from localagent.code.file_kinds import is_docs
from localagent.code.symbols import Symbol
from localagent.context.dependencies import Lines, Symbols, imports, with_used
from localagent.context.excerpt import Count, Span, excerpt, joined, render
from localagent.core.errors import OutsideWorkspace
from localagent.edits.textfile import decode, is_binary, sha256
from localagent.index.base import Index, Passage
from localagent.workspace.workspace import Workspace

NAMED_SHARE = 0.6
"""Of the budget, for what the request names; passages of other files get the rest at least."""

MAP_SHARE = 0.05
"""Of the budget, at most, for the map."""

IMPORTS_SHARE = 0.1
"""Of the budget, at most, for the imports of one file; `_IMPORTED` files show theirs."""

Saw = Callable[[str, str], None]
"""Is told of each file that is shown, with the SHA-256 of what it holds."""

_PASSAGES = 60
_IMPORTED = 2  # files of which the imports are shown
_MISSES = 8  # passages in a row that do not fit, until no more are tried
_MAPPED = 8  # files
_SIGNATURES = (12, 6, 3)  # of one file: as many as fit


@dataclass(frozen=True, slots=True)
class Shown:
    """A file, or parts of it, as the model is shown it; `reason` says why, for people."""

    path: str
    spans: tuple[Span, ...]
    text: str
    tokens: int
    reason: str


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was chosen, the most useful first, and the map (a line for each file), "" without."""

    shown: tuple[Shown, ...]
    map: str
    map_tokens: int

    @property
    def tokens(self) -> int:
        """All of it."""
        return sum(one.tokens for one in self.shown) + self.map_tokens

    def rows(self) -> list[tuple[int, str, str]]:
        """For people: tokens, what they are spent on, and why."""
        rows = [(one.tokens, f"{one.path}  {_lines(one.spans)}", one.reason) for one in self.shown]
        if self.map:
            files = self.map.count("\n") + 1
            rows.append((self.map_tokens, f"names of what else is in {files} file(s)", ""))
        return rows


@dataclass(slots=True)
class _File:
    """A file that is being filled."""

    lines: Sequence[str]
    symbols: Sequence[Symbol]
    spans: list[Span]
    text: str = ""
    tokens: int = 0


def gather(
    query: str,
    workspace: Workspace,
    index: Index,
    count: Count,
    budget: int,
    named: Sequence[str] = (),
    saw: Saw | None = None,
) -> Gathered:
    """Choose what answers `query`, with the files that it names, in at most `budget` tokens."""
    read: dict[str, str] = {}
    passages = index.passages(query, _PASSAGES)
    symbols = cache(index.symbols)  # a file is read and parsed each time it is asked
    shown = _named(
        named, workspace, symbols, passages, count, int(budget * NAMED_SHARE), read.__setitem__
    )
    left = budget - sum(one.tokens for one in shown)
    lines = cache(lambda path: text_of(workspace, path, read.__setitem__).splitlines())
    others = [p for p in with_used(passages, lines, symbols) if p.path not in named]
    left -= int(budget * MAP_SHARE)
    files = _filled(others, lines, symbols, count, left, int(budget * IMPORTS_SHARE))
    reasons = {passage.path: "; ".join(passage.reasons) for passage in passages}
    shown += [
        Shown(path, tuple(file.spans), file.text, file.tokens, reasons[path])
        for path, file in files.items()
    ]
    left = min(budget - sum(one.tokens for one in shown), int(budget * MAP_SHARE))
    near = dict.fromkeys([*(p for p in named if symbols(p)), *(p.path for p in passages)])
    drawn = _map(list(near), {one.path: one.spans for one in shown}, symbols, count, left)
    if saw is not None:
        for one in shown:
            saw(one.path, read[one.path])
        for path in drawn:
            text_of(workspace, path, saw)
    text = "\n".join(drawn.values())
    return Gathered(tuple(shown), text, count(text) if text else 0)


def text_of(workspace: Workspace, path: str, saw: Saw | None = None) -> str:
    """The text of a file that is only shown; empty where it is missing or no text."""
    try:
        data = workspace.read_bytes(path)
    except (OSError, OutsideWorkspace):
        return ""
    if is_binary(data):
        return ""
    if saw is not None:
        saw(path, sha256(data))
    return decode(data).text


def _lines(spans: Sequence[Span]) -> str:
    return "lines " + ", ".join(f"{first}-{last}" for first, last in spans)


def _named(
    named: Iterable[str],
    workspace: Workspace,
    symbols: Symbols,
    passages: Sequence[Passage],
    count: Count,
    budget: int,
    read: Saw,
) -> list[Shown]:
    found: list[Shown] = []
    for path in named:
        text = text_of(workspace, path, read)
        if not text.strip():
            continue
        wanted = [(p.line, p.end_line) for p in passages if p.path == path]
        wanted += [(s.line, s.end_line) for s in symbols(path)] or [
            (1, min(40, text.count("\n") + 1))
        ]
        shown, spans = excerpt(path, text, symbols(path), wanted, budget, count)
        if shown:
            tokens = count(shown)
            budget -= tokens
            found.append(Shown(path, tuple(spans), shown, tokens, "the request names it"))
    return found


def _filled(
    passages: Iterable[Passage],
    lines: Lines,
    symbols: Symbols,
    count: Count,
    budget: int,
    for_imports: int,
) -> dict[str, _File]:
    """Passages in the order given, as many as fit; the first files with their imports."""
    files: dict[str, _File] = {}
    misses = 0
    for passage in passages:
        path = passage.path
        file = files.get(path) or _File(lines(path), symbols(path), [])
        last = min(passage.end_line, len(file.lines))
        if passage.line > last:
            continue  # the file is shorter now
        more = [(passage.line, last)]
        if path not in files and len(files) < _IMPORTED and not is_docs(path):
            more += _imports(file.lines, count, for_imports)
        spans = joined([*file.spans, *more])
        text = render(path, file.lines, file.symbols, spans)
        tokens = count(text)
        if tokens - file.tokens > budget:
            misses += 1
            if misses >= _MISSES:
                break
            continue
        misses = 0
        budget -= tokens - file.tokens
        file.spans, file.text, file.tokens = spans, text, tokens
        files[path] = file
    return files


def _imports(lines: Sequence[str], count: Count, most: int) -> list[Span]:
    """Where a file's imports stand, where they are at most so many tokens."""
    span = imports(lines)
    if span is None or count("\n".join(lines[span[0] - 1 : span[1]])) > most:
        return []
    return [span]


def _map(
    paths: Sequence[str],
    shown: dict[str, tuple[Span, ...]],
    symbols: Symbols,
    count: Count,
    budget: int,
) -> dict[str, str]:
    """The signatures of what is not shown of these files, a line for each file, by path."""
    lines: dict[str, str] = {}
    for path in paths[:_MAPPED]:
        spans = shown.get(path, ())
        hidden = [
            symbol.signature or symbol.name
            for symbol in symbols(path)
            if not any(first <= symbol.line <= last for first, last in spans)
        ]
        if not hidden:
            continue
        for most in _SIGNATURES:
            more = "; …" if len(hidden) > most else ""
            line = f"`{path}`: {'; '.join(hidden[:most])}{more}"
            if count("\n".join([*lines.values(), line])) <= budget:
                lines[path] = line
                break
    return lines
