"""The status line under the prompt: mode, model, context, sandbox, branch and so on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.text import Text

from localagent.ui.chat.interface import SessionStatus
from localagent.ui.view.format import Symbols
from localagent.ui.view.sanitize import one_line

_MODE_STYLES = {"plan": "accent", "auto-edit": "warn", "auto": "bad"}


def status_line(status: SessionStatus, parts: Sequence[str], width: int, symbols: Symbols) -> Text:
    """Join the named parts until one does not fit into `width` cells."""
    line = Text()
    for part in parts:
        text = _part(part, status, symbols)
        if not text.plain:
            continue
        separator = Text(f" {symbols.dot} ", "faint") if line.plain else Text(" ")
        if line.cell_len + separator.cell_len + text.cell_len > width - 1:
            break
        line = Text.assemble(line, separator, text)
    return line


def _part(part: str, status: SessionStatus, symbols: Symbols) -> Text:
    match part:
        case "mode":
            word = "read only" if status.read_only else f"{status.mode} mode"
            return Text(word, _MODE_STYLES.get(status.mode, "strong"))
        case "model":
            where = f" ({status.where})" if status.where else ""
            return Text(f"{one_line(status.model, 40)}{where}")
        case "planner":
            return Text("" if status.planner == "workflow" else status.planner, "faint")
        case "window":
            if not status.window or not status.window_used:
                return Text()
            share = status.window_used / status.window
            style = "bad" if share > 0.9 else "warn" if share > 0.7 else "faint"
            return Text(f"context {max(round(100 * share), 1)}%", style)
        case "speed":
            rate = status.tokens_per_second
            return Text(f"{rate:.0f} tok/s" if rate >= 10 else f"{rate:.1f} tok/s" * (rate > 0))
        case "reused":
            reused = status.reused
            number = f"{reused / 1000:.1f}k" if reused >= 1000 else str(reused)
            return Text(f"{number} reused" if reused else "", "faint")
        case "sandbox":
            if status.confined:
                ports = "".join(f" +{port}" for port in status.ports)
                return Text(f"{symbols.lock} sandboxed{ports}", "ok")
            return Text(
                "no network, files open" if status.sandbox == "seccomp" else "no sandbox", "warn"
            )
        case "branch":
            return Text(one_line(status.branch, 30), "accent")
        case "check":
            return Text(one_line(status.check, 30))
        case "session":
            return Text(status.session, "faint")
        case "time":
            return Text(f"{datetime.now():%H:%M}", "faint")
    raise ValueError(f"unknown part of the status line: {part!r}")
