"""Commands on sessions: another one in the place of this one, and what is in this one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from localagent.core.errors import UsageError
from localagent.core.events import FileChanged, TurnStarted
from localagent.history.sessions import transcript
from localagent.history.sessions.catalog import fork
from localagent.ui.chat.commands.command import Command, nothing_after
from localagent.ui.chat.interface import Choice, Completion, Item, Output

if TYPE_CHECKING:
    from localagent.ui.chat.chat import LiveChat

_PICKED = 30
"""Sessions that can be picked from, the newest."""


def _clear(chat: LiveChat, text: str) -> Iterator[Item]:
    nothing_after("clear", text)
    before = chat.session.id
    chat.go_on_with(None)
    yield from chat.request("clear")
    yield Output("note", f"a new session; /resume {before} goes back to the one before")


def _resume(chat: LiveChat, text: str) -> Iterator[Item]:
    wanted: str | None = text
    if not text:
        choices = [Choice(c.text, c.text, c.detail) for c in _others(chat, "")]
        if not choices:
            raise UsageError("there is no other session of this workspace")
        yield from chat.request("pick", title="Go on with", choices=choices)
        wanted = chat.response()
    if wanted:
        chat.go_on_with(wanted)
        yield from _begins(chat)


def _begins(chat: LiveChat) -> Iterator[Item]:
    turns = len(chat.session.talk.turns)
    said = f"{turns} turn" if turns == 1 else f"{turns} turns"
    yield Output("note", f"this is session {chat.session.id} now, with {said}")
    plan = chat.session.plan
    if plan is not None and (left := sum(step["state"] != "done" for step in plan.steps)):
        yield Output("note", f"its plan has {left} of {len(plan.steps)} steps left; /plan shows it")
    if chat.session.unfinished:
        yield Output("note", f"its last turn did not end: {chat.session.unfinished}")


def _others(chat: LiveChat, text: str) -> Sequence[Completion]:
    found = transcript.list_sessions(chat.session.services.workspace.root)
    others = [s for s in found if s.session != chat.session.id and s.session.startswith(text)]
    return [Completion(s.session, s.title or s.prompt) for s in others[:_PICKED]]


def _fork(chat: LiveChat, text: str) -> Iterator[Item]:
    chat.go_on_with(fork(chat.session.id, _turn("fork", text)))
    yield from _begins(chat)


def _compact(chat: LiveChat, text: str) -> Iterator[Item]:
    nothing_after("compact", text)
    before = len(chat.session.conversation)
    chat.finish_warming()
    yield from chat.follow(chat.session.compact())
    if len(chat.session.conversation) == before:
        yield Output("note", "no message could be left out")


def _diff(chat: LiveChat, text: str) -> Iterator[Item]:
    wanted = _turn("diff", text)
    diffs: dict[int, list[str]] = {}
    turn = 0
    for event in transcript.read(chat.session.id).events if chat.session.turns else ():
        if isinstance(event, TurnStarted):
            turn = event.turn
        elif isinstance(event, FileChanged) and event.diff:
            diffs.setdefault(turn, []).append(event.diff)
    shown = max(diffs, default=0) if wanted is None else wanted
    if shown not in diffs:
        yield Output("note", f"turn {wanted} changed nothing" if wanted else "nothing was changed")
        return
    yield Output("diff", "\n".join(diffs[shown]), title=f"turn {shown}")


def _turn(name: str, text: str) -> int | None:
    if text and not text.isdigit():
        raise UsageError(f"/{name} takes a turn's number, and {text!r} is none")
    return int(text) if text else None


CLEAR = Command("clear", "", "begin a new session; this one is kept", _clear)
RESUME = Command("resume", "[ID]", "go on with another session", _resume, _others)
FORK = Command("fork", "[TURN]", "go on with a copy, up to a turn", _fork)
COMPACT = Command("compact", "", "leave out old results and turns", _compact)
DIFF = Command("diff", "[TURN]", "what the last turn that changed files, or TURN, changed", _diff)
