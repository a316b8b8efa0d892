"""Questions to a model about one hunk, one at a time, as a small model needs them.

1. Do the changed lines hold a mistake? 2. Which line, and why? 3. Is that so, seen alone?
The place must be a line that the hunk adds. An answer that the third question rejects is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from localagent.agent.model_calls import Record, ask_once
from localagent.agent.review.hunks import Hunk
from localagent.context.prompts import Prompts
from localagent.core.findings import CodeFinding
from localagent.core.messages import Message
from localagent.index.base import Index
from localagent.models.base import Model, Request

_NAME = re.compile(r"\b([A-Za-z_]\w{2,})\s*\(")
_ANSWER = re.compile(r"(?:line\s*)?(\d+)\s*[:.,-]\s*(\S.*)", re.I)


@dataclass(frozen=True, slots=True)
class ReviewLimits:
    """Limits of the questions about one hunk."""

    seconds: float = 120.0
    """For one question. Two cores read a prompt of 1,200 tokens in about 20 s."""
    hunk_tokens: int = 900
    """A longer hunk is cut at a line."""
    definitions: int = 3
    definition_lines: int = 12
    reply_tokens: int = 60


LIMITS = ReviewLimits()


def ask_about(
    model: Model, prompts: Prompts, hunk: Hunk, definitions: str, record: Record
) -> CodeFinding | None:
    """The model's finding on a hunk, or None. Raises BackendError."""
    text = _clipped(model, hunk.numbered())
    facts = {"path": hunk.path, "hunk": text, "definitions": definitions}

    def ask(name: str, choices: tuple[str, ...] = (), **more: str) -> str:
        prompt = prompts.render(f"review/{name}", **facts, **more).strip()
        tokens = 4 if choices else LIMITS.reply_tokens
        request = Request((Message("user", prompt),), max_tokens=tokens, choices=choices)
        return ask_once(model, prompts, f"review-{name}", request, LIMITS.seconds, record).strip()

    if not _is_yes(ask("mistake", ("no", "yes"))):
        return None
    answer = _ANSWER.search(ask("place"))
    if answer is None:
        return None
    line, reason = int(answer[1]), answer[2].strip()
    code = hunk.added.get(line, "").strip()
    if not code or not _is_yes(ask("confirm", ("no", "yes"), line=code, reason=reason)):
        return None
    return CodeFinding("review", "warning", reason, hunk.path, line, "low")


def related_definitions(hunk: Hunk, index: Index, read: Callable[[str], str]) -> str:
    """The definitions of functions that the added lines call, from other places, as text."""
    names = dict.fromkeys(name for line in hunk.added.values() for name in _NAME.findall(line))
    parts: list[str] = []
    for name in names:
        places = [
            s for s in index.definitions(name) if s.path != hunk.path or not _is_in(hunk, s.line)
        ]
        if len(places) != 1 or len(parts) == LIMITS.definitions:
            continue
        (symbol,) = places
        last = min(symbol.end_line, symbol.line + LIMITS.definition_lines - 1)
        lines = read(symbol.path).split("\n")[symbol.line - 1 : last]
        parts.append("\n".join([f"{symbol.path}:{symbol.line}", *lines]))
    return "\n\n".join(parts) or "(none)"


def _is_in(hunk: Hunk, line: int) -> bool:
    return hunk.start <= line < hunk.start + len(hunk.lines)


def _is_yes(reply: str) -> bool:
    return reply.lower().startswith("yes")


def _clipped(model: Model, text: str) -> str:
    lines: Sequence[str] = text.split("\n")
    while len(lines) > 1 and model.count("\n".join(lines)) > LIMITS.hunk_tokens:
        lines = lines[: len(lines) * 9 // 10]
    return "\n".join(lines)
