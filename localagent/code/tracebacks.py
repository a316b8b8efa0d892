"""Finds the file places that a failing program's output names, in the formats of many languages.

Python prints the innermost frame last; other languages print it first. Compilers and test runners
print the place of each error, and the first error matters most.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Frame = tuple[str, int]
"""A path as the output has it, and a line from 1."""

_PATH = r"(?:[A-Za-z]:)?(?:[\w@+~.$-]*[/\\])*[\w@+~.$-]+\.[A-Za-z]\w{0,9}"
_PYTHON = re.compile(r'File "(?P<path>[^"\n]+)", line (?P<line>\d+)')
_JVM = re.compile(
    r"\bat (?:[\w.@-]*/){0,2}(?P<name>[\w$.]+)\.[\w$<>]+"
    r"\((?P<path>[\w$]+\.\w+):(?P<line>\d+)\)"
)  # at org.shop.Cart.add(Cart.java:12)
_OTHERS = (
    # a.go:3, /a/b.rs:3:5, (file:///a/b.mjs:3:5), [a_test.rb:3], webpack:///./src/a.ts:3:5, a.c:3:
    re.compile(
        r"(?:^|(?<=[\s(\[\"'@<]))(?:(?:file|webpack(?:-internal)?)://[^/\s]*)?"
        rf"(?P<path>{_PATH}):(?P<line>\d+)(?::\d+)?(?=[:,.)\]\s\"'>]|$)",
        re.M,
    ),
    # a.cpp(3): error, a.ts(3,5): error, #0 /a/b.php(3): f()
    re.compile(rf"(?:^|(?<=[\s(\"']))(?P<path>{_PATH})\((?P<line>\d+)(?:,\d+)?\)(?=:)", re.M),
    # in /a/B.cs:line 3, in /a/b.php on line 3
    re.compile(rf"\bin (?P<path>{_PATH})(?::line| on line) (?P<line>\d+)"),
)


def frames(text: str) -> list[Frame]:
    """All places, each once, in Python's order: the innermost frame, or first error, is last."""
    python = [(m["path"], _number(m["line"])) for m in _PYTHON.finditer(text)]
    rest = _PYTHON.sub(" ", text)
    others = sorted(_other_frames(rest))
    ordered = [*((path, line) for _, path, line in reversed(others)), *python]
    kept = dict.fromkeys(reversed([(p.replace("\\", "/"), n) for p, n in ordered]))
    return list(reversed(kept))


def _other_frames(text: str) -> Iterator[tuple[int, str, int]]:
    for match in _JVM.finditer(text):
        # The frame names only the file; the package's name gives the folder.
        package = match["name"].split("$")[0].split(".")[:-1]
        yield match.start(), "/".join([*package, match["path"]]), _number(match["line"])
    rest = _JVM.sub(lambda m: " " * len(m.group()), text)
    for pattern in _OTHERS:
        for match in pattern.finditer(rest):
            yield match.start(), match["path"], _number(match["line"])


def _number(digits: str) -> int:
    return int(digits[:9])
