"""What happened in a session, as a person would tell it: turns, and in each what was said and done.

The documents are made from this; all texts are as they were recorded, nothing is escaped yet.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from localagent.core.events import (
    CandidateProposed,
    CandidateRejected,
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
from localagent.ui.view.format import duration, tests

Kind = Literal["said", "note", "warning", "output", "diff"]


@dataclass(frozen=True, slots=True)
class Part:
    """One thing in a turn. `head` is a line; `body` is what the assistant said ("said"), what is
    folded away below the head ("output", "diff"), or empty."""

    kind: Kind
    head: str
    body: str = ""


@dataclass(slots=True)
class Told:
    """One turn: what was asked, what came of it, and how it ended."""

    number: int
    prompt: str
    time: str
    parts: list[Part] = field(default_factory=list)
    end: str = ""


@dataclass(frozen=True, slots=True)
class Story:
    """A session. `facts` are names and values for its head."""

    title: str
    facts: tuple[tuple[str, str], ...]
    turns: tuple[Told, ...]


def story(session: Transcript) -> Story:
    """Tell a session."""
    turns: list[Told] = []
    models: dict[str, None] = {}
    planner = ""
    for entry in session.entries:
        event = entry.event
        if isinstance(event, SessionStarted | ModelSwitched):
            models[event.model] = None
            planner = event.planner
        if isinstance(event, TurnStarted):
            turns.append(Told(event.turn, event.prompt, entry.time))
        elif turns:
            _add(turns[-1], event)
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
    return Story(title, tuple(fact for fact in facts if fact[1]), tuple(turns))


def _add(turn: Told, event: Event) -> None:
    """Put one event into its turn."""
    if isinstance(event, TurnFinished):
        turn.end = _end(event)
        said = any(part.kind == "said" for part in turn.parts)
        if event.summary and not said:
            turn.parts.append(Part("said", "", event.summary))
        return
    part = _part(event)
    if part is not None:
        turn.parts.append(part)


def _part(event: Event) -> Part | None:
    """What a person is told of an event, None where it tells nothing that another does not."""
    match event:
        case MessageAdded(role="assistant", content=content):
            return Part("said", "", content)
        case Step(name=name, detail=detail) if name != "think":
            return Part("note", detail or name)
        case Warned(text=text):
            return Part("warning", text)
        case Failed(message=message, hint=hint):
            return Part("warning", f"{message} ({hint})" if hint else message)
        case Decision(tool=tool, subject=subject, allowed=allowed, by=by) if (
            by == "user" or not allowed
        ):
            return Part("note", f"{'allowed' if allowed else 'refused'} by {by}: {tool} {subject}")
        case ToolCalled(tool=tool, arguments=arguments):
            shown = " ".join(f"{key}={value}" for key, value in arguments.items() if key != "body")
            return Part("output", f"{tool} {shown}".strip(), arguments.get("body", ""))
        case ToolReturned(tool=tool, ok=ok, for_model=result):
            return Part("output", f"{tool}: {'done' if ok else 'failed'}", result)
        case CandidateProposed(number=number, strategy=strategy, paths=paths):
            return Part("note", f"candidate {number} ({strategy}): {', '.join(paths)}")
        case CandidateRejected(number=number, reason=reason):
            return Part("note", f"candidate {number} was not tried: {reason}")
        case CheckFinished():
            return Part("output", _check(event), event.output)
        case FileChanged(path=path, diff=diff):
            return Part("diff", f"changed {path}", diff)
    return None


def _check(event: CheckFinished) -> str:
    found = tests(event.tests_passed, event.tests_failed)
    found = found or ("passed" if event.ok else f"exit code {event.exit_code}")
    of = f" of candidate {event.candidate}" if event.candidate else ""
    return f"check{of}: {event.command}: {found}"


def _end(event: TurnFinished) -> str:
    changed = f"; changed {', '.join(event.changed)}" if event.changed else ""
    check = f"; check: {event.check}" if event.check else ""
    return f"{event.outcome}{changed}{check}; took {duration(event.seconds)}"
