"""The line under the prompt: what the model, the guard and the repository are at."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.text import Text

from localagent.ui.chat.interface import Status
from localagent.ui.view.format import Symbols
from localagent.ui.view.sanitize import one_line

_BUSY_MODES = {"plan": "mark", "ask": "", "auto-edit": "warn", "auto": "bad"}


def status_line(status: Status, parts: Sequence[str], width: int, symbols: Symbols) -> Text:
    """The named parts, as many as fit into `width` cells; those named first stay longest."""
    shown = Text()
    for part in parts:
        text = _part(part, status, symbols)
        if not text.plain:
            continue
        joined = Text(f" {symbols.dot} ", "faint") if shown.plain else Text(" ")
        if shown.cell_len + joined.cell_len + text.cell_len > width - 1:
            continue
        shown = Text.assemble(shown, joined, text)
    return shown


def _part(part: str, status: Status, symbols: Symbols) -> Text:
    match part:
        case "mode":
            word = "read only" if status.read_only else f"{status.mode} mode"
            return Text(word, _BUSY_MODES.get(status.mode, "") or "strong")
        case "model":
            where = f" ({status.where})" if status.where else ""
            return Text(f"{one_line(status.model, 40)}{where}")
        case "planner":
            return Text(status.planner, "faint")
        case "window":
            if not status.window or not status.window_used:
                return Text()
            full = status.window_used / status.window
            style = "bad" if full > 0.9 else "warn" if full > 0.7 else "faint"
            return Text(f"{_thousands(status.window_used)}/{_thousands(status.window)}", style)
        case "speed":
            rate = status.tokens_per_second
            return Text(f"{rate:.0f} tok/s" if rate >= 10 else f"{rate:.1f} tok/s" * (rate > 0))
        case "reused":
            return Text(f"{_thousands(status.reused)} reused" if status.reused else "", "faint")
        case "sandbox":
            if status.confined:
                ports = "".join(f" +{port}" for port in status.ports)
                return Text(f"{symbols.lock} {status.sandbox}{ports}", "ok")
            return Text("no sandbox", "warn")
        case "branch":
            return Text(one_line(status.branch, 30), "mark")
        case "check":
            return Text(one_line(status.check, 30))
        case "session":
            return Text(status.session, "faint")
        case "time":
            return Text(f"{datetime.now():%H:%M}", "faint")
    raise ValueError(f"a status line has no part {part!r}")


def _thousands(tokens: int) -> str:
    return f"{tokens / 1000:.1f}k" if tokens >= 1000 else str(tokens)
