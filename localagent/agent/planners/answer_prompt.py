"""Builds the prompt of a question or of a plan: earlier questions and answers, then code."""

from __future__ import annotations

import re
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import PurePosixPath

from localagent.agent.limits import LOOP
from localagent.agent.planners.sources import places
from localagent.agent.tool_calls.parse import has_call
from localagent.agent.turn import Services, Turn
from localagent.context.builder import Gathered, gather
from localagent.context.compaction import tokens
from localagent.context.conversation import (
    NONE,
    Thread,
    changed_files,
    earlier_messages,
    exchanges,
    kinds_of,
    new_names,
    new_part,
    thread_of,
    with_subject,
)
from localagent.core.events import Event, MessageAdded, Step, Warned
from localagent.core.messages import Message, Part, PromptRecord

_FILE_NAME = re.compile(r"[\w.-]+\.\w+")


@dataclass(frozen=True, slots=True)
class QuestionPrompt:
    """The whole prompt of a question, its new parts, and all its `parts`."""

    messages: tuple[Message, ...]
    asked: PromptRecord
    parts: tuple[Part, ...]

    def answer_event(self, text: str, thought: str = "") -> MessageAdded:
        """Wrap an answer in an event that the next question's prompt can continue."""
        return MessageAdded("assistant", text, asdict(self.asked), thought)


@dataclass(frozen=True, slots=True)
class _Code:
    """The code that a question is about, and the SHA-256 of each of its files."""

    gathered: Gathered
    digests: dict[str, str]


def opening(services: Services, conversation: Sequence[Message]) -> list[Message]:
    """The start of the next question's prompt, which does not depend on the question."""
    system = services.with_rules(services.prompts.text("workflow/system"))
    return [Message("system", system), *thread_of(conversation, services.workspace).messages]


def build_prompt(
    turn: Turn, named: Sequence[str], question: str, reply_tokens: int
) -> Generator[Event, None, QuestionPrompt]:
    """The prompt for `question`, with the code that the turn's request is about.

    The prompt continues the last answer if the earlier code is unchanged and the whole prompt fits
    the window. Otherwise a new prompt begins.
    """
    services = turn.services
    thread = thread_of(turn.conversation, services.workspace)
    yield from _await_index(turn)
    code = _gather(turn, named)
    if thread.messages:
        prompt = _continue(turn, thread, code, question)
        size = tokens(prompt.messages, services.model.count)
        if size + reply_tokens <= services.model.info.profile.window:
            turn.ledger.texts |= kinds_of((*thread.parts, *prompt.asked.parts))
            for part in thread.parts:
                if part.path:
                    turn.ledger.record_file(part.path, part.sha256)
            yield from _reading(prompt)
            return prompt
    if thread.upto:
        reason = "the window is full" if thread.messages else "the code shown before has changed"
        yield Step("compact", f"{reason}: asking again with the current code")
    prompt = _continue(turn, NONE, code, question)
    turn.ledger.texts |= kinds_of(prompt.asked.parts)
    yield from _reading(prompt)
    return prompt


def _reading(prompt: QuestionPrompt) -> Iterator[Event]:
    """Name the code that the model reads now; the most useful code stands last in the prompt."""
    if new := places(reversed(prompt.asked.parts)):
        yield Step("read", f"reading {new}")


def _await_index(turn: Turn) -> Iterator[Event]:
    """Wait a moment for an index that is still being built: without it, the code is not found."""
    index = turn.services.index
    if not index.ready():
        yield Step("index", "waiting for the index")
    end = time.monotonic() + LOOP.index_seconds
    while not index.ready() and time.monotonic() < end:
        turn.ensure_within_limits()
        index.refresh()
    if not index.ready():
        yield Warned("the index is not complete, so the answer may lack code; ask again later")


def _gather(turn: Turn, named: Sequence[str]) -> _Code:
    services = turn.services
    digests: dict[str, str] = {}

    def record(path: str, digest: str) -> None:
        turn.record_read(path, digest)
        digests[path] = digest

    before = _exchanges(turn, 0)
    if not named and _is_about_piped_text(turn):
        return _Code(Gathered((), "", 0), digests)
    query = with_subject(turn.prompt, before)
    if query != turn.prompt:  # such as "why did you change that?"
        named = named or changed_files(before[-1][1], services.workspace)
    budget = int(services.model.info.profile.window * LOOP.answer_share)
    count = services.model.count
    code = gather(query, services.workspace, services.index, count, budget, named, record=record)
    return _Code(code, digests)


def _is_about_piped_text(turn: Turn) -> bool:
    """Whether the prompt has a text from stdin that names no file of the project."""
    if turn.typed == turn.prompt or turn.request.is_step:
        return False
    names = {PurePosixPath(path).name for path in turn.services.files()}
    return not any(match[0] in names for match in _FILE_NAME.finditer(turn.prompt))


def _continue(turn: Turn, thread: Thread, code: _Code, question: str) -> QuestionPrompt:
    """The thread, the messages after it, new code (the most useful last), and then the question."""
    services = turn.services
    redact = services.redactor.redact
    budget = int(services.model.info.profile.window * LOOP.earlier_share)
    earlier = earlier_messages(_exchanges(turn, thread.upto), services.model.count, budget)
    asked = PromptRecord(
        redact(question),
        tuple(replace(p, text=redact(p.text)) for p in _parts(services, thread, code)),
        tuple(replace(m, content=redact(m.content)) for m in earlier),
        anew=not thread.messages,
    )
    system, *_ = opening(services, ())
    user = Message("user", asked.text)
    messages = (system, *thread.messages, *asked.before, user)
    return QuestionPrompt(messages, asked, (*thread.parts, *asked.parts))


def _parts(services: Services, thread: Thread, code: _Code) -> list[Part]:
    workspace, index = services.workspace, services.index
    parts: list[Part] = []
    if names := new_names(code.gathered.map, thread):
        parts.append(Part(services.prompts.render("workflow/map", map=names)))
    for one in reversed(code.gathered.excerpts):
        part = new_part(one, code.digests[one.path], thread, workspace, index)
        if part is not None:
            parts.append(part)
    earlier = {part.path for part in thread.parts}
    again = [f"`{one.path}`" for one in code.gathered.excerpts if one.path in earlier]
    if again:
        files = ", ".join(again[: LOOP.repeated_files])
        parts.append(Part(services.prompts.render("workflow/above", files=files)))
    return parts


def _exchanges(turn: Turn, first: int) -> list[tuple[str, str]]:
    """The questions and answers from message number `first` on."""
    tools = {name: tool.spec for name, tool in turn.services.tools.items()}
    return exchanges(turn.conversation[first:], partial(has_call, tools=tools))
