"""The outline of a session: its turns, and in each turn the texts, actions and results in order.

Exports to Markdown and HTML are written from an outline. Texts in an outline are as recorded, not
escaped.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import Literal

from localagent.core.events import (
    BestCandidate,
    CandidateProposed,
    CandidateRejected,
    CandidatesJudged,
    CheckFinished,
    Decision,
    Event,
    Failed,
    FileChanged,
    MessageAdded,
    ModelSwitched,
    SessionStarted,
    Step,
    ToolCalled,
    ToolReturned,
    TurnFinished,
    TurnStarted,
    Warned,
)
from localagent.history.sessions.transcript import Transcript
from localagent.ui.view.format import best_words, check_result, duration

Kind = Literal["reply", "note", "warning", "output", "diff"]


@dataclass(frozen=True, slots=True)
class TurnItem:
    """One item of a turn. `head` is one line.

    `body` is the reply of the assistant ("reply"), text that is folded below the head ("output",
    "diff"), or "".
    """

    kind: Kind
    head: str
    body: str = ""


@dataclass(slots=True)
class TurnOutline:
    """One turn: the user's prompt, the items, and how the turn ended."""

    number: int
    prompt: str
    items: list[TurnItem] = field(default_factory=list)
    end: str = ""


@dataclass(frozen=True, slots=True)
class Outline:
    """The outline of one session. `facts` are names and values for the head of the document."""

    title: str
    facts: tuple[tuple[str, str], ...]
    turns: tuple[TurnOutline, ...]


def outline(session: Transcript) -> Outline:
    """Build the outline of a recorded session."""
    turns: list[TurnOutline] = []
    models: dict[str, None] = {}
    planner = ""
    for entry in session.entries:
        event = entry.event
        if isinstance(event, SessionStarted | ModelSwitched):
            models[event.model] = None
            planner = event.planner
        if isinstance(event, TurnStarted):
            turns.append(TurnOutline(event.turn, event.prompt))
        elif turns and isinstance(event, TurnFinished):
            _finish(turns[-1], event)
        elif turns and (item := _item(event)) is not None:
            turns[-1].items.append(item)
    title = session.title or (turns[0].prompt.strip().split("\n")[0] if turns else session.session)
    facts = [
        ("session", session.session),
        ("workspace", session.workspace),
        ("started", session.started),
        ("model", ", ".join(models)),
        ("planner", planner),
    ]
    if session.parent is not None:
        facts.insert(1, ("forked from", f"{session.parent.session}, turn {session.parent.turn}"))
    return Outline(title, tuple(fact for fact in facts if fact[1]), tuple(turns))


def _finish(turn: TurnOutline, event: TurnFinished) -> None:
    changed = f"; changed {', '.join(event.changed)}" if event.changed else ""
    check = f"; check: {event.check}" if event.check else ""
    turn.end = f"{event.outcome}{changed}{check}; took {duration(event.seconds)}"
    if event.summary and not any(item.kind == "reply" for item in turn.items):
        turn.items.append(TurnItem("reply", "", event.summary))


def _item(event: Event) -> TurnItem | None:
    """Return the item for an event, or None if another event says the same."""
    match event:
        case MessageAdded(role="assistant", content=content):
            return TurnItem("reply", "", content)
        case Step(name=name, detail=detail) if name != "think":
            return TurnItem("note", detail or name)
        case Warned(text=text):
            return TurnItem("warning", text)
        case Failed(message=message, hint=hint):
            return TurnItem("warning", f"{message} ({hint})" if hint else message)
        case Decision(tool=tool, subject=subject, allowed=allowed, by=by) if (
            by == "user" or not allowed
        ):
            return TurnItem(
                "note", f"{'allowed' if allowed else 'refused'} by {by}: {tool} {subject}"
            )
        case ToolCalled(tool=tool, arguments=arguments):
            words = " ".join(f"{key}={value}" for key, value in arguments.items() if key != "body")
            return TurnItem("output", f"{tool} {words}".strip(), arguments.get("body", ""))
        case ToolReturned(tool=tool, ok=ok, for_model=result):
            return TurnItem("output", f"{tool}: {'done' if ok else 'failed'}", result)
        case CandidateProposed(number=number, strategy=strategy, paths=paths):
            return TurnItem("note", f"candidate {number} ({strategy}): {', '.join(paths)}")
        case CandidateRejected(number=number, reason=reason):
            return TurnItem("note", f"candidate {number} was not tried: {reason}")
        case CandidatesJudged(count=count, last=last, strategy=strategy, paths=paths):
            first = last - count + 1
            head = f"candidates {first} to {last} ({strategy})"
            return TurnItem("note", f"{head}: small changes of {', '.join(paths)}")
        case BestCandidate():
            apply = f"git apply {shlex.quote(event.patch)}"
            return TurnItem("note", f"best change: {best_words(event)}; {apply}")
        case CheckFinished():
            of = f" of candidate {event.candidate}" if event.candidate else ""
            head = f"check{of}: {event.command}: {check_result(event)}"
            return TurnItem("output", head, event.output)
        case FileChanged(path=path, diff=diff):
            return TurnItem("diff", f"changed {path}", diff)
    return None
