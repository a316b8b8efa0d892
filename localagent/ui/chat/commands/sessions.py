"""Slash commands that replace the current session, compact it, or show its changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from localagent.agent.planners.plan_mode import carried_out
from localagent.core.errors import UsageError
from localagent.core.events import ChangesUndone, FileChanged, TurnStarted
from localagent.history.sessions import transcript
from localagent.history.sessions.catalog import fork
from localagent.ui.chat.commands.command import SlashCommand, nothing_after
from localagent.ui.chat.interface import Completion, Item, Output, PickerChoice
from localagent.ui.view.format import count

if TYPE_CHECKING:
    from localagent.ui.chat.chat import LiveChat

_MAX_CHOICES = 30
"""Number of sessions in the picker; the newest sessions are shown."""


def _clear(chat: LiveChat, text: str) -> Iterator[Item]:
    nothing_after("clear", text)
    before = chat.session.id
    chat.switch_session(None)
    yield from chat.request("clear")
    yield Output("note", f"a new session; /resume {before} returns to the previous one")


def _resume(chat: LiveChat, text: str) -> Iterator[Item]:
    session: str | None = text
    if not text:
        choices = [PickerChoice(c.text, c.text, c.detail) for c in _others(chat, "")]
        if not choices:
            raise UsageError("there is no other session of this workspace")
        yield from chat.request("pick", title="Continue", choices=choices)
        session = chat.response()
    if session:
        chat.switch_session(session)
        yield from _session_summary(chat)


def _session_summary(chat: LiveChat) -> Iterator[Item]:
    turns = count(len(chat.session.talk.turns), "turn")
    yield Output("note", f"this is session {chat.session.id} now, with {turns}")
    plan = chat.session.plan
    if plan is not None and (left := sum(not carried_out(step) for step in plan.steps)):
        yield Output(
            "note", f"{left} of {len(plan.steps)} steps of its plan are open; /plan shows it"
        )
    if chat.session.unfinished:
        yield Output("note", f"its last turn is unfinished: {chat.session.unfinished}")


def _others(chat: LiveChat, text: str) -> Sequence[Completion]:
    known = transcript.list_sessions(chat.session.services.workspace.root)
    others = [s for s in known if s.session != chat.session.id and s.session.startswith(text)]
    return [Completion(s.session, s.title or s.prompt) for s in others[:_MAX_CHOICES]]


def _fork(chat: LiveChat, text: str) -> Iterator[Item]:
    chat.switch_session(fork(chat.session.id, _turn_number("fork", text)))
    yield from _session_summary(chat)


def _compact(chat: LiveChat, text: str) -> Iterator[Item]:
    nothing_after("compact", text)
    before = len(chat.session.conversation)
    chat.finish_warm_up()
    yield from chat.follow(chat.session.compact())
    if len(chat.session.conversation) == before:
        yield Output("note", "nothing to compact: the conversation is short")


def _diff(chat: LiveChat, text: str) -> Iterator[Item]:
    requested = _turn_number("diff", text)
    diffs: dict[int, list[str]] = {}
    undone: dict[tuple[str, int], bool] = {}
    turn = 0
    for event in transcript.read(chat.session.id).events if chat.session.turns else ():
        if isinstance(event, TurnStarted):
            turn = event.turn
        elif isinstance(event, FileChanged) and event.diff:
            diffs.setdefault(turn, []).append(event.diff)
        elif isinstance(event, ChangesUndone):
            undone[event.session, event.turn] = not event.again
    number = max(diffs, default=0) if requested is None else requested
    if number not in diffs:
        text = f"turn {requested} changed nothing" if requested else "nothing was changed"
        yield Output("note", text)
        return
    state = ", undone: /redo redoes it" if undone.get((chat.session.id, number)) else ""
    yield Output("diff", "\n".join(diffs[number]), title=f"turn {number}{state}")


def _turn_number(name: str, text: str) -> int | None:
    if text and not text.isdigit():
        raise UsageError(f"/{name} takes a turn's number, but got {text!r}")
    return int(text) if text else None


CLEAR = SlashCommand("clear", "", "begin a new session; the old one stays stored", _clear)
RESUME = SlashCommand("resume", "[ID]", "continue another session", _resume, _others)
FORK = SlashCommand("fork", "[TURN]", "continue a copy, up to a turn", _fork)
COMPACT = SlashCommand("compact", "", "drop old results and turns from the conversation", _compact)
DIFF = SlashCommand(
    "diff", "[TURN]", "the changes of the last turn with changes, or of TURN", _diff
)
