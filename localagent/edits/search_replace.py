"""Search and replace for models that do not quote a file exactly.

The search has four steps, from strict to lenient:

1. whole lines that match exactly;
2. any text that matches exactly;
3. whole lines that match except for blanks at their ends;
4. whole lines that match except for indentation; the replacement is indented like the file.

The first step that finds a match decides; if that step finds several places, the edit is refused.
If no step finds a match, they run again without blank lines around the search text, and then
without line numbers ("12|code") from a listing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import pairwise

from localagent.core.errors import EditError

_NUMBERED = re.compile(r"\s*\d+\s?[|:\t]")
_MAX_LINES = 12
_MAX_CHARS = 160


def apply_search_replace(text: str, search: str, replace: str) -> str:
    r"""`text` with the only match of `search` replaced by `replace`.

    Lines end with "\n". Raises EditError if there is no match (naming the most similar lines), if
    there are several (naming their lines), or if the edit changes nothing.
    """
    if not search.strip():
        if not text.strip():
            return replace
        raise EditError("the SEARCH part is empty; quote the lines to replace")
    for quotation, replacement in _readings(search, replace):
        result = _apply(text, quotation, replacement)
        if result is not None:
            if result == text:
                raise EditError("the edit changes nothing: SEARCH and REPLACE are the same")
            return result
    raise EditError(_no_match(text, search, replace))


def _readings(search: str, replace: str) -> Iterator[tuple[str, str]]:
    """The ways to read a model's quotation and replacement, the literal way first."""
    yield search, replace
    trimmed = _trim_blank(search), _trim_blank(replace)
    if trimmed[0] != search.strip("\n"):
        yield trimmed
    if all(_NUMBERED.match(line) for line in trimmed[0].split("\n") if line.strip()):
        yield _unnumbered(trimmed[0]), _unnumbered(trimmed[1])


def _apply(text: str, search: str, replace: str) -> str | None:
    lines = text.split("\n")
    quoted_lines = search.removesuffix("\n").split("\n")
    new_lines = replace.removesuffix("\n").split("\n") if replace else []
    exact = _places(lines, quoted_lines)
    if exact:
        return _spliced(lines, _one(exact, len(quoted_lines)), quoted_lines, new_lines)
    if search.strip("\n") in text:
        return _replace_within(text, search.strip("\n"), replace.strip("\n"))
    loose = _places([x.rstrip() for x in lines], [x.rstrip() for x in quoted_lines])
    if loose:
        return _spliced(lines, _one(loose, len(quoted_lines)), quoted_lines, new_lines)
    return _replace_shifted(lines, quoted_lines, new_lines)


def _places(lines: list[str], quoted_lines: list[str]) -> list[int]:
    """The indices at which `quoted_lines` begins in `lines`."""
    size = len(quoted_lines)
    starts = (i for i, line in enumerate(lines) if line == quoted_lines[0])
    return [i for i in starts if lines[i : i + size] == quoted_lines]


def _one(places: list[int], size: int) -> int:
    """The only element of `places`. Raises EditError if there are several."""
    if len(places) > 1:
        numbers = ", ".join(str(place + 1) for place in places[:10])
        what = "SEARCH line occurs" if size == 1 else "SEARCH lines occur"
        raise EditError(
            f"the {what} in {len(places)} places (lines {numbers}); "
            "quote more lines around the place that you mean"
        )
    return places[0]


def _spliced(lines: list[str], start: int, quoted_lines: list[str], new_lines: list[str]) -> str:
    return "\n".join([*lines[:start], *new_lines, *lines[start + len(quoted_lines) :]])


def _replace_within(text: str, search: str, replace: str) -> str:
    """Replace text that may begin and end in the middle of a line."""
    at = text.find(search)
    places = []
    while at != -1:
        places.append(text.count("\n", 0, at))
        at = text.find(search, at + 1)
    _one(places, search.count("\n") + 1)
    return text.replace(search, replace, 1)


def _replace_shifted(lines: list[str], quoted_lines: list[str], new_lines: list[str]) -> str | None:
    """Replace lines whose indentation differs from that in the model's quotation."""
    bare = [line.strip() for line in quoted_lines]
    matches: list[tuple[int, dict[str, str]]] = []
    for place in _places([line.strip() for line in lines], bare):
        shifts = _shifts(lines[place : place + len(quoted_lines)], quoted_lines)
        if shifts is not None:
            matches.append((place, shifts))
    if not matches:
        return None
    place = _one([start for start, _ in matches], len(quoted_lines))
    shifts = matches[0][1]
    return _spliced(lines, place, quoted_lines, [_shifted(line, shifts) for line in new_lines])


def _shifts(lines: list[str], quoted_lines: list[str]) -> dict[str, str] | None:
    """Map each indentation in the quotation to the indentation of the same lines in the file.

    Returns None if this is impossible: lines with the same indentation in the quotation must have
    the same indentation in the file, and deeper lines must be deeper in the file.
    """
    shifts: dict[str, str] = {}
    for line, quoted in zip(lines, quoted_lines, strict=True):
        if quoted.strip() and shifts.setdefault(_indent(quoted), _indent(line)) != _indent(line):
            return None
    ordered = [shifts[indent] for indent in sorted(shifts, key=len)]
    widths = [len(indent) for indent in ordered]
    return shifts if all(a < b for a, b in pairwise(widths)) else None


def _shifted(line: str, shifts: dict[str, str]) -> str:
    """A line of the replacement, indented like the file."""
    indent = _indent(line)
    if not line.strip():
        return ""
    if indent in shifts:
        return shifts[indent] + line[len(indent) :]
    # A line deeper than all quoted lines keeps its additional indentation.
    for known in sorted(shifts, key=len, reverse=True):
        if indent.startswith(known):
            return shifts[known] + line[len(known) :]
    # A line less deep than all quoted lines is shifted like the least deep quoted line.
    known = min(shifts, key=len)
    change = len(shifts[known]) - len(known)
    fill = (shifts[known] or " ")[0]
    return fill * max(0, len(indent) + change) + line[len(indent) :]


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _trim_blank(text: str) -> str:
    """`text` without the blank lines at its start and end."""
    lines = text.split("\n")
    while lines and not lines[0].strip():
        lines.pop(0)
    while lines and not lines[-1].strip():
        lines.pop()
    return "\n".join(lines)


def _unnumbered(text: str) -> str:
    return "\n".join(_NUMBERED.sub("", line, count=1) for line in text.split("\n"))


def _no_match(text: str, search: str, replace: str) -> str:
    """The error message if nothing matches; it shows the most similar lines."""
    lines = text.split("\n")
    quoted_lines = _trim_blank(search).split("\n")
    if len(replace.strip()) > 20 and replace.strip("\n") in text:
        line = text.count("\n", 0, text.find(replace.strip("\n"))) + 1
        return f"the SEARCH lines are not in the file, but the REPLACE lines are, at line {line}"
    start = _nearest(lines, quoted_lines)
    if start is None:
        return "neither the SEARCH lines nor similar lines are in the file; read the file first"
    end = min(len(lines), start + min(len(quoted_lines), _MAX_LINES))
    region = "\n".join(f"{n + 1}|{lines[n][:_MAX_CHARS]}" for n in range(start, end))
    return f"the SEARCH lines are not in the file. The most similar lines are:\n{region}"


def _nearest(lines: list[str], quoted_lines: list[str]) -> int | None:
    """The index of the lines most similar to `quoted_lines`; None if no lines are similar."""
    bare = [line.strip() for line in lines]
    counts = Counter(line.strip() for line in quoted_lines if line.strip())
    size = len(quoted_lines)
    # Count the lines shared with the quotation in each window of the quotation's length.
    shared = [1 if counts.get(line) else 0 for line in bare]
    best, start, window = 0, None, sum(shared[:size])
    for i in range(len(lines)):
        if window > best:
            best, start = window, i
        window -= shared[i]
        window += shared[i + size] if i + size < len(lines) else 0
    if start is not None:
        first = next(i for i in range(start, len(lines)) if shared[i])
        return max(0, first - [line.strip() for line in quoted_lines].index(bare[first]))
    # No line is shared, so find the line most similar to the longest quoted line.
    offset, longest = max(enumerate(quoted_lines), key=lambda pair: len(pair[1].strip()))
    matcher = SequenceMatcher(b=longest.strip()[:_MAX_CHARS], autojunk=False)
    best_ratio, at = 0.5, None
    for i, line in enumerate(bare[:5000]):
        matcher.set_seq1(line[:_MAX_CHARS])
        if matcher.real_quick_ratio() > best_ratio and matcher.quick_ratio() > best_ratio:
            ratio = matcher.ratio()
            if ratio > best_ratio:
                best_ratio, at = ratio, i
    return None if at is None else max(0, at - offset)
