"""The audit log's record of each event, with hashes in place of content.

A prompt, a reply or an output is recorded as its SHA-256 and length; with `texts`, also in full.
Commands, paths and decisions are always recorded in full, because an audit needs them. Pieces of a
reply, progress reports, and events that repeat other events are not recorded.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from localagent.core import events
from localagent.core.events import Event, to_dict

# Tool arguments that are recorded in full, up to _MAX_CHARS characters. The argument `body` is a
# command for the tool `shell`, and the content of a file for every other tool.
_WORDS = ("path", "lines", "pattern", "mode", "depth", "function")
_COMMANDS = ("shell",)
_MAX_CHARS = 4096


@dataclass(frozen=True, slots=True)
class _Form:
    """The form of the record of one kind of event.

    `fields` are the event's fields that the record copies; "" means all. `content` is the field
    whose text is hashed; the record stores the hash under `name`.
    """

    type: str
    fields: str = ""
    content: str = ""
    name: str = "text"


_FORMS: dict[type[Event], _Form] = {
    events.SessionStarted: _Form("session"),
    events.ModelSwitched: _Form("model"),
    events.ModeChanged: _Form("mode"),
    events.Decision: _Form("decision"),
    events.Blocked: _Form("blocked"),
    events.FileRead: _Form("read"),
    events.Rewound: _Form("rewound"),
    events.Failed: _Form("failed"),
    events.Warned: _Form("warned"),
    events.TurnFinished: _Form("finished", content="summary", name="summary"),
    events.TurnStarted: _Form("prompt", "turn kind check", "prompt"),
    events.Steered: _Form("steered", content="text"),
    events.ModelRequested: _Form("asked", "purpose stream model", "prompt"),
    events.ModelReplied: _Form(
        "replied", "purpose stream finish prompt_tokens completion_tokens", "text"
    ),
    events.ToolReturned: _Form("returned", "call tool ok", "for_model"),
    events.FileChanged: _Form("written", "path before_sha256 after_sha256"),
    events.CandidatesJudged: _Form("judged"),
    events.BestCandidate: _Form("kept"),
    events.CheckStarted: _Form("command", "command candidate"),
    events.CheckFinished: _Form(
        "checked", "command candidate ok exit_code tests_passed tests_failed seconds", "output"
    ),
}


def record_of(event: Event, *, texts: bool) -> dict[str, Any] | None:
    """The record of an event; None for an event that is not recorded."""
    if isinstance(event, events.ToolCalled):
        arguments = _arguments(event.tool, event.arguments, texts)
        return {"type": "called", "call": event.call, "tool": event.tool, **arguments}
    if isinstance(event, events.CandidateRejected):
        return {"type": "rejected", "candidate": event.number, "reason": event.reason}
    form = _FORMS.get(type(event))
    if form is None:
        return None
    fields = to_dict(event)
    fields.pop("type")
    content = str(fields.pop(form.content)) if form.content else ""
    copied = {name: fields[name] for name in form.fields.split() or fields}
    hashed = _content(form.name, content, texts) if form.content else {}
    return {"type": form.type, **copied, **hashed}


def _content(name: str, text: str, texts: bool) -> dict[str, Any]:
    """The SHA-256 of a text and its length in characters; with `texts`, also the text itself."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    fields: dict[str, Any] = {f"{name}_sha256": digest, f"{name}_chars": len(text)}
    return {**fields, name: text} if texts else fields


def _arguments(tool: str, arguments: dict[str, str], texts: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in arguments.items():
        command = tool in _COMMANDS and name == "body"
        if (name in _WORDS or command) and len(value) <= _MAX_CHARS:
            fields["command" if command else f"arg_{name}"] = value
        else:
            fields |= _content(f"arg_{name}", value, texts)
    return fields
