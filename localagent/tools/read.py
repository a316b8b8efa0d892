"""The `read` tool: shows a file, or some of its lines, with line numbers."""

from __future__ import annotations

import re

from pydantic import field_validator

from localagent.core.messages import ToolResult
from localagent.edits.textfile import sha256
from localagent.tools.base import Action, ToolArguments, ToolContext, ToolSpec, parse
from localagent.tools.targets import Target, load

# A model reads large logs in parts, so `read` takes larger files than `edit`.
_MAX_BYTES = 16 << 20
_MAX_LINE = 400


class ReadArguments(ToolArguments):
    """Arguments of `read`; `lines` is a range such as "10-40"."""

    path: str
    lines: str = ""

    @field_validator("lines")
    @classmethod
    def _valid(cls, value: str) -> str:
        line_range(value)
        return value


class Read:
    """Shows lines of a text file as "12|text"."""

    spec = ToolSpec(
        "read",
        "read",
        ReadArguments,
        positional="path",
        aliases=("read_file", "readfile", "view", "view_file", "open_file", "cat"),
        grammar="read",
        rules='read    ::= "read path=" path (" lines=" [0-9]+ "-" [0-9]+)? "\\n"\n',
    )

    def prepare(self, arguments: dict[str, str], context: ToolContext) -> Action:
        """See `Tool.prepare`."""
        given = parse(ReadArguments, self.spec.name, arguments)
        target = load(context.workspace, given.path, _MAX_BYTES, secrets=True)
        wanted = line_range(given.lines)
        return Action(
            tool=self.spec.name,
            effect="read",
            subject=target.path,
            preview=_preview(target.path, given.lines),
            perform=lambda: _show(target, wanted, context),
            aliases=context.workspace.names(given.path)[1:],
        )


def _preview(path: str, lines: str) -> str:
    """The question to the user about a file that looks like it contains a secret."""
    where = f"{path} lines {lines}" if lines else path
    return f"show {where} to the model?"


def _show(
    target: Target, wanted: tuple[int, int | None] | None, context: ToolContext
) -> ToolResult:
    """The requested lines that fit, and a line that says how to read the other lines."""
    context.record_read(target.path, sha256(target.data))
    text = target.file.text.removesuffix("\n")
    # Redact before clipping: half of a secret has no recognizable form.
    lines = context.redactor.redact_lines(text) if target.file.text else []
    total = len(lines)
    if not total:
        return ToolResult(True, f"{target.path} is empty", f"{target.path}: empty")
    first, last = wanted or (1, None)
    if first > total:
        wrong = f"{target.path} has {total} lines, so there is no line {first}"
        return ToolResult(False, wrong, wrong)
    last = min(last or total, total)
    shown: list[str] = []
    room = context.max_chars - 120
    for number in range(first, last + 1):
        line = lines[number - 1]
        clipped = (
            line if len(line) <= _MAX_LINE else f"{line[:_MAX_LINE]}… ({len(line)} characters)"
        )
        entry = f"{number}|{clipped}"
        room -= len(entry) + 1
        if room < 0 and shown:
            break
        shown.append(entry)
    end = first + len(shown) - 1
    head = f"{target.path}, lines {first}-{end} of {total}"
    rest = ""
    if end < last:
        more = last - end
        reach = min(total, end + max(len(shown), 40))
        rest = f"\n… {more} more line{'s' * (more > 1)}, read lines={end + 1}-{reach}"
    body = "\n".join(shown)
    return ToolResult(True, f"{head}\n{body}{rest}", head)


def line_range(text: str) -> tuple[int, int | None] | None:
    """Parse "10-40", "10", "10-", "-40", "10:40" or "L10-L40"; return None for all lines.

    The range includes its last line; a last line of None means the end. Raises ValueError.
    """
    bare = re.sub(r"(?i)lines?|L(?=\d)|\s", "", text).strip("[]()")
    if not bare or bare.lower() in ("all", "-", "*", "none"):
        return None
    found = re.fullmatch(r"(\d*)(?:(?:-|:|,|\.\.+|–|to)(\d*|end))?", bare)
    if found is None:
        raise ValueError('write a range such as "10-40"')
    first = max(1, int(found.group(1) or 1))
    if found.group(2) is None:
        return first, first
    last = int(found.group(2)) if found.group(2).isdigit() else None
    if last is not None and last < first:
        raise ValueError(f'the last line comes before the first line; write "{last}-{first}"')
    return first, last
