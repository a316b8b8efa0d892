"""The `logs` tool: what broke first in log files, or the lines of some minutes."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from pydantic import field_validator

from localagent.core.errors import Interrupted, ToolError, UsageError
from localagent.core.messages import ToolResult
from localagent.logs.digest import LogDigest
from localagent.logs.incident import find_incident
from localagent.logs.report import as_text, sections
from localagent.logs.slices import parse_minute, read_slice
from localagent.logs.sources import file_name
from localagent.logs.store import digest_of
from localagent.redaction.secret_files import is_secret
from localagent.tools.base import Action, ToolArguments, ToolContext, ToolSpec, parse
from localagent.tools.targets import ensure_readable, locate, nearest

_LINES = 60
_RANGE = re.compile(r"(?P<start>[\d: T-]*?\d\d:\d\d)(?:\s*-\s*(?P<end>[\d: T-]*?\d\d:\d\d))?")


class LogsArguments(ToolArguments):
    """Arguments of `logs`. `path` has files and folders, `time` is such as "14:00-14:05"."""

    path: str
    time: str = ""
    pattern: str = ""

    @field_validator("time")
    @classmethod
    def _valid(cls, value: str) -> str:
        if value.strip() and _RANGE.fullmatch(value.strip()) is None:
            raise ValueError('write a time such as "14:00-14:05"')
        return value.strip()


class Logs:
    """Shows the digest of log files, or lines of them."""

    spec = ToolSpec(
        "logs",
        "read",
        LogsArguments,
        positional="path",
        aliases=("read_logs", "analyze_logs"),
        grammar="logs",
        rules='logs    ::= "logs path=" path (" time=" [0-9:-]+)? (" pattern=" quoted)? "\\n"\n',
    )

    def prepare(self, arguments: dict[str, str], context: ToolContext) -> Action:
        """See `Tool.prepare`."""
        given = parse(LogsArguments, self.spec.name, arguments)
        paths = _files(given.path, context)
        subject = " ".join(given.path.split())
        return Action(
            tool=self.spec.name,
            effect="read",
            subject=subject,
            preview=f"read the logs {subject}",
            perform=lambda: _show(given, paths, context),
        )


def _files(given: str, context: ToolContext) -> list[str]:
    """The paths in the workspace; a folder stands for its files, without those with secrets."""
    workspace = context.workspace
    names = [given] if workspace.exists(workspace.relative(given)) else given.split()
    files: list[str] = []
    for name in names:
        path = locate(workspace, name)
        if not workspace.exists(path):
            raise ToolError(f"there is no {path}{nearest(workspace, path)}")
        ensure_readable(workspace, name)
        folder = workspace.root / path
        if not folder.is_dir():
            files.append(path)
            continue
        below = (p for p in sorted(folder.rglob("*")) if p.is_file() and not p.is_symlink())
        inside = [p.relative_to(workspace.root).as_posix() for p in below]
        files += [
            p
            for p in inside
            if not is_secret(p) and not workspace.is_hidden(p) and ".git" not in p.split("/")
        ]
    if not files:
        raise ToolError(f"there are no log files in {given}")
    return files


def _show(given: LogsArguments, paths: list[str], context: ToolContext) -> ToolResult:
    def progress(_done: int, _total: int) -> None:
        if context.cancelled():
            raise Interrupted("reading the logs was stopped")

    try:
        digest = digest_of([file_name(path) for path in paths], progress, context.workspace.root)
        for path in paths:
            context.record_read(path, _sha256(context.workspace.root / path))
        if given.time or given.pattern:
            text = _slice(given, digest)
        else:
            text = as_text(sections(digest, find_incident(digest)))
    except UsageError as error:
        raise ToolError(f"{error.message}; {error.hint}") from None
    head = f"{given.path}: {digest.lines:,} lines"
    return ToolResult(True, _cut(text, context.max_chars), head)


def _slice(given: LogsArguments, digest: LogDigest) -> str:
    match = _RANGE.fullmatch(given.time)
    first = parse_minute(match["start"] if match else "", digest, digest.first)
    last = parse_minute((match["end"] or match["start"]) if match else "", digest, digest.last)
    lines = read_slice(digest, first, last, given.pattern.split(), _LINES)
    return "\n".join(f"{digest.where(line)}  {line.text}" for line in lines) or "no line fits"


def _cut(text: str, limit: int) -> str:
    """The text, cut at a line end, with a line that says how to read more."""
    if len(text) <= limit:
        return text
    head = text[: limit - 60].rpartition("\n")[0]
    return f"{head}\n… more: ask for time=HH:MM-HH:MM or pattern=…"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
