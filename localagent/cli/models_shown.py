"""What `localagent models` shows of a model: for people in lines, for programs as JSON."""

from __future__ import annotations

import shlex

from localagent.cli.output import fail, say
from localagent.models.catalog.manage import Row, Verdict
from localagent.ui.view.format import size

_STATES = {
    "installed": "installed",
    "unverified": "there, not verified yet",
    "altered": "not the pinned file",
    "incomplete": "partly fetched",
    "missing": "not installed",
    "served": "kept by Ollama",
}


def rows(known: list[Row]) -> list[tuple[str, ...]]:
    """A line for each model, in columns."""
    return [
        (
            "*" if row.default else " ",
            row.entry.id,
            size(row.entry.bytes) if row.entry.bytes else "-",
            row.entry.profile.planner,
            f"template {row.entry.chat_template_sha256[:8] or '-'}",
            _STATES[row.state],
        )
        for row in known
    ]


def facts(row: Row) -> list[tuple[str, str]]:
    """All that models.lock says of one model, and its state."""
    entry, profile = row.entry, row.entry.profile
    pinned = (
        [("file", row.place), ("bytes", f"{entry.bytes:,}"), ("sha256", entry.sha256)]
        if entry.file
        else [("name", row.place), ("digest", entry.digest)]
    )
    return [
        ("id", entry.id + (" (the default)" if row.default else "")),
        ("state", _STATES[row.state]),
        *pinned,
        ("chat template", entry.chat_template_sha256 or "none pinned"),
        ("licence", entry.licence or "not told"),
        ("origin", entry.origin or "not told"),
        ("backend", entry.backend),
        ("planner", profile.planner),
        ("window", f"{profile.window:,} tokens"),
    ]


def row_as_json(row: Row) -> dict[str, object]:
    """What the lock says of a model, with where it is and its state."""
    said = row.entry.model_dump(by_alias=True, mode="json")
    return {**said, "default": row.default, "state": row.state, "place": row.place}


def say_verdict(verdict: Verdict) -> None:
    """Say what verifying one model found."""
    entry = verdict.entry
    if verdict.error is not None:
        fail(verdict.error)
        return
    say(f"as pinned: {entry.id}  {verdict.place}")
    if entry.file:
        how = "every byte was read" if verdict.read else "unchanged since all of it was read"
        say(f"    sha256 {entry.sha256} ({how})")
    else:
        say(f"    digest {entry.digest}")
    place = shlex.quote(verdict.place) if entry.file else f"--ollama {entry.name}"
    unpinned = f"none pinned (localagent models add {place} pins the one that it has)"
    say(f"    chat template {entry.chat_template_sha256 or unpinned}")


def verdict_as_json(verdict: Verdict) -> dict[str, object]:
    """The same for a program."""
    entry, error = verdict.entry, verdict.error
    return {
        "id": entry.id,
        "place": verdict.place,
        "pin": entry.pin,
        "chat_template_sha256": entry.chat_template_sha256,
        "as_pinned": error is None,
        "read": verdict.read,
        "error": error and error.message,
        "hint": error and error.hint,
    }
