"""The stored sessions: find, rename, fork and delete them.

A fork is a new session that begins with its parent's events up to a turn. The checkpoints of these
turns stay in the parent, so that no change can be undone twice. `lineage` lists the sessions that
hold a fork's earlier turns. KV caches are stored by their tokens
(`models/llamacpp/worker/kv_files.py`), so a fork can use its parent's cache.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from localagent.core import events
from localagent.core.errors import UsageError, WorkspaceError
from localagent.core.events import SessionTitled, to_dict
from localagent.core.paths import sessions_dir
from localagent.history.checkpoints.workspace_lock import Holder, acquire
from localagent.history.sessions import jsonl, transcript
from localagent.history.sessions.transcript import (
    Parent,
    SessionSummary,
    StoredEvent,
    Transcript,
    TranscriptWriter,
)

MAX_TITLE = 200  # characters

# For each event type that a search reads, the field that holds the text.
_SEARCHED = {
    "session_titled": "title",
    "turn_started": "prompt",
    "message_added": "content",
    "file_changed": "path",
}
# When one of these events comes directly before a turn, it belongs to that turn.
_OPENING = (events.SessionStarted, events.Warned, events.ModelSwitched)
_ALL_TURNS = 1 << 62
_DELETED = ".pruned-"


@dataclass(frozen=True, slots=True)
class SessionMatch:
    """A session that a search found. `line` is the first line that contains a searched word."""

    session: SessionSummary
    line: str = ""


@dataclass(frozen=True, slots=True)
class Pruned:
    """A deleted session, and the disk space that it took, in bytes."""

    session: str
    bytes: int


def find(
    workspace: Path | None, words: Sequence[str] = (), outcome: str = "", file: str = ""
) -> list[SessionMatch]:
    """The stored sessions that match all given conditions, newest first.

    A session matches if it is of `workspace` (None: any), contains all `words` (ignoring case), its
    last turn ended with `outcome`, and it changed a file whose path contains `file`.
    """
    folded = [word.casefold() for word in words]
    matches = []
    for session in transcript.list_sessions(workspace):
        if outcome and session.outcome != outcome:
            continue
        if file and not any(file in path for path in session.files):
            continue
        line = _first_line(session.session, folded) if folded else ""
        if line is not None:
            matches.append(SessionMatch(session, line))
    return matches


def _first_line(session: str, words: Sequence[str]) -> str | None:
    """The first line with the first of `words`; None if any of `words` is missing."""
    missing = dict.fromkeys(words)
    first = None
    for record in transcript.records(session, tuple(_SEARCHED)):
        text = str(record.get(_SEARCHED[record["type"]], ""))
        folded = text.casefold()
        if first is None and words[0] in folded:
            lines = (line for line in text.splitlines() if words[0] in line.casefold())
            first = next(lines, text)
        for word in [word for word in missing if word in folded]:
            del missing[word]
        if not missing and first is not None:
            return first.strip()
    return None


def rename(session: str, title: str) -> str:
    """Change a session's title, and return the session's id.

    Raises UsageError for an unknown session or an invalid title, and WorkspaceError if the session
    is in use.
    """
    past = transcript.read(session)
    event = titled(title)
    next_seq = max((entry.seq for entry in past.entries), default=0) + 1
    with TranscriptWriter(past.session, past.folder, next_seq) as writer:
        writer.append(event)
    return past.session


def titled(title: str) -> SessionTitled:
    """The event that gives a session the title `title`. Raises UsageError for an invalid title."""
    text = " ".join(title.split())
    if not text or len(text) > MAX_TITLE or not text.isprintable():
        raise UsageError(
            "invalid title", f"a title is one line of 1 to {MAX_TITLE} printable characters"
        )
    return SessionTitled(text)


# Forks


def fork(session: str, turn: int | None = None) -> str:
    """Make a new session with the turns of `session` up to `turn` (default: all).

    Returns the new session's id. `session` is an id, or the start or end of one; the session may be
    in use. A fork at turn 0 copies only the title. Raises UsageError for an unknown session or
    turn, and WorkspaceError.
    """
    past = transcript.read(session)
    last = past.last_turn
    until = last if turn is None else turn
    if not 0 <= until <= last:
        turns = f"its turns are 1 to {last}" if last else "it has no turn yet"
        raise UsageError(f"session {past.session} has no turn {turn}", turns)
    try:
        folder = transcript.new_folder()
        with jsonl.Appender(folder / transcript.FILE) as file:
            for seq, entry in enumerate(_entries_until(past, until), 1):
                file.append({"seq": seq, "time": entry.time, **to_dict(entry.event)})
        # The description is written last, because a folder without one is not a session.
        transcript.describe(folder, past.workspace, Parent(past.session, until))
    except OSError as error:
        raise WorkspaceError(
            f"cannot write to {error.filename or sessions_dir()}: {error.strerror}",
            "check the space and the permissions of localagent's data folder",
        ) from error
    return folder.name


def lineage(session: str, sessions: Path | None = None) -> Iterator[Parent]:
    """The session with this full id, then its ancestors, each with its last turn in the session.

    If an ancestor was deleted, the list ends with that ancestor.
    """
    here: Parent | None = Parent(session, _ALL_TURNS)
    visited: set[str] = set()
    while here is not None and here.session not in visited:
        visited.add(here.session)
        yield here
        above = transcript.parent_of(here.session, sessions)
        here = above and Parent(above.session, min(above.turn, here.turn))


def forks_of(session: str) -> list[str]:
    """The forks of the session with this full id."""
    parents = ((name, transcript.parent_of(name)) for name in transcript.session_ids())
    return [name for name, parent in parents if parent is not None and parent.session == session]


def exists(session: str, sessions: Path | None = None) -> bool:
    """Whether the session with this full id is still stored."""
    return ((sessions or sessions_dir()) / session).is_dir()


def _entries_until(past: Transcript, turn: int) -> list[StoredEvent]:
    """The entries of the turns up to `turn`, and the session's last title."""
    entries: list[StoredEvent] = []
    for entry in past.entries:
        if isinstance(entry.event, events.TurnStarted) and entry.event.turn > turn:
            break
        entries.append(entry)
    if len(entries) < len(past.entries):
        while entries and isinstance(entries[-1].event, _OPENING):
            entries.pop()
    titles = [entry for entry in past.entries if isinstance(entry.event, SessionTitled)]
    return entries if not titles or titles[-1] in entries else [*entries, titles[-1]]


# Deletion


def disk_use(session: str) -> int:
    """The disk space of a session in bytes: transcript, checkpoints and stored contents."""
    files = (sessions_dir() / session).rglob("*")
    return sum(p.stat().st_size for p in files if not p.is_symlink() and p.is_file())


def candidates(max_bytes: int, keep: int = 10) -> list[Pruned]:
    """The sessions that `prune` would delete, oldest first. Changes nothing."""
    sessions = transcript.list_sessions()
    sizes = {one.session: disk_use(one.session) for one in sessions}
    total = sum(sizes.values())
    chosen: list[Pruned] = []
    for one in reversed(sessions[keep:]):
        if total <= max_bytes:
            break
        if transcript.is_in_use(one.session) or _at_work(one.session, one.workspace):
            continue
        total -= sizes[one.session]
        chosen.append(Pruned(one.session, sizes[one.session]))
    return chosen


def prune(max_bytes: int, keep: int = 10) -> list[Pruned]:
    """Delete the oldest sessions until the remaining ones take at most `max_bytes`.

    The newest `keep` sessions, and sessions in use, are not deleted. A deleted session cannot be
    undone, resumed or replayed. Returns the deleted sessions, oldest first. If a call is killed,
    the next call completes it. Raises WorkspaceError.
    """
    _finish_deletion()
    chosen = candidates(max_bytes, keep)
    for one in chosen:
        _delete(one.session)
    return chosen


def delete(session: str) -> Pruned:
    """Delete the session that `session` identifies: an id, or the start or end of one.

    Raises UsageError for an unknown session, and WorkspaceError if the session is in use.
    """
    name = transcript.find_session(session)
    if transcript.is_in_use(name):
        raise WorkspaceError(f"session {name} is in use by another process", "end it there first")
    deleted = Pruned(name, disk_use(name))
    _delete(name)
    return deleted


def _delete(session: str) -> None:
    folder = sessions_dir() / session
    try:
        # The new name marks the session as deleted, even if the process is killed now.
        folder.rename(folder.with_name(_DELETED + folder.name))
    except OSError as error:
        raise WorkspaceError(f"cannot delete {folder}: {error.strerror}") from error
    _finish_deletion()


def _finish_deletion() -> None:
    for folder in sessions_dir().glob(f"{_DELETED}*"):
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise WorkspaceError(f"cannot delete {folder}: {error.strerror}") from error


def _at_work(session: str, workspace: str) -> bool:
    """Whether the session holds its workspace's lock."""
    if not workspace:
        return False
    lock = acquire(Path(workspace), "prune")
    if isinstance(lock, Holder):
        # A holder that has just begun may not have written its name yet.
        return lock.session in ("", session)
    lock.release()
    return False
