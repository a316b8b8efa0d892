"""What a model is shown when it is to answer, or to plan: what was said before, and code."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

from localagent.agent.tool_calls.parse import parse_actions
from localagent.agent.turn import Services, Turn
from localagent.context.builder import Gathered, gather
from localagent.context.compaction import tokens
from localagent.context.conversation import (
    NONE,
    Thread,
    earlier,
    exchanges,
    kinds_of,
    thread_of,
    unseen,
    unseen_names,
    with_subject,
)
from localagent.core.errors import ToolError
from localagent.core.events import Event, MessageAdded, Step
from localagent.core.messages import Asked, Message, Part

ANSWER_SHARE = 0.35
"""Of the window, for the code that a question is answered from: more takes a small machine longer
to read than a person waits."""
EARLIER_SHARE = 0.1
"""Of the window, for what was said before."""
AGAIN = 2
"""So many files that were shown before are named to the model: the best, which it would find last
before the question if the prompt were made anew."""


@dataclass(frozen=True, slots=True)
class Put:
    """A question as it is put to the model: the whole prompt, and what of it is new."""

    messages: tuple[Message, ...]
    asked: Asked

    def answered(self, text: str) -> MessageAdded:
        """The answer, for the next question to go on from."""
        return MessageAdded("assistant", text, asdict(self.asked))


@dataclass(frozen=True, slots=True)
class _Found:
    """The code that a question is about, and the hash of each of its files."""

    code: Gathered
    digests: dict[str, str]


def opening(services: Services, conversation: Sequence[Message]) -> list[Message]:
    """What the next question's prompt begins with, as far as that is known before."""
    system = services.with_rules(services.prompts.text("workflow/system"))
    return [Message("system", system), *thread_of(conversation, services.workspace).messages]


def put(
    turn: Turn, named: Sequence[str], question: str, reply_tokens: int
) -> Generator[Event, None, Put]:
    """The prompt for `question`, with the code that the turn's prompt is about. It goes on from the
    last answer where the code shown before is as it was and all fits, and is made anew otherwise.
    """
    services = turn.services
    thread = thread_of(turn.conversation, services.workspace)
    found = _found(turn, named)
    on = _going_on(turn, thread, found, question) if thread.messages else None
    if on is not None and _size(turn, on) + reply_tokens <= services.model.info.profile.window:
        turn.ledger.texts |= kinds_of((*thread.parts, *on.asked.parts))
        for part in thread.parts:
            if part.path:
                turn.ledger.record_file(part.path, part.sha256)
        return on
    if thread.upto:
        full = "no room is left" if thread.messages else "the code shown before has changed"
        yield Step("compact", f"{full}: the question is put with the code as it is now")
    anew = _going_on(turn, NONE, found, question)
    turn.ledger.texts |= kinds_of(anew.asked.parts)
    return anew


def _found(turn: Turn, named: Sequence[str]) -> _Found:
    services = turn.services
    digests: dict[str, str] = {}

    def saw(path: str, digest: str) -> None:
        turn.record_read(path, digest)
        digests[path] = digest

    query = with_subject(turn.prompt, _exchanges(turn, 0))
    budget = int(services.model.info.profile.window * ANSWER_SHARE)
    count = services.model.count
    code = gather(query, services.workspace, services.index, count, budget, named, saw=saw)
    return _Found(code, digests)


def _going_on(turn: Turn, thread: Thread, found: _Found, question: str) -> Put:
    """The question after what is in `thread`: what was said since, then the code that is not in it,
    the best last: nearest to what is asked."""
    services = turn.services
    hide = services.redactor.redact
    window = services.model.info.profile.window
    said = earlier(_exchanges(turn, thread.upto), services.model.count, int(window * EARLIER_SHARE))
    asked = Asked(
        hide(question),
        tuple(replace(part, text=hide(part.text)) for part in _parts(services, thread, found)),
        tuple(replace(message, content=hide(message.content)) for message in said),
        anew=not thread.messages,
    )
    system, *_ = opening(services, ())
    user = Message("user", asked.text)
    return Put((system, *thread.messages, *asked.before, user), asked)


def _parts(services: Services, thread: Thread, found: _Found) -> list[Part]:
    workspace, index = services.workspace, services.index
    parts: list[Part] = []
    if names := unseen_names(found.code.map, thread):
        parts.append(Part(services.prompts.render("workflow/map", map=names)))
    for one in reversed(found.code.shown):
        part = unseen(one, found.digests[one.path], thread, workspace, index)
        if part is not None:
            parts.append(part)
    before = {part.path for part in thread.parts}
    again = [f"`{one.path}`" for one in found.code.shown if one.path in before]
    if again:
        files = ", ".join(again[:AGAIN])
        parts.append(Part(services.prompts.render("workflow/above", files=files)))
    return parts


def _size(turn: Turn, put: Put) -> int:
    return tokens(put.messages, turn.services.model.count)


def _exchanges(turn: Turn, first: int) -> list[tuple[str, str]]:
    """What was said from the `first` message on."""
    is_call = partial(_is_call, tools=tuple(turn.services.tools))
    return exchanges(turn.conversation[first:], is_call)


def _is_call(text: str, tools: Sequence[str]) -> bool:
    try:
        return bool(parse_actions(text, tools))
    except ToolError:
        return True
