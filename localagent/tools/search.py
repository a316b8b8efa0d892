"""The `search` tool: finds a pattern in the files of the workspace."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import field_validator

from localagent.core.errors import OutsideWorkspace, ToolError
from localagent.core.interpreter import plain_python
from localagent.core.messages import ToolResult
from localagent.tools.base import Action, ToolArguments, ToolContext, ToolSpec, parse
from localagent.tools.targets import ensure_readable, locate, nearest
from localagent.workspace import gitignore
from localagent.workspace.workspace import Workspace

_WORKER = Path(__file__).with_name("search_worker.py")
# Seconds for one search: enough for about 100,000 source files, unless the pattern is pathological.
_SECONDS = 10.0
_HITS_A_FILE = 20
_MAX_BYTES = 2 << 20
_MAX_LINE = 160


class SearchArguments(ToolArguments):
    """Arguments of `search`. `path` is a file, a folder or a glob."""

    pattern: str
    path: str = "."
    mode: Literal["regex", "literal"] = "regex"

    @field_validator("pattern")
    @classmethod
    def _not_empty(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("it is empty")
        return value


@dataclass(slots=True)
class _Matches:
    """The matches that one run of the worker process found.

    `hits` are tuples (file, number of hits, [(line, text), …]); `hashes` are the files' SHA-256.
    """

    hits: list[tuple[str, int, list[tuple[int, str]]]] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)
    skipped: int = 0
    error: str = ""
    timed_out: bool = False


class Search:
    """Finds lines by a regular expression; if that finds nothing, by the literal text."""

    spec = ToolSpec(
        "search",
        "read",
        SearchArguments,
        positional="pattern",
        aliases=("grep", "search_files", "search_code", "grep_search"),
        grammar="search",
        rules='search  ::= "search pattern=" quoted (" path=" path)? (" mode=literal")? "\\n"\n',
    )

    def prepare(self, arguments: dict[str, str], context: ToolContext) -> Action:
        """See `Tool.prepare`."""
        given = parse(SearchArguments, self.spec.name, arguments)
        files, subject = _scope(context.workspace, given.path)
        return Action(
            tool=self.spec.name,
            effect="read",
            subject=subject,
            preview=f"search {given.pattern!r} in {subject}",
            perform=lambda: _search(given, files, context),
        )


def _scope(workspace: Workspace, path: str) -> tuple[list[str], str]:
    """The files to search, and a name for this set of files."""
    bare = path.strip()
    if re.search(r"[*?\[]", bare):
        glob = bare.removeprefix("./")
        if glob.startswith(("/", "..", "~")):
            glob = workspace.relative(glob)
        spec = gitignore.compiled([glob])
        if spec is None:
            raise ToolError(f"{path!r} is not a valid glob; write for example src/**/*.py")
        files = [name for name in workspace.files() if spec.match_file(name)]
        if not files:
            raise ToolError(f"no file matches {path!r}; use list to see what there is")
        return files, glob
    rel = locate(workspace, bare or ".")
    if not workspace.exists(rel):
        raise ToolError(f"there is no {rel}{nearest(workspace, rel)}")
    if not os.path.isdir(workspace.root / rel):  # noqa: PTH112 - never raises
        ensure_readable(workspace, bare)
        return [rel], rel
    prefix = "" if rel == "." else f"{rel}/"
    return [name for name in workspace.files() if name.startswith(prefix)], rel


def _search(given: SearchArguments, files: Sequence[str], context: ToolContext) -> ToolResult:
    """Search for the pattern; without hits, search for the literal text, then ignore case."""
    literal = given.mode == "literal"
    found = _run(given.pattern, literal, False, files, context)
    note = ""
    if found.error:
        note = f"(not a valid pattern: {found.error}; searched for the literal text)"
        literal = True
        found = _run(given.pattern, True, False, files, context)
    elif not found.hits and not literal and re.escape(given.pattern) != given.pattern:
        again = _run(given.pattern, True, False, files, context)
        if again.hits:
            found, literal, note = again, True, "(as a literal text)"
    if not found.hits and not found.timed_out:
        again = _run(given.pattern, literal, True, files, context)
        if again.hits:
            found, note = again, f"{note} (in any case)".strip()
    for name, digest in found.hashes.items():
        context.record_read(name, digest)
    return _result(given, found, note, len(files), context)


def _run(
    pattern: str, literal: bool, ignore_case: bool, files: Sequence[str], context: ToolContext
) -> _Matches:
    """Run the worker until it ends, its time is up, or the user stops the search."""
    request = json.dumps(
        {
            "root": str(context.workspace.root),
            "files": list(context.may_have(pattern, files, not literal)),
            "pattern": pattern,
            "literal": literal,
            "ignore_case": ignore_case,
            "max_hits": _HITS_A_FILE,
            "max_bytes": _MAX_BYTES,
        }
    )
    with subprocess.Popen(
        plain_python(str(_WORKER)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=_WORKER.parent,
    ) as worker:
        chunks: list[bytes] = []
        reader = threading.Thread(target=_exchange, args=(worker, request.encode(), chunks))
        reader.start()
        timed_out = not _wait(reader, context.cancelled)
        worker.kill()
        reader.join()
    return _read(b"".join(chunks), timed_out)


def _exchange(worker: subprocess.Popen[bytes], request: bytes, chunks: list[bytes]) -> None:
    """Send the request to the worker, and collect its answer until the worker ends."""
    assert worker.stdin is not None
    assert worker.stdout is not None
    try:
        worker.stdin.write(request)
        worker.stdin.close()
    except OSError:  # the worker was killed
        pass
    while chunk := worker.stdout.read1(1 << 16):  # type: ignore[attr-defined]  # stdout is buffered
        chunks.append(chunk)


def _wait(thread: threading.Thread, cancelled: Callable[[], bool]) -> bool:
    """Wait for `thread` for the time of a search; return False if the thread still runs."""
    waited = 0.0
    while waited < _SECONDS and not cancelled():
        thread.join(0.1)
        if not thread.is_alive():
            return True
        waited += 0.1
    return False


def _read(output: bytes, timed_out: bool) -> _Matches:
    """Read the worker's answer, even if it is incomplete."""
    found = _Matches(timed_out=timed_out)
    for line in output.split(b"\n"):
        try:
            value: Any = json.loads(line)
        except ValueError:
            continue  # the incomplete last line of a worker that was stopped
        if isinstance(value, list):
            name, total, lines, found.hashes[name] = value
            found.hits.append((name, total, [(number, text) for number, text in lines]))
        else:
            found.error = value.get("error", "")
            found.skipped = value.get("skipped", 0)
    return found


def _result(
    given: SearchArguments, found: _Matches, note: str, files: int, context: ToolContext
) -> ToolResult:
    """Format the hits that fit, shared among the files, and name the files with more hits."""
    limit = f" (stopped after {_SECONDS:g} s; name a path)" if found.timed_out else ""
    if not found.hits:
        where = f"{given.path} ({files} file{'s' * (files != 1)})"
        text = f"{given.pattern!r} was not found in {where}{limit}"
        return ToolResult(not found.timed_out, text, text)
    total = sum(count for _, count, _ in found.hits)
    size = f"{total} line{'s' * (total != 1)} in {len(found.hits)} file"
    head = f"{size}{'s' * (len(found.hits) != 1)}{limit} {note}".rstrip()
    room = context.max_chars - len(head) - 250
    a_file = max(2, min(_HITS_A_FILE, room // 80 // len(found.hits)))
    lines: list[str] = []
    left: list[str] = []
    for name, count, hits in found.hits:
        hidden = _hidden_lines(context, name)
        entries = [
            f"{_one_line(name)}:{number}: {_clipped(hidden.get(number, text))}"
            for number, text in hits[:a_file]
        ]
        kept = 0
        for entry in entries:
            if room - len(entry) - 1 < 0:
                break
            room -= len(entry) + 1
            lines.append(entry)
            kept += 1
        if kept < count:
            left.append(f"{_one_line(name)} ({count - kept})")
    rest = ""
    if left:
        more = f", and {len(left) - 5} files" if len(left) > 5 else ""
        rest = f"\n… more in {', '.join(left[:5])}{more}; narrow it with path="
    return ToolResult(True, "\n".join([head, *lines]) + rest[:240], f"{given.pattern!r}: {head}")


def _hidden_lines(context: ToolContext, name: str) -> dict[int, str]:
    """The whole lines of a file with secrets, after redaction.

    The worker returns only parts of long lines, and half of a secret has no recognizable form.
    """
    try:
        data = context.workspace.read_bytes(name, _MAX_BYTES)
    except (OSError, OutsideWorkspace):
        return {}
    text = data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    pairs = zip(text.split("\n"), context.redactor.redact_lines(text), strict=True)
    return {number: hidden for number, (line, hidden) in enumerate(pairs, 1) if line != hidden}


def _clipped(text: str) -> str:
    bare = text.strip()
    return bare if len(bare) <= _MAX_LINE else bare[:_MAX_LINE] + "…"


def _one_line(name: str) -> str:
    return name.replace("\n", "\\n")
