"""Parse the edits in a model's reply: fenced blocks, code, search/replace blocks.

The parser is lenient in form: fences may be missing or unclosed, prose may surround the blocks,
and paths may stand in headings. It does not guess: for an ambiguous reply, it raises an EditError
that shows the correct form.

Fences follow CommonMark, with two additions for models. A fence with an info string can open a
block inside of another block, if every block is closed. An unclosed block ends at the end of the
reply or before the next block.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from localagent.code.syntax_check import syntax_error
from localagent.core.errors import EditError

FORMAT = "<<<<<<< SEARCH\n(lines of the file)\n=======\n(new lines)\n>>>>>>> REPLACE"

_FENCE = re.compile(r"^([ \t]*)(`{3,}|~{3,})[ \t]*(.*?)[ \t]*$")
_SEARCH = re.compile(
    r"^\s*<{5,9}(?!<)\s*(?:(?:SEARCH|ORIGINAL|HEAD|FIND|OLD)\b)?[ \t:]*(.*)$", re.I
)
_DIVIDER = re.compile(r"^\s*={5,9}\s*$")
_REPLACE = re.compile(r"^\s*>{5,9}(?!>)\s*(?:(?:REPLACE|UPDATED|NEW|END)\b.*)?$", re.I)
_CODE_START = re.compile(
    r"^(?:def |class |import |from |@|async def |#|\"\"\"|'''|[A-Za-z_]\w* = )"
)
# A line that holds only a path and the markup of a heading.
_HEADING = re.compile(
    r"^\s*(?:[#>*\-]+\s*|\d+\.\s+)?(?:\*\*)?(?:(?:file(?:name)?|path|create|update|edit)\s*:?\s*)?"
    r"(?:\*\*)?[`\"'(\[]?(?P<path>[\w@+~.\-/\\]+)[`\"')\]]?(?:\*\*)?\s*(?:\(.*\))?:?(?:\*\*)?\s*$",
    re.I,
)
_QUOTED = re.compile(r"`([^`\s]+)`")
_NAMES = ("makefile", "dockerfile", "rakefile", "gemfile", "license", "procfile", "jenkinsfile")


@dataclass(frozen=True, slots=True)
class FenceLine:
    """A line that opens or closes a block. `info` is the text after the marks.

    A line that closes a block has no `info`.
    """

    indent: str
    marks: str
    info: str

    def closed_by(self, other: FenceLine) -> bool:
        """Whether the line `other` can close the block that this line opens."""
        return (
            not other.info
            and other.marks[0] == self.marks[0]
            and len(other.marks) >= len(self.marks)
        )

    def holds(self, other: FenceLine) -> bool:
        """Whether the line `other` opens a block inside the block that this line opens."""
        return (
            bool(other.info)
            and other.marks[0] == self.marks[0]
            and len(other.marks) >= len(self.marks)
        )


@dataclass(frozen=True, slots=True)
class Fence:
    r"""A fenced block. `start` is the index of its first line, and `end` of the line after it.

    `body` ends with "\n" unless it is empty. `closed` is False for a block without closing fence.
    """

    info: str
    body: str
    start: int
    end: int
    closed: bool

    @property
    def language(self) -> str:
        """The first word of the info string, in lower case."""
        words = re.split(r"[\s:{,]", self.info.lstrip("{.").lower(), maxsplit=1)
        return words[0]


@lru_cache(maxsize=4096)  # `closings` reads the lines of nested blocks several times
def fence_line(line: str) -> FenceLine | None:
    """Parse `line` as a fence; None if it is not one."""
    match = _FENCE.match(line)
    if match is None:
        return None
    indent, marks, info = match.groups()
    if marks[0] == "`" and "`" in info:
        return None  # inline code in prose
    return FenceLine(indent, marks, info)


def closings(
    lines: Sequence[str],
    start: int,
    opening: FenceLine,
    stop: int | None = None,
    first: bool = False,
) -> list[int]:
    """The indices of lines that may close the block opened in line `start`, the likeliest first.

    A line is likely if all inner blocks before it are closed. Only lines before `stop` count. With
    `first`, only the likeliest line is returned.
    """
    end = len(lines) if stop is None else stop
    depth = 1
    flat: list[int] = []
    balanced: list[int] = []
    for number in range(start + 1, end):
        inner = fence_line(lines[number])
        if inner is None:
            continue
        if opening.holds(inner):
            depth += 1
        elif opening.closed_by(inner):
            flat.append(number)
            depth -= 1
            if depth == 0:
                balanced.append(number)
                depth = 1
                if first:
                    return balanced
    known = set(balanced)
    return [*balanced, *(n for n in flat if n not in known)]


def fences(reply: str) -> list[Fence]:
    """The outermost fenced blocks of `reply`, in order."""
    lines = reply.removesuffix("\n").split("\n")
    result = []
    number = 0
    while number < len(lines):
        opening = fence_line(lines[number])
        if opening is None:
            number += 1
            continue
        close, closed = _close(lines, number, opening)
        body = dedented(lines[number + 1 : close], opening.indent)
        end = close + 1 if closed else close
        result.append(Fence(opening.info, body, number, end, closed))
        number = end
    return result


def _close(lines: Sequence[str], start: int, opening: FenceLine) -> tuple[int, bool]:
    """The index of the line that ends a block, and whether this line is a closing fence."""
    ends = closings(lines, start, opening, first=True)
    first = ends[0] if ends else len(lines)
    balanced = _depth(lines, start, first, opening) == 0 if ends else False
    if not balanced:
        # A closing fence is missing, so the first inner opening fence begins the next block.
        for number in range(start + 1, first):
            inner = fence_line(lines[number])
            if inner is not None and opening.holds(inner):
                return number, False
    return (first, True) if ends else (len(lines), False)


def _depth(lines: Sequence[str], start: int, end: int, opening: FenceLine) -> int:
    """The number of blocks that are still open after line `end`."""
    depth = 1
    for line in lines[start + 1 : end + 1]:
        inner = fence_line(line)
        if inner is not None:
            depth += opening.holds(inner) - opening.closed_by(inner)
    return depth


def dedented(lines: Sequence[str], indent: str) -> str:
    """The body of a block, without the indentation of the opening fence."""
    width = len(indent)
    bare = (
        [line[width:] if not line[:width].strip() else line for line in lines] if width else lines
    )
    return "".join(line + "\n" for line in bare)


@dataclass(frozen=True, slots=True)
class SearchReplace:
    """One search/replace block. `path` is None if the reply names no file."""

    path: str | None
    search: str
    replace: str


def code(reply: str, opened: bool = False) -> str:
    r"""The code in a reply to a request for one piece of code; "" if there is none.

    `opened` means that the prompt ended with the opening fence, so `reply` does not contain it. Of
    several blocks, the longest is returned, because the others mostly show examples of use. The
    code ends with "\n".
    """
    if opened:
        body = fences("```\n" + reply)[0].body
        if body.strip():
            return body
    blocks = [block.body for block in fences(reply) if block.body.strip()]
    if blocks:
        return max(blocks, key=len)
    return _without_prose(reply)


def search_replace_blocks(reply: str) -> list[SearchReplace]:
    """The search/replace blocks of `reply`, in order; empty if there is no SEARCH line.

    Raises EditError if a block has no ======= line or more than one.
    """
    lines = reply.split("\n")
    starts = [n for n, line in enumerate(lines) if _SEARCH.match(line)]
    result: list[SearchReplace] = []
    end = 0
    path: str | None = None
    for position, start in enumerate(starts):
        if start < end:
            continue
        limit = starts[position + 1] if position + 1 < len(starts) else len(lines)
        block_path = _marked_path(lines[start]) or _path_above(lines[end:start])
        path = block_path or path
        search, replace, end = _block(lines, start, limit)
        result.append(SearchReplace(path, search, replace))
    return result


# Search and replace


def _block(lines: list[str], start: int, limit: int) -> tuple[str, str, int]:
    """The two halves of the block that starts in line `start`, and the index of the next line."""
    finish = next((n for n in range(start + 1, limit) if _REPLACE.match(lines[n])), None)
    end = limit if finish is None else finish
    dividers = [n for n in range(start + 1, end) if _DIVIDER.match(lines[n])]
    if not dividers:
        raise EditError(f"a SEARCH block has no ======= line; write\n{FORMAT}")
    if len(dividers) > 1:
        raise EditError(
            "a SEARCH block has more than one ======= line; if the file has such a line, "
            "quote lines around it, or write the whole file"
        )
    new = lines[dividers[0] + 1 : end]
    if finish is None:
        new = _cut_off(new)
    after = end if finish is None else end + 1
    return _half(lines[start + 1 : dividers[0]]), _half(new), after


def _cut_off(lines: list[str]) -> list[str]:
    """The lines of an unclosed replacement, up to a closing fence or the end of the reply."""
    for number, line in enumerate(lines):
        inner = fence_line(line)
        if inner is not None and not inner.info:
            return lines[:number]
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return lines


def _half(lines: list[str]) -> str:
    """The lines as text, without fences around them."""
    if len(lines) >= 2 and fence_line(lines[0]) and fence_line(lines[-1]):
        lines = lines[1:-1]
    return "".join(line + "\n" for line in lines)


def _marked_path(line: str) -> str | None:
    match = _SEARCH.match(line)
    rest = match.group(1).strip() if match else ""
    return rest.strip("`'\"") if _is_path(rest.strip("`'\"")) else None


# Paths


def _is_path(text: str) -> bool:
    """Whether `text` looks like the path of a file: it has a suffix or a well-known name."""
    if not text or text.endswith(("/", ".")) or any(c.isspace() for c in text):
        return False
    name = text.replace("\\", "/").rsplit("/", 1)[-1]
    return bool(re.search(r"\w\.[A-Za-z]\w{0,9}$|^\.\w+", name)) or name.lower() in _NAMES


def _info_path(info: str) -> str | None:
    """The path in an info string: in "python src/a.py", "python:src/a.py" or 'title="src/a.py"'."""
    for word in reversed(re.split(r"[\s:]+", info)):
        bare = re.sub(r"^\w+=", "", word).strip("`'\"{}()")
        if _is_path(bare):
            return bare
    return None


def _path_above(lines: Sequence[str]) -> str | None:
    """The path in the nearest line above a block that is neither blank nor a fence, or None."""
    for line in reversed(lines):
        if not line.strip():
            continue
        if fence_line(line):
            info_path = _info_path(fence_line(line).info)  # type: ignore[union-attr]  # just tested
            if info_path:
                return info_path
            continue
        heading = _HEADING.match(line)
        if heading and _is_path(heading["path"]):
            return heading["path"]
        quoted = [path for path in _QUOTED.findall(line) if _is_path(path)]
        return quoted[0] if len(quoted) == 1 else None
    return None


# Prose


def _without_prose(reply: str) -> str:
    """The Python code in a reply without fences; "" if there is none."""
    lines = reply.strip("\n").split("\n")
    starts = [n for n, line in enumerate(lines) if _CODE_START.match(line)]
    if not starts:
        return ""
    for start in starts[:5]:
        # Prose after the code begins at a line without indentation.
        ends = [n for n in range(start + 1, len(lines)) if lines[n][:1].strip()]
        for end in [len(lines), *reversed(ends)][:40]:
            text = "\n".join(lines[start:end]).rstrip() + "\n"
            if syntax_error("reply.py", text) is None and not text.startswith("#"):
                return text
    return ""
