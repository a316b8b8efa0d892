"""Checks the places that an answer cites before the user sees them.

A citation such as `cart.py:12` is right if the file and the line were shown to the model. A wrong
line becomes the nearest line that was shown. A file that was not shown loses its line, and a file
that does not exist loses its name too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

from localagent.agent.model_calls import Reply
from localagent.code.languages import UNKNOWN, language_of
from localagent.core.events import Event, ModelReplied, ModelRequested, TextDelta
from localagent.core.messages import Part

_CITATION = re.compile(
    r"(?<![\w/:@.-])(?P<path>[\w./-]*\w\.[A-Za-z]\w{0,9}):(?P<line>\d+)(?:-(?P<last>\d+))?"
)
_NO_FILE = "a file that does not exist"
WORD = re.compile(r"\s")
"""The end of a piece that may hold one citation."""


class Citations:
    """The places that a prompt shows, and the files of the project."""

    def __init__(self, parts: Sequence[Part], files: Sequence[str]) -> None:
        self._files = files
        self._spans: dict[str, list[tuple[int, int]]] = {}
        for part in parts:
            if part.path:
                self._spans.setdefault(part.path, []).extend(part.lines)

    def correct(self, text: str) -> str:
        """`text` with each wrong citation corrected or removed."""
        return _CITATION.sub(self._corrected, text)

    def _corrected(self, match: re.Match[str]) -> str:
        path = match["path"].removeprefix("./")
        line = int(match["line"])
        for name, spans in self._spans.items():
            if spans and (name == path or name.endswith(f"/{path}")):
                first, last = min(spans, key=lambda span: max(span[0] - line, line - span[1]))
                if not first <= line <= last:
                    return f"{match['path']}:{min(max(line, first), last)}"
                end = int(match["last"] or line)
                return match[0] if line <= end <= last else f"{match['path']}:{line}"
        if any(name == path or name.endswith(f"/{path}") for name in self._files):
            return match["path"]
        return match[0] if language_of(path) is UNKNOWN else _NO_FILE


def checked(
    events: Generator[Event, None, Reply],
    check: Callable[[str], str],
    end: re.Pattern[str] = WORD,
) -> Generator[Event, None, Reply]:
    """The events of an answer; each piece of its text is checked before it appears.

    A piece is complete at a match of `end`. The reply that is returned has the checked text.
    """
    rest = ""
    while True:
        try:
            event = next(events)
        except StopIteration as stop:
            reply: Reply = stop.value
            return replace(reply, text=check(reply.text))
        if isinstance(event, TextDelta):
            rest += event.text
            ends = [match.end() for match in end.finditer(rest)]
            piece, rest = (rest[: ends[-1]], rest[ends[-1] :]) if ends else ("", rest)
            event = replace(event, text=check(piece))
        elif isinstance(event, ModelRequested):  # the first request, or again after a fault
            rest = ""
        elif isinstance(event, ModelReplied):
            yield TextDelta(check(rest), event.stream)
        if not isinstance(event, TextDelta) or event.text:
            yield event
