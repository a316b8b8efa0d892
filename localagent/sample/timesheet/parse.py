"""Reading a timesheet."""

import re
from datetime import date, time

from timesheet.work import Work

LINE = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)\s+"
    r"(?P<start>\d\d:\d\d)\s+(?P<end>\d\d:\d\d)\s+"
    r"(?:-(?P<pause>\d+)m\s+)?"
    r"(?P<project>\S+)(?:\s+(?P<note>.*))?"
)


class BadLine(ValueError):
    """A line that is not a piece of work."""


def parse_line(text: str, number: int = 1) -> Work:
    """The piece of work that a line describes. Raises BadLine."""
    match = LINE.fullmatch(text.strip())
    if match is None:
        raise BadLine(f"line {number}: expected 'day from to project', found {text.strip()!r}")
    try:
        return Work(
            day=date.fromisoformat(match["day"]),
            start=time.fromisoformat(match["start"]),
            end=time.fromisoformat(match["end"]),
            project=match["project"],
            pause=int(match["pause"] or 0),
            note=match["note"] or "",
        )
    except ValueError as error:
        raise BadLine(f"line {number}: {error}") from error


def parse(text: str) -> list[Work]:
    """All pieces of work in a timesheet, in its order."""
    lines = enumerate(text.splitlines(), start=1)
    return [
        parse_line(line, number)
        for number, line in lines
        if line.strip() and not line.lstrip().startswith("#")
    ]
