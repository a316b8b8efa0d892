"""Reading edits out of a model's reply: code, whole files, search/replace blocks.

Lenient in form (fences left out or left open, prose around, paths in headings) and strict in
meaning: what could be read in two ways is refused with an EditError that says what is right.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from localagent.code.syntax_check import syntax_error
from localagent.core.errors import EditError
from localagent.edits.fences import Fence, fence_line, fences

FORMAT = "<<<<<<< SEARCH\n(lines of the file)\n=======\n(new lines)\n>>>>>>> REPLACE"

_SEARCH = re.compile(
    r"^\s*<{5,9}(?!<)\s*(?:(?:SEARCH|ORIGINAL|HEAD|FIND|OLD)\b)?[ \t:]*(.*)$", re.I
)
_DIVIDER = re.compile(r"^\s*={5,9}\s*$")
_REPLACE = re.compile(r"^\s*>{5,9}(?!>)\s*(?:(?:REPLACE|UPDATED|NEW|END)\b.*)?$", re.I)
_CODE_START = re.compile(
    r"^(?:def |class |import |from |@|async def |#|\"\"\"|'''|[A-Za-z_]\w* = )"
)
# A path alone on a line, with what models put around it in headings.
_HEADING = re.compile(
    r"^\s*(?:[#>*\-]+\s*|\d+\.\s+)?(?:\*\*)?(?:(?:file(?:name)?|path|create|update|edit)\s*:?\s*)?"
    r"(?:\*\*)?[`\"'(\[]?(?P<path>[\w@+~.\-/\\]+)[`\"')\]]?(?:\*\*)?\s*(?:\(.*\))?:?(?:\*\*)?\s*$",
    re.I,
)
_QUOTED = re.compile(r"`([^`\s]+)`")
_COMMENT = re.compile(
    r"^\s*(?:#|//|--|;|/\*|<!--)\s*(?:file(?:name)?|path)?\s*:?\s*(\S+?)\s*(?:\*/|-->)?$", re.I
)
_NAMES = ("makefile", "dockerfile", "rakefile", "gemfile", "license", "procfile", "jenkinsfile")


@dataclass(frozen=True, slots=True)
class SearchReplace:
    """One search/replace block; `path` is None where the reply names none."""

    path: str | None
    search: str
    replace: str


@dataclass(frozen=True, slots=True)
class FileBlock:
    """One whole file; `path` is None where the reply names none."""

    path: str | None
    content: str


def code(reply: str, opened: bool = False) -> str:
    r"""The code of a reply that was asked for one piece of code; "" where there is none.

    `opened` says that the reply was started with an opening fence, which is not part of it. Of
    several blocks the longest counts, for the others show how to use it. Ends with "\n".
    """
    if opened:
        body = fences("```\n" + reply)[0].body
        if body.strip():
            return body
    blocks = [block.body for block in fences(reply) if block.body.strip()]
    if blocks:
        return max(blocks, key=len)
    return _without_prose(reply)


def whole_files(reply: str) -> list[FileBlock]:
    """The files of a reply, each a fenced block with a path in its info string, above it, or as a
    comment in its first line (which is then left out)."""
    lines = reply.split("\n")
    result = []
    previous_end = 0
    for block in fences(reply):
        path = _info_path(block.info) or _path_above(lines[previous_end : block.start])
        content = block.body
        if path is None:
            path, content = _path_inside(block)
        previous_end = block.end
        if content.strip() or path:
            result.append(FileBlock(path, content))
    return result


def search_replace_blocks(reply: str) -> list[SearchReplace]:
    """The search/replace blocks of `reply`, in order; none where there is no SEARCH mark.

    Raises EditError for a block without its middle mark, or with two.
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
        named = _marked_path(lines[start]) or _path_above(lines[end:start])
        path = named or path
        search, replace, end = _block(lines, start, limit)
        result.append(SearchReplace(path, search, replace))
    return result


# Search and replace


def _block(lines: list[str], start: int, limit: int) -> tuple[str, str, int]:
    """The two halves of the block that starts in line `start`, and the line after it."""
    finish = next((n for n in range(start + 1, limit) if _REPLACE.match(lines[n])), None)
    end = limit if finish is None else finish
    dividers = [n for n in range(start + 1, end) if _DIVIDER.match(lines[n])]
    if not dividers:
        raise EditError(f"a SEARCH block has no ======= line; write\n{FORMAT}")
    if len(dividers) > 1:
        raise EditError(
            "a SEARCH block has more than one ======= line; quote lines without one, "
            "or write the whole file"
        )
    new = lines[dividers[0] + 1 : end]
    if finish is None:
        new = _cut_off(new)
    after = end if finish is None else end + 1
    return _half(lines[start + 1 : dividers[0]]), _half(new), after


def _cut_off(lines: list[str]) -> list[str]:
    """A replacement without its last mark: it ends at a closing fence, or with the reply."""
    for number, line in enumerate(lines):
        found = fence_line(line)
        if found is not None and not found.info:
            return lines[:number]
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return lines


def _half(lines: list[str]) -> str:
    """Lines as text, without a fence put around them."""
    if len(lines) >= 2 and fence_line(lines[0]) and fence_line(lines[-1]):
        lines = lines[1:-1]
    return "".join(line + "\n" for line in lines)


def _marked_path(line: str) -> str | None:
    found = _SEARCH.match(line)
    rest = found.group(1).strip() if found else ""
    return rest.strip("`'\"") if _is_path(rest.strip("`'\"")) else None


# Paths


def _is_path(text: str) -> bool:
    """Whether `text` looks like the path of a file: it has an ending, or a well-known name."""
    if not text or text.endswith(("/", ".")) or any(c.isspace() for c in text):
        return False
    name = text.replace("\\", "/").rsplit("/", 1)[-1]
    return bool(re.search(r"\w\.[A-Za-z]\w{0,9}$|^\.\w+", name)) or name.lower() in _NAMES


def _info_path(info: str) -> str | None:
    """The path in an info string: "python src/a.py", "python:src/a.py", 'title="src/a.py"'."""
    for word in reversed(re.split(r"[\s:]+", info)):
        bare = re.sub(r"^\w+=", "", word).strip("`'\"{}()")
        if _is_path(bare):
            return bare
    return None


def _path_above(lines: Sequence[str]) -> str | None:
    """The path named in the last line above a block that is not blank and not a fence."""
    for line in reversed(lines):
        if not line.strip():
            continue
        if fence_line(line):
            named = _info_path(fence_line(line).info)  # type: ignore[union-attr]  # just tested
            if named:
                return named
            continue
        heading = _HEADING.match(line)
        if heading and _is_path(heading["path"]):
            return heading["path"]
        quoted = [path for path in _QUOTED.findall(line) if _is_path(path)]
        return quoted[0] if len(quoted) == 1 else None
    return None


def _path_inside(block: Fence) -> tuple[str | None, str]:
    """The path in a comment that opens the block, and the block without it."""
    first, _, rest = block.body.partition("\n")
    found = _COMMENT.match(first)
    if found and _is_path(found.group(1)):
        return found.group(1), rest.lstrip("\n")
    return None, block.body


# Prose


def _without_prose(reply: str) -> str:
    """The Python code of a reply without fences; the reply where no such code is found."""
    lines = reply.strip("\n").split("\n")
    starts = [n for n, line in enumerate(lines) if _CODE_START.match(line)]
    if not starts:
        return ""
    for start in starts[:5]:
        # Prose is not indented, so only lines at the margin can be where it begins.
        ends = [n for n in range(start + 1, len(lines)) if lines[n][:1].strip()]
        for end in [len(lines), *reversed(ends)][:40]:
            text = "\n".join(lines[start:end]).rstrip() + "\n"
            if syntax_error("reply.py", text) is None and not text.startswith("#"):
                return text
    return ""
