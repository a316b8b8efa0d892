"""The transcript of a session: its events, one JSON object per line.

In `sessions/<id>/transcript.jsonl`, a line is {"seq", "time", "type", …the event's fields}. `seq`
counts from 1; `time` is UTC with milliseconds. `TextDelta`, `ThoughtDelta` and `ModelReading` are
not stored, because the `ModelReplied` after them holds the whole text. The file is synced when a
turn ends.

On a full disk, the first `append` that fails raises WorkspaceError, which ends the turn. The user
still sees later events, but they are not stored; `lost` counts them. A failed write leaves no
partial line.
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from localagent.core.clock import timestamp
from localagent.core.errors import UsageError, WorkspaceError
from localagent.core.events import (
    Event,
    ModelReading,
    SessionTitled,
    TextDelta,
    ThoughtDelta,
    TurnFinished,
    TurnStarted,
    from_dict,
    to_dict,
)
from localagent.core.messages import Message
from localagent.core.paths import data_dir, private, sessions_dir
from localagent.history.sessions import jsonl
from localagent.history.sessions.conversation import ConversationLog

FILE = "transcript.jsonl"
_ABOUT = "session.json"
_TITLED = "session_titled"
_NOT_STORED = (TextDelta, ThoughtDelta, ModelReading)
# The alphabet of Crockford's base 32, which leaves out letters that look alike.
_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
_ID = re.compile(r"\d{8}-\d{4}-[0-9a-z]{4}")


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One stored event, with its number and time."""

    seq: int
    time: str
    event: Event


@dataclass(frozen=True, slots=True)
class Parent:
    """The parent of a fork. The fork begins with the parent's turns up to `turn`."""

    session: str
    turn: int


@dataclass(frozen=True, slots=True)
class Transcript:
    """A stored session. `damaged` counts the lines that are torn or of an unknown type."""

    session: str
    folder: Path
    workspace: str
    started: str
    entries: tuple[StoredEvent, ...]
    damaged: int
    parent: Parent | None = None

    @property
    def events(self) -> list[Event]:
        """The events in order."""
        return [entry.event for entry in self.entries]

    def messages(self) -> list[Message]:
        """The messages of the conversation so far."""
        return self.talk().messages

    def texts(self) -> Iterator[str]:
        """The texts of the conversation: each message, and the question that it answers."""
        for message in self.messages():
            yield message.content
            if message.asked is not None:
                yield message.asked.text

    def talk(self) -> ConversationLog:
        """The conversation so far, with the start of each turn."""
        return ConversationLog.of(self.events)

    @property
    def last_turn(self) -> int:
        """The number of the last turn; 0 if there is none."""
        return max((e.turn for e in self.events if isinstance(e, TurnStarted)), default=0)

    @property
    def title(self) -> str:
        """The title of the session; "" if it has none."""
        titles = [e.title for e in self.events if isinstance(e, SessionTitled)]
        return titles[-1] if titles else ""


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """One session in a list of sessions.

    `prompt` is the first task. `outcome` is the outcome of the last turn; "" if that turn did not
    finish. `outcomes` are those of all turns with a model. `title` is "" if the session has none.
    `used` is the time of the last event of a turn.
    """

    session: str
    started: str
    workspace: str
    prompt: str
    outcome: str
    files: tuple[str, ...]
    turns: int
    title: str = ""
    used: str = ""
    parent: Parent | None = None
    outcomes: tuple[str, ...] = ()


class TranscriptWriter:
    """A session open for recording. Its `folder` also holds the session's checkpoints."""

    def __init__(self, session: str, folder: Path, next_seq: int = 1) -> None:
        """Open the transcript. Raises WorkspaceError if another process records the session."""
        self.session = session
        self.folder = folder
        self.lost = 0
        self._seq = next_seq
        try:
            self._file = jsonl.Appender(folder / FILE, alone=True)
        except jsonl.InUse:
            raise WorkspaceError(
                f"session {session} is in use by another process",
                f"end it there, or continue in a copy: localagent sessions fork {session}",
            ) from None

    def append(self, event: Event) -> None:
        """Store `event`, unless it is of a type that transcripts leave out.

        Raises WorkspaceError for the first failed write. Later events are only counted in `lost`.
        """
        if isinstance(event, _NOT_STORED):
            return
        if self.lost:
            self.lost += 1
            return
        record = {"seq": self._seq, "time": timestamp(), **to_dict(event)}
        try:
            self._file.append(record, sync=isinstance(event, TurnFinished))
        except OSError as error:
            self.lost = 1
            raise WorkspaceError(
                f"cannot write the transcript: {error.strerror}",
                f"free some space on the disk that holds {self.folder}",
            ) from error
        self._seq += 1

    def aside(self, event: Event) -> None:
        """Do nothing: a transcript does not store events outside of the conversation."""

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()

    def discard(self) -> None:
        """Close the file and delete it, and the session's folder if no other file is in it."""
        self.close()
        with contextlib.suppress(OSError):
            for name in (FILE, _ABOUT):
                (self.folder / name).unlink(missing_ok=True)
            self.folder.rmdir()

    def __enter__(self) -> TranscriptWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def open_session(workspace: Path, session: str | None = None) -> TranscriptWriter:
    """Begin a session in `workspace`, or resume the session that `session` identifies.

    `session` is an id, or the start or end of one. Raises UsageError for an unknown session or a
    session of another workspace, and WorkspaceError.
    """
    root = os.path.realpath(workspace)
    try:
        if session is None:
            folder = new_folder()
            describe(folder, root)
            return TranscriptWriter(folder.name, folder)
        old = read(session)
        if old.workspace not in ("", root):
            raise UsageError(
                f"session {old.session} belongs to {old.workspace}", "run localagent there"
            )
        next_seq = max((entry.seq for entry in old.entries), default=0) + 1
        return TranscriptWriter(old.session, old.folder, next_seq)
    except OSError as error:
        raise WorkspaceError(
            f"cannot write to {error.filename or sessions_dir()}: {error.strerror}",
            "check the space and the permissions of localagent's data folder",
        ) from error


def new_folder() -> Path:
    """Make an empty folder for a new session, named by its id. Raises OSError."""
    private(data_dir())
    sessions = private(sessions_dir())
    while True:
        folder = sessions / new_id()
        try:
            folder.mkdir(mode=0o700)
            return folder
        except FileExistsError:
            continue


def new_id() -> str:
    """A new session id, which begins with the time. Another session may already have this id."""
    tail = "".join(secrets.choice(_LETTERS) for _ in range(4))
    return f"{datetime.now(UTC):%Y%m%d-%H%M}-{tail}"


def describe(folder: Path, workspace: str, parent: Parent | None = None) -> None:
    """Write the description of a new session into its folder. Raises OSError."""
    about = {"session": folder.name, "workspace": workspace, "started": timestamp()}
    if parent is not None:
        about["parent"] = parent.session
        about["parent_turn"] = str(parent.turn)
    fd = os.open(folder / _ABOUT, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w", encoding="ascii") as file:
        json.dump(about, file)


def find_session(name: str, known: Sequence[str] | None = None) -> str:
    """The one id among `known` (default: all stored sessions) that `name` identifies.

    `name` is an id, or the start or end of one. Raises UsageError, with the most similar ids, if
    no id matches or several do.
    """
    ids = sorted(session_ids() if known is None else known)
    query = name.strip().lower()
    if query in ids:
        return query
    matches = [i for i in ids if query and (i.startswith(query) or i.endswith(query))]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UsageError(
            f"{name} matches {len(matches)} sessions", f"choose one of: {', '.join(matches[-5:])}"
        )
    similar = difflib.get_close_matches(query, ids, n=3) or ids[-3:]
    hint = f"similar ids: {', '.join(similar)}" if similar else "no session is stored yet"
    raise UsageError(f"there is no session {name}", hint)


def session_ids() -> list[str]:
    """The ids of all stored sessions, sorted. Ids begin with the time, so the oldest come first."""
    try:
        names = [entry.name for entry in sessions_dir().iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name for name in names if _ID.fullmatch(name))


def read(session: str) -> Transcript:
    """Read the transcript of the session that `session` identifies.

    `session` is an id, or the start or end of one. Raises UsageError for an unknown session, and
    WorkspaceError if the transcript cannot be read.
    """
    name = find_session(session)
    folder = sessions_dir() / name
    about = _about(folder)
    entries: list[StoredEvent] = []
    try:
        stored = jsonl.read(folder / FILE)
    except OSError as error:
        raise WorkspaceError(f"cannot read {folder / FILE}: {error.strerror}") from error
    damaged = stored.damaged
    for record in stored.records:
        try:
            event = from_dict(record)
        except ValueError:
            damaged += 1
            continue
        seq = record.get("seq")
        entries.append(
            StoredEvent(seq if isinstance(seq, int) else 0, str(record.get("time")), event)
        )
    workspace, started = str(about.get("workspace", "")), str(about.get("started", ""))
    parent = _parent(about)
    return Transcript(name, folder, workspace, started, tuple(entries), damaged, parent)


def parent_of(session: str, sessions: Path | None = None) -> Parent | None:
    """The parent of the session with this full id; None if the session is not a fork."""
    return _parent(_about((sessions or sessions_dir()) / session))


def is_in_use(session: str) -> bool:
    """Whether any process, this one included, records to the session with this full id."""
    return jsonl.in_use(sessions_dir() / session / FILE)


def list_sessions(workspace: Path | None = None) -> list[SessionSummary]:
    """The stored sessions of `workspace` (None: of all workspaces), newest first."""
    root = None if workspace is None else os.path.realpath(workspace)
    summaries = []
    for name in session_ids():
        about = _about(sessions_dir() / name)
        if root is None or about.get("workspace") == root:
            summaries.append(_summary(name, about))
    return sorted(summaries, key=lambda s: (s.started, s.session), reverse=True)


def _summary(name: str, about: dict[str, Any]) -> SessionSummary:
    prompt = outcome = title = used = ""
    files: set[str] = set()
    outcomes: list[str] = []
    turns, by_model = 0, True
    for record in records(name, ("turn_started", "turn_finished", "file_changed", _TITLED)):
        if record["type"] == "turn_started":
            if record.get("kind", "task") == "task":
                prompt = prompt or str(record.get("prompt", ""))
            turns, outcome = turns + 1, ""
            by_model = record.get("kind") not in ("command", "check")
        elif record["type"] == "turn_finished":
            outcome = str(record.get("outcome", ""))
            outcomes += [outcome] if by_model else []
        elif record["type"] == _TITLED:
            title = str(record.get("title", ""))
            continue
        elif isinstance(path := record.get("path"), str):
            files.add(path)
        used = str(record.get("time", ""))
    started, workspace = str(about.get("started", "")), str(about.get("workspace", ""))
    changed = tuple(sorted(files))
    return SessionSummary(
        *(name, started, workspace, prompt, outcome, changed, turns, title),
        used=used or started,
        parent=_parent(about),
        outcomes=tuple(outcomes),
    )


def records(session: str, types: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The stored events of these types in the session with this full id.

    Lines of other types can be long, as they hold whole prompts. They are skipped by a search for
    the type in the line's bytes, without parsing.
    """
    needles = [f'"type":"{name}"'.encode() for name in types]
    try:
        with (sessions_dir() / session / FILE).open("rb") as file:
            for line in file:
                if any(needle in line for needle in needles):
                    record = jsonl.parse(line)
                    if record is not None and record.get("type") in types:
                        yield record
    except OSError:
        return


def _parent(about: dict[str, Any]) -> Parent | None:
    session, turn = about.get("parent"), str(about.get("parent_turn", ""))
    if not isinstance(session, str) or not _ID.fullmatch(session) or not turn.isdigit():
        return None
    return Parent(session, int(turn))


def _about(folder: Path) -> dict[str, Any]:
    try:
        about = json.loads((folder / _ABOUT).read_bytes())
    except (OSError, ValueError):
        return {}
    return about if isinstance(about, dict) else {}
