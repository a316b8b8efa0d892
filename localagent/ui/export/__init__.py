"""Exports a recorded session as a document: JSON for programs, Markdown and HTML for readers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from localagent.core.errors import UsageError
from localagent.core.events import to_dict
from localagent.history.sessions.transcript import Transcript
from localagent.ui.export.html import html_page
from localagent.ui.export.markdown import markdown
from localagent.ui.export.outline import outline


def export_session(session: Transcript, name: str) -> str:
    """Export a session in the format `name`, one of FORMATS; the text ends with a newline.

    Raises UsageError for an unknown format.
    """
    if name not in FORMATS:
        raise UsageError(f"unknown export format {name!r}", f"one of: {', '.join(FORMATS)}")
    return FORMATS[name](session)


def _jsonl(session: Transcript) -> str:
    return "".join(f"{json.dumps(record)}\n" for record in _records(session))


def _json(session: Transcript) -> str:
    document: dict[str, Any] = {
        "session": session.session,
        "title": session.title,
        "workspace": session.workspace,
        "started": session.started,
        "parent": session.parent and session.parent.session,
        "parent_turn": session.parent and session.parent.turn,
        "damaged": session.damaged,
        "events": _records(session),
    }
    return json.dumps(document, indent=1) + "\n"


def _records(session: Transcript) -> list[dict[str, Any]]:
    return [{"seq": e.seq, "time": e.time, **to_dict(e.event)} for e in session.entries]


FORMATS: dict[str, Callable[[Transcript], str]] = {
    "jsonl": _jsonl,
    "json": _json,
    "markdown": lambda session: markdown(outline(session)),
    "html": lambda session: html_page(outline(session)),
}
"""The function that writes each format, by the format's name."""
