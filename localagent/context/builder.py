"""Selects the code for a request's prompt, the most useful first, within a budget of tokens.

named files   whole, or their parts that answer the request
passages      of a failure's frames and of the index, best first, with the definitions that the best
              of them use, and the imports of the best files
a map         signatures of other definitions in these files, where room is left
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import sqrt

from localagent.code.file_kinds import is_docs, is_test
from localagent.code.symbols import Symbol
from localagent.context.excerpt import Count, Lines, Span, excerpt, merge_spans, render
from localagent.context.limits import CONTEXT
from localagent.context.summary_match import SummaryMatch
from localagent.core.errors import OutsideWorkspace
from localagent.edits.textfile import decode, is_binary, sha256
from localagent.index.base import Index, Passage
from localagent.index.digest import LONGEST
from localagent.workspace.workspace import Workspace

Record = Callable[[str, str], None]
"""Receives the path and the SHA-256 of each file that a prompt contains in whole or in part."""

Symbols = Callable[[str], Sequence[Symbol]]
"""Returns the definitions of a file."""

_NAME = re.compile(r"[^\W\d]\w+")
_MAP_LINE = re.compile(r"^`([^`\n]+)`: (.+)$", re.MULTILINE)
_IMPORT = re.compile(r"(?:import|from|use|using|require|#\s*include)\b")
_USED = "code that matches your words uses it"
_OPEN, _CLOSE = "([{", ")]}"


@dataclass(frozen=True, slots=True)
class CodeExcerpt:
    """A file, or parts of it, as text for the model; `reason` tells the user why it was chosen."""

    path: str
    spans: tuple[Span, ...]
    text: str
    tokens: int
    reason: str


@dataclass(frozen=True, slots=True)
class Gathered:
    """The chosen excerpts, the most useful first, and the map: one line for each file, or ""."""

    excerpts: tuple[CodeExcerpt, ...]
    map: str
    map_tokens: int

    @property
    def tokens(self) -> int:
        """The tokens of all excerpts and of the map."""
        return sum(one.tokens for one in self.excerpts) + self.map_tokens

    def rows(self) -> list[tuple[int, str, str]]:
        """The rows of a table for the user: tokens, part of the prompt, reason."""
        rows = []
        for one in self.excerpts:
            lines = ", ".join(f"{first}-{last}" for first, last in one.spans)
            rows.append((one.tokens, f"{one.path}  lines {lines}", one.reason))
        if self.map:
            files = self.map.count("\n") + 1
            these = f"these {files} files" if files > 1 else "this file"
            rows.append((self.map_tokens, f"other names defined in {these}", ""))
        return rows


@dataclass(slots=True)
class _File:
    """The excerpt of one file while passages are added."""

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
    record: Record | None = None,
) -> Gathered:
    """Choose code that answers `query`, in at most `budget` tokens; `named` files come first."""
    digests: dict[str, str] = {}
    lines = cache(lambda path: text_of(workspace, path, digests.__setitem__).splitlines())
    found = index.passages(query, CONTEXT.passages)
    summaries = SummaryMatch(query, found, lines)
    passages = summaries.ranked(found)
    # cached, because the index reads and parses the file at each call
    symbols = cache(index.symbols)
    excerpts = _excerpts_of(
        named,
        workspace,
        symbols,
        passages,
        count,
        int(budget * CONTEXT.named_share),
        digests.__setitem__,
    )
    map_budget = int(budget * CONTEXT.map_share)
    left = budget - sum(one.tokens for one in excerpts) - map_budget
    strong = _strong(found) | _strong(passages)
    weak = {(p.path, p.line): p.score for p in passages if (p.path, p.line) not in strong}
    others = [
        p
        for p in with_used_definitions(passages, lines, index.definitions, summaries.score)
        if p.path not in named and p.score > weak.get((p.path, p.line), 0.0)  # or a used definition
    ]
    enough = int(budget * CONTEXT.enough_share)
    files = _fill(others, lines, symbols, count, left, enough)
    reasons = {passage.path: "; ".join(passage.reasons) for passage in [*others, *passages]}
    excerpts += [
        CodeExcerpt(path, tuple(file.spans), file.text, file.tokens, reasons[path])
        for path, file in files.items()
    ]
    left = min(budget - sum(one.tokens for one in excerpts), map_budget)
    paths = dict.fromkeys([*(p for p in named if symbols(p)), *(p.path for p in passages)])
    spans = {one.path: one.spans for one in excerpts}
    map_lines = _map_lines(list(paths), spans, symbols, count, left)
    if record is not None:
        for one in excerpts:
            record(one.path, digests[one.path])
        for path in map_lines:
            text_of(workspace, path, record)
    text = "\n".join(map_lines.values())
    return Gathered(tuple(excerpts), text, count(text) if text else 0)


def _strong(passages: Sequence[Passage]) -> set[tuple[str, int]]:
    """The path and line of each passage whose score is above the floor of relevance."""
    best = max((passage.score for passage in passages), default=0.0)
    return {(p.path, p.line) for p in passages if p.score >= best * CONTEXT.relevance_floor}


def text_of(workspace: Workspace, path: str, record: Record | None = None) -> str:
    """The text of a file; empty if the file is missing, binary or hidden by a rule."""
    try:
        if workspace.hides(path):
            return ""
        data = workspace.read_bytes(path)
    except (OSError, OutsideWorkspace):
        return ""
    if is_binary(data):
        return ""
    if record is not None:
        record(path, sha256(data))
    return decode(data).text


def _excerpts_of(
    named: Iterable[str],
    workspace: Workspace,
    symbols: Symbols,
    passages: Sequence[Passage],
    count: Count,
    budget: int,
    record: Record,
) -> list[CodeExcerpt]:
    """Excerpts of the files that the request names: passages first, then all definitions."""
    excerpts: list[CodeExcerpt] = []
    for path in named:
        text = text_of(workspace, path, record)
        if not text.strip():
            continue
        wanted = [(p.line, p.end_line) for p in passages if p.path == path]
        wanted += [(s.line, s.end_line) for s in symbols(path)] or [
            (1, min(CONTEXT.unparsed_lines, text.count("\n") + 1))
        ]
        part, spans = excerpt(path, text, symbols(path), wanted, budget, count)
        if part:
            tokens = count(part)
            budget -= tokens
            excerpts.append(CodeExcerpt(path, tuple(spans), part, tokens, "the request names it"))
    return excerpts


def _fill(
    passages: Iterable[Passage],
    lines: Lines,
    symbols: Symbols,
    count: Count,
    budget: int,
    enough: int,
) -> dict[str, _File]:
    """Excerpts of the passages that fit, in their order; the first files also get their imports.

    With `enough` tokens no more passages are added. A large passage may exceed `enough`, but not
    `budget`.
    """
    files: dict[str, _File] = {}
    import_tokens = int(enough * CONTEXT.imports_share)
    misses = 0
    for passage in passages:
        if sum(file.tokens for file in files.values()) >= enough:
            break
        path = passage.path
        file = files.get(path) or _File(lines(path), symbols(path), [])
        last = min(passage.end_line, len(file.lines))
        if passage.line > last:
            continue  # the file has become shorter since the index read it
        more = [(passage.line, last)]
        if path not in files and len(files) < CONTEXT.imports_files and not is_docs(path):
            more += _import_spans(file.lines, count, import_tokens)
        spans = merge_spans([*file.spans, *more])
        text = render(path, file.lines, file.symbols, spans)
        tokens = count(text)
        if tokens - file.tokens > budget:
            misses += 1
            if misses >= CONTEXT.misses:
                break
            continue
        misses = 0
        budget -= tokens - file.tokens
        file.spans, file.text, file.tokens = spans, text, tokens
        files[path] = file
    return files


def _import_spans(lines: Sequence[str], count: Count, most: int) -> list[Span]:
    """The span of a file's imports, if the imports have at most `most` tokens."""
    span = import_span(lines)
    if span is None or count("\n".join(lines[span[0] - 1 : span[1]])) > most:
        return []
    return [span]


def _map_lines(
    paths: Sequence[str],
    spans: Mapping[str, tuple[Span, ...]],
    symbols: Symbols,
    count: Count,
    budget: int,
) -> dict[str, str]:
    """Signatures outside of `spans`, as one line for each file, by path."""
    result: dict[str, str] = {}
    for path in paths[: CONTEXT.map_files]:
        others = [
            symbol.signature or symbol.name
            for symbol in symbols(path)
            if not any(first <= symbol.line <= last for first, last in spans.get(path, ()))
        ]
        if not others:
            continue
        for most in CONTEXT.signatures:
            more = "; …" if len(others) > most else ""
            line = f"`{path}`: {'; '.join(others[:most])}{more}"
            if count("\n".join([*result.values(), line])) <= budget:
                result[path] = line
                break
    return result


def listed_names(texts: Iterable[str]) -> dict[str, set[str]]:
    """The names in maps, by path; a text without a map has none."""
    names: dict[str, set[str]] = {}
    for text in texts:
        for match in _MAP_LINE.finditer(text):
            names.setdefault(match[1], set()).update(_NAME.findall(match[2]))
    return names


def with_used_definitions(
    passages: Sequence[Passage],
    lines: Lines,
    definitions: Callable[[str], Sequence[Symbol]],
    score: Callable[[Passage], float],
) -> list[Passage]:
    """Add or raise the definitions that the best passages use; the result is sorted, best first.

    The answer is often one call away from the code that matches the question. `definitions` finds
    definitions by name; `score` is that of a passage which the index did not find.
    """
    result = {(p.path, p.line): p for p in passages}
    starts = {(p.path, p.name): p for p in sorted(passages, key=lambda p: -p.line)}
    best = (passages[0].score if passages else 0.0) or 1.0
    gains: dict[tuple[str, int], float] = defaultdict(float)
    for rank, user in enumerate(passages[: CONTEXT.using_passages]):
        text = "\n".join(lines(user.path)[user.line - 1 : user.end_line])
        weight = CONTEXT.used_score * user.score / best * CONTEXT.using_decay**rank
        for name in sorted(set(_NAME.findall(text))):
            used = [d for d in definitions(name) if not is_test(d.path)]
            for one in used if len(used) <= CONTEXT.same_names else ():
                if (one.path, one.name) == (user.path, user.name):
                    continue
                definition = starts.get((one.path, one.name)) or _passage(one, score)
                key = definition.path, definition.line
                result.setdefault(key, definition)
                gains[key] = max(gains[key], weight / sqrt(len(used)))
    raised = [replace(p, score=p.score + gains[key]) for key, p in result.items()]
    return sorted(raised, key=lambda p: (is_test(p.path), -p.score))


def _passage(symbol: Symbol, score: Callable[[Passage], float]) -> Passage:
    """The first lines of a definition."""
    most = LONGEST if symbol.is_callable else CONTEXT.class_lines
    last = min(symbol.end_line, symbol.line + most - 1)
    passage = Passage(symbol.path, symbol.name, symbol.line, last, 0.0, (_USED,))
    return replace(passage, score=score(passage))


def import_span(lines: Sequence[str]) -> Span | None:
    """The span of the imports that stand together near a file's top; None if there are none."""
    numbers = [n for n, line in enumerate(lines[: CONTEXT.import_lines], 1) if _IMPORT.match(line)]
    if not numbers:
        return None
    last = numbers[0]
    for line in numbers[1:]:
        if line - last > CONTEXT.import_gap:
            break
        last = line
    return numbers[0], last + _open_lines(lines[last - 1 :])


def _open_lines(lines: Sequence[str]) -> int:
    """The number of lines after the first line until its open brackets are closed."""
    depth = 0
    for number, line in enumerate(lines[: CONTEXT.import_lines]):
        if number and depth <= 0:
            return number - 1
        depth += sum(map(line.count, _OPEN)) - sum(map(line.count, _CLOSE))
    return min(len(lines), CONTEXT.import_lines) - 1
