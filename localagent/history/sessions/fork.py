"""Going on from an earlier turn, in a session of its own.

A fork has its parent's events up to a turn, and goes on by itself. What these turns changed stays
recorded where it was made, in the parent, so that it can be undone once and not twice; a fork's
earlier turns are therefore those of `lineage`. What a model has read is kept by its tokens
(`models/llamacpp/worker/kv_files.py`), so a fork goes on as quickly as its parent does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from localagent.core.errors import UsageError, WorkspaceError
from localagent.core.events import (
    ModelSwitched,
    SessionStarted,
    SessionTitled,
    TurnStarted,
    Warned,
    to_dict,
)
from localagent.core.paths import sessions_dir
from localagent.history.sessions import jsonl
from localagent.history.sessions.transcript import (
    FILE,
    Parent,
    StoredEvent,
    Transcript,
    describe,
    new_folder,
    parent_of,
    read,
    session_ids,
)

# What a process says before its first turn belongs to that turn.
_OPENING = (SessionStarted, Warned, ModelSwitched)
_UNBOUNDED = 1 << 62


def fork(session: str, turn: int | None = None) -> str:
    """Begin a session with the turns of `session` up to `turn` (default: all); its id.

    `session` is an id, or its beginning or end; it may be at work. With turn 0 nothing is taken
    over but the title. Raises UsageError for an unknown session or turn, WorkspaceError.
    """
    past = read(session)
    last = past.last_turn
    kept = last if turn is None else turn
    if not 0 <= kept <= last:
        turns = f"its turns are 1 to {last}" if last else "it has no turn yet"
        raise UsageError(f"session {past.session} has no turn {turn}", turns)
    try:
        folder = new_folder()
        with jsonl.Appender(folder / FILE) as file:
            for seq, entry in enumerate(_until(past, kept), 1):
                file.append({"seq": seq, "time": entry.time, **to_dict(entry.event)})
        # Last: a folder without this is no session of any workspace.
        describe(folder, past.workspace, Parent(past.session, kept))
    except OSError as error:
        raise WorkspaceError(
            f"cannot write to {error.filename or sessions_dir()}: {error.strerror}",
            "check the space and the permissions of localagent's data folder",
        ) from error
    return folder.name


def lineage(session: str, sessions: Path | None = None) -> Iterator[Parent]:
    """The session of this whole id and those that it comes from, each with the last turn that is
    taken over; one that was deleted comes last."""
    here: Parent | None = Parent(session, _UNBOUNDED)
    seen: set[str] = set()
    while here is not None and here.session not in seen:
        seen.add(here.session)
        yield here
        above = parent_of(here.session, sessions)
        here = above and Parent(above.session, min(above.turn, here.turn))


def forks_of(session: str) -> list[str]:
    """The sessions that were forked from the one of this whole id."""
    parents = ((name, parent_of(name)) for name in session_ids())
    return [name for name, parent in parents if parent is not None and parent.session == session]


def exists(session: str, sessions: Path | None = None) -> bool:
    """Whether the session of this whole id is still stored."""
    return ((sessions or sessions_dir()) / session).is_dir()


def _until(past: Transcript, turn: int) -> list[StoredEvent]:
    """The entries of the turns up to `turn`, and the title that was given later."""
    kept: list[StoredEvent] = []
    for entry in past.entries:
        if isinstance(entry.event, TurnStarted) and entry.event.turn > turn:
            break
        kept.append(entry)
    if len(kept) < len(past.entries):
        while kept and isinstance(kept[-1].event, _OPENING):
            kept.pop()
    titles = [entry for entry in past.entries if isinstance(entry.event, SessionTitled)]
    return kept if not titles or titles[-1] in kept else [*kept, titles[-1]]
