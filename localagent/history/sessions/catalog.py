"""Looking through the stored sessions, and naming them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from localagent.core.errors import UsageError
from localagent.core.events import SessionTitled
from localagent.history.sessions.transcript import (
    SessionSummary,
    TranscriptWriter,
    list_sessions,
    read,
    records,
)

MAX_TITLE = 200  # characters

# What people remember of a session: what they asked, what was said, which files it changed.
_TOLD = {
    "session_titled": "title",
    "turn_started": "prompt",
    "message_added": "content",
    "file_changed": "path",
}


@dataclass(frozen=True, slots=True)
class SessionMatch:
    """A session and, where words were looked for, the first line that has one of them."""

    session: SessionSummary
    line: str = ""


def find(
    workspace: Path | None, words: Sequence[str] = (), outcome: str = "", file: str = ""
) -> list[SessionMatch]:
    """The sessions of one workspace or of all, newest first, in which all `words` occur, in any
    case; whose last turn ended with `outcome`; that changed a file whose path has `file` in it."""
    wanted = [word.casefold() for word in words]
    found = []
    for session in list_sessions(workspace):
        if outcome and session.outcome != outcome:
            continue
        if file and not any(file in path for path in session.files):
            continue
        line = _line(session.session, wanted) if wanted else ""
        if line is not None:
            found.append(SessionMatch(session, line))
    return found


def rename(session: str, title: str) -> str:
    """Give a session another title; returns its id.

    Raises UsageError for an unknown session or a title that is none, and WorkspaceError where
    the session is at work or cannot be written.
    """
    past = read(session)
    event = titled(title)
    next_seq = max((entry.seq for entry in past.entries), default=0) + 1
    with TranscriptWriter(past.session, past.folder, next_seq) as writer:
        writer.append(event)
    return past.session


def titled(title: str) -> SessionTitled:
    """The event that gives a session this title. Raises UsageError where it is none."""
    text = " ".join(title.split())
    if not text or len(text) > MAX_TITLE or not text.isprintable():
        raise UsageError(
            "this is no title", f"a title is one line of 1 to {MAX_TITLE} printable characters"
        )
    return SessionTitled(text)


def _line(session: str, words: Sequence[str]) -> str | None:
    """The first line with the first of `words`, None where not all of them occur."""
    missing = dict.fromkeys(words)
    shown = None
    for record in records(session, tuple(_TOLD)):
        text = str(record.get(_TOLD[record["type"]], ""))
        lowered = text.casefold()
        if shown is None and words[0] in lowered:
            lines = (line for line in text.splitlines() if words[0] in line.casefold())
            shown = next(lines, text)
        for word in [word for word in missing if word in lowered]:
            del missing[word]
        if not missing and shown is not None:
            return shown.strip()
    return None
