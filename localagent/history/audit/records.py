"""What the audit log says of each event: who decided what, and hashes in place of content.

Prompts, replies and outputs are told by their SHA-256 and length; with `texts` the text is there,
too. Commands, paths and decisions are always told in words: they are what an audit is about. The
pieces of a reply, progress and what is made up of other events are left out.
"""

from __future__ import annotations

import hashlib
from typing import Any

from localagent.core.events import (
    Blocked,
    CandidateRejected,
    CheckFinished,
    CheckStarted,
    Decision,
    Event,
    Failed,
    FileChanged,
    FileRead,
    ModeChanged,
    ModelAsked,
    ModelReplied,
    ModelSwitched,
    Rewound,
    SessionStarted,
    Steered,
    ToolCalled,
    ToolReturned,
    TurnFinished,
    TurnStarted,
    Warned,
    to_dict,
)

# The arguments of tools that say what is done rather than hold content, with the longest that is
# told in words; `body` is a command to one tool and a file's content to the others.
_TOLD = ("path", "lines", "pattern", "mode", "depth", "function")
_COMMANDS = ("shell",)
_LONGEST = 4096

# Events whose fields are told as they are.
_WHOLE = (
    *(SessionStarted, ModelSwitched, ModeChanged, Decision, Blocked, FileRead),
    *(Rewound, Failed, Warned, TurnFinished),
)
# The type of a record, where it is not that of the event.
_NAMES = {
    "session_started": "session",
    "model_switched": "model",
    "mode_changed": "mode",
    "file_read": "read",
    "turn_finished": "finished",
}


def record_of(event: Event, *, texts: bool) -> dict[str, Any] | None:
    """The record of an event; None for what is not in the log."""
    if isinstance(event, _WHOLE):
        fields = to_dict(event)
        name = str(fields.pop("type"))
        if isinstance(event, TurnFinished):
            fields |= _content("summary", str(fields.pop("summary")), texts)
        return {"type": _NAMES.get(name, name), **fields}
    return _exchange(event, texts) or _action(event, texts)


def _exchange(event: Event, texts: bool) -> dict[str, Any] | None:
    """What the user and the program said to the model, and what it said."""
    match event:
        case TurnStarted():
            return {
                "type": "prompt",
                "turn": event.turn,
                "kind": event.kind,
                "check": event.check,
                **_content("text", event.prompt, texts),
            }
        case Steered():
            return {"type": "steered", **_content("text", event.text, texts)}
        case ModelAsked():
            return {
                "type": "asked",
                "purpose": event.purpose,
                "stream": event.stream,
                "model": event.model,
                **_content("text", event.prompt, texts),
            }
        case ModelReplied():
            return {
                "type": "replied",
                "purpose": event.purpose,
                "stream": event.stream,
                "finish": event.finish,
                "prompt_tokens": event.prompt_tokens,
                "completion_tokens": event.completion_tokens,
                **_content("text", event.text, texts),
            }
    return None


def _action(event: Event, texts: bool) -> dict[str, Any] | None:
    """What was done, and what came of it."""
    match event:
        case ToolCalled():
            told = _arguments(event.tool, event.arguments, texts)
            return {"type": "called", "call": event.call, "tool": event.tool, **told}
        case ToolReturned():
            told = _content("text", event.for_model, texts)
            return {
                "type": "returned",
                "call": event.call,
                "tool": event.tool,
                "ok": event.ok,
                **told,
            }
        case FileChanged():
            return {
                "type": "written",
                "path": event.path,
                "before_sha256": event.before_sha256,
                "after_sha256": event.after_sha256,
            }
        case CheckStarted():
            return {"type": "command", "command": event.command, "candidate": event.candidate}
        case CheckFinished():
            return {
                "type": "checked",
                "command": event.command,
                "candidate": event.candidate,
                "ok": event.ok,
                "exit_code": event.exit_code,
                "tests_passed": event.tests_passed,
                "tests_failed": event.tests_failed,
                "seconds": event.seconds,
                **_content("text", event.output, texts),
            }
        case CandidateRejected():
            return {"type": "rejected", "candidate": event.number, "reason": event.reason}
    return None


def _content(name: str, text: str, texts: bool) -> dict[str, Any]:
    """A text's hash and length in characters, and itself with `texts`."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    told: dict[str, Any] = {f"{name}_sha256": digest, f"{name}_chars": len(text)}
    return {**told, name: text} if texts else told


def _arguments(tool: str, arguments: dict[str, str], texts: bool) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name, value in arguments.items():
        command = tool in _COMMANDS and name == "body"
        if (name in _TOLD or command) and len(value) <= _LONGEST:
            told["command" if command else f"arg_{name}"] = value
        else:
            told |= _content(f"arg_{name}", value, texts)
    return told
