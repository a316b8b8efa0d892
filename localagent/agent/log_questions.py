"""Questions about logs: the model chooses the first cause and answers from the digest.

The harness finds the candidates and quotes the lines. A sentence of the answer is dropped if it
quotes a text, or names a time or a place, that the digest does not have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from localagent.agent.model_calls import Record, ask_once
from localagent.context.prompts import Prompts
from localagent.core.messages import Message
from localagent.logs.digest import LogDigest
from localagent.logs.incident import Incident, LogEvent
from localagent.logs.report import LogSection, clip, origin, reordered, sections
from localagent.logs.timestamps import show_time
from localagent.models.base import Model, Request

_LETTERS = "ABCDEF"
_WINDOW = 4096
_ANSWER_TOKENS = 220
# Tokens for the question, the chat template and the answer.
_RESERVE = 600
_LINE = 160
_LATER = 8
_QUOTE = re.compile(r"`([^`\n]+)`|\"([^\"\n]+)\"|“([^”\n]+)”")
_FACT = re.compile(r"\b\d{1,2}:\d\d\b|[\w./-]+\.(?:log|gz|export|json|txt)\b(?::\d+)?")
SENTENCE = re.compile(r"[.!?]\s+|\n+")
"""The end of a sentence."""

_ABOUT_CAUSE = re.compile(
    r"\b(?:first|causes?d?|why|br(?:oke|eak)|happen|incident|outage|root|wrong|went|start|began)",
    re.IGNORECASE,
)
_LEFT_OUT = ("what was read", "answer", "warnings and errors by time", "rare lines", "most lines")


@dataclass(frozen=True, slots=True)
class LogAnswer:
    """The answer, or "" if no sentence holds, and the incident with the chosen cause first."""

    text: str
    incident: Incident | None


def answer_question(
    model: Model,
    prompts: Prompts,
    digest: LogDigest,
    incident: Incident | None,
    question: str,
    seconds: float,
    record: Record,
) -> LogAnswer:
    """Choose the first cause, then answer; the model gets `seconds` for each. Raises BackendError.

    `record` receives what `ask_once` records.
    """
    if incident is not None and len(incident.candidates) > 1:
        text = choice_prompt(prompts, incident)
        letters = tuple(_LETTERS[: len(incident.candidates)])
        request = Request((Message("user", text),), max_tokens=4, choices=letters)
        letter = ask_once(model, prompts, "logs-cause", request, seconds, record).strip()
        if letter in letters:
            incident = reordered(incident, incident.candidates[letters.index(letter)])
    text = answer_prompt(prompts, model, digest, incident, question)
    if incident is not None and incident.candidates and _ABOUT_CAUSE.search(question):
        text = explain_prompt(prompts, incident, question)
    request = Request((Message("user", text),), max_tokens=_ANSWER_TOKENS)
    reply = ask_once(model, prompts, "logs-answer", request, seconds, record)
    return LogAnswer(verified(reply, text).strip(), incident)


def choice_prompt(prompts: Prompts, incident: Incident) -> str:
    """The question which candidate is the first cause; the lines come in the order of time."""
    rows = [
        f"{letter}. {_line(candidate)}"
        for letter, candidate in zip(_LETTERS, incident.candidates, strict=False)
    ]
    onset = show_time(incident.onset)[11:]
    return prompts.render("logs/choose", onset=onset, candidates="\n".join(rows))


def _line(candidate: LogEvent) -> str:
    time = show_time(candidate.minute)[11:]
    template = candidate.template
    hosts = ", ".join(sorted(template.hosts, key=lambda host: -template.hosts[host])[:2])
    times = f" ({template.count:,} times)" if template.count > 1 else ""
    return f"{time} {hosts}: {clip(candidate.place.text, _LINE)}{times}"


def explain_prompt(prompts: Prompts, incident: Incident, question: str) -> str:
    """The question with the first cause and the lines after it; other lines would mislead."""
    cause = incident.candidates[0]
    later = [e for e in incident.course if e.place.seconds > cause.place.seconds]
    hosts = ", ".join(f"{host} ({count:,} lines)" for host, count in incident.hosts)
    return prompts.render(
        "logs/explain",
        question=question,
        lines="\n".join(map(_line, [cause, *later[:_LATER]])),
        hosts=f"Errors since then: {hosts}" if hosts else "",
        minute=show_time(cause.minute)[11:],
        origin=origin(cause.template),
    )


def answer_prompt(
    prompts: Prompts, model: Model, digest: LogDigest, incident: Incident | None, question: str
) -> str:
    """The digest, cut to the window, and the question."""
    parts = [part for part in sections(digest, incident) if part.title not in _LEFT_OUT]
    budget = min(_WINDOW, model.info.profile.window) - _RESERVE
    text = _as_prompt(parts)
    while model.count(text) > budget and any(part.lines for part in parts):
        longest = max(parts, key=lambda part: len(part.lines))
        shorter = LogSection(longest.title, longest.lines[: len(longest.lines) * 3 // 4])
        parts = [shorter if part is longest else part for part in parts]
        text = _as_prompt(parts)
    return prompts.render("logs/answer", digest=text, question=question)


def _as_prompt(parts: Iterable[LogSection]) -> str:
    return "\n\n".join("\n".join([f"{part.title}:", *part.lines]) for part in parts if part.lines)


def verified(answer: str, prompt: str) -> str:
    """The sentences of `answer` whose quotes, times and places all stand in `prompt`."""
    flat = " ".join(prompt.split())
    pieces, at = [], 0
    for end in (*(match.end() for match in SENTENCE.finditer(answer)), len(answer)):
        pieces.append(answer[at:end])
        at = end
    return "".join(piece for piece in pieces if _holds(piece, flat))


def _holds(sentence: str, prompt: str) -> bool:
    quotes: Sequence[str] = [
        next(group for group in match.groups() if group) for match in _QUOTE.finditer(sentence)
    ]
    facts = [match[0] for match in _FACT.finditer(sentence)]
    return all(" ".join(text.split()).rstrip(".,…") in prompt for text in (*quotes, *facts))
