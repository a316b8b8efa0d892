"""Reads the failed tests in the output of pytest and unittest, for checks without the probe."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from localagent.code.tracebacks import Frame

_MESSAGE_CHARS = 600  # as in the probe
_UNITTEST = re.compile(
    r"^={70}\n(?:FAIL|ERROR): (?P<name>\w+)(?: \((?P<where>[\w.]+)\))?.*\n(?:.*\n)*?-{70}\n"
    r"(?P<text>(?:(?!={70}$|-{70}$).*\n)*)",
    re.M,
)
_PYTEST = re.compile(r"^_{3,} (?P<name>.+?) _{3,}\n(?P<text>(?:(?!_{3,} |=+ ).*\n?)*)", re.M)
_PYTHON_FRAME = re.compile(r'^  File "(?P<path>[^"\n]+)", line (?P<line>\d+).*\n', re.M)
_PYTEST_FRAME = re.compile(r"^(?P<path>[^\s:]+\.py):(?P<line>\d+): ", re.M)


class ReportedFailure(NamedTuple):
    """A failed test: its id as pytest has it, its message, and its traceback, outermost first."""

    id: str
    message: str
    frames: tuple[Frame, ...]


def reported_failures(output: str, root: str) -> list[ReportedFailure]:
    """The failed tests in the output of a check in the folder `root`, in order."""
    return [*_of_unittest(output, root), *_of_pytest(output, root)]


def _of_unittest(output: str, root: str) -> Iterator[ReportedFailure]:
    for match in _UNITTEST.finditer(output):
        text = match["text"]
        places = list(_PYTHON_FRAME.finditer(text))
        rest = text[places[-1].end() :] if places else text
        error = [line for line in rest.splitlines() if not line.startswith("    ")]
        inside = next((m for m in places if _relative(m["path"], root)), None)
        statement = text[inside.end() :].partition("\n")[0].strip() if inside else ""
        name = "::".join([*(match["where"] or "").split(".")[-2:-1], match["name"]])
        yield _failure(name, [statement, *error], _frames(places, root))


def _of_pytest(output: str, root: str) -> Iterator[ReportedFailure]:
    for match in _PYTEST.finditer(output):
        lines = match["text"].splitlines()
        errors = [line[1:].strip() for line in lines if line.startswith("E ")]
        marked = [line[1:].strip() for line in lines if line.startswith(">")]
        indented = [line.strip() for line in lines if line.startswith("    ")]
        name, bracket, values = match["name"].partition("[")
        name = name.replace(".", "::") + bracket + values
        if errors:
            frames = _frames(_PYTEST_FRAME.finditer(match["text"]), root)
            yield _failure(name, [next(iter(marked or indented), ""), *errors], frames)


def _failure(name: str, lines: list[str], frames: tuple[Frame, ...]) -> ReportedFailure:
    path = f"{frames[0][0]}::" if frames else ""
    return ReportedFailure(f"{path}{name}", "\n".join(lines).strip()[:_MESSAGE_CHARS], frames)


def _frames(places: Iterable[re.Match[str]], root: str) -> tuple[Frame, ...]:
    found = ((_relative(m["path"], root), int(m["line"])) for m in places)
    return tuple((path, line) for path, line in found if path)


def _relative(path: str, root: str) -> str:
    """A path of a traceback below `root`; "" for a path outside."""
    inside = path.removeprefix(f"{root}/")
    return "" if inside.startswith("/") else inside
