"""Asking the model: a request becomes a stream of events and a `Reply`."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from localagent.agent.repetition import repeats
from localagent.agent.turn import Turn
from localagent.errors import Interrupted, WorkerDied, WorkerHung
from localagent.events import (
    Event,
    ModelAsked,
    ModelReading,
    ModelReplied,
    TextDelta,
    Warned,
)
from localagent.messages import Message
from localagent.models.base import (
    Finish,
    FinishReason,
    Infill,
    Model,
    Notice,
    Reading,
    Request,
    Text,
    Usage,
)

# A request that killed its worker this many times is not tried again: the cause is the request or
# the machine, and the session ends with exit code 4.
ATTEMPTS = 3
# Characters between two looks at whether the reply goes round in circles.
LOOK = 64


@dataclass(frozen=True, slots=True)
class Reply:
    """A finished generation. `text` does not hold the request's `reply_start`."""

    text: str
    finish: FinishReason
    usage: Usage


def ask(
    turn: Turn, purpose: str, request: Request, model: Model | None = None
) -> Generator[Event, None, Reply]:
    """Ask the model (default: the turn's); where its worker dies or hangs it is asked again, up to
    `ATTEMPTS` times in all.

    Raises BackendError, LimitReached, Interrupted.
    """
    for attempt in range(1, ATTEMPTS + 1):
        turn.ensure_within_limits()
        try:
            return (yield from _generate(turn, purpose, request, model or turn.services.model))
        except (WorkerDied, WorkerHung) as error:
            if attempt == ATTEMPTS:
                raise
            yield Warned(f"{error.message}; asking again ({attempt + 1} of {ATTEMPTS})")
    raise AssertionError("unreachable")


def choose(
    turn: Turn, purpose: str, messages: Sequence[Message], options: Sequence[str]
) -> Generator[Event, None, str]:
    """Let the model that plans pick one of `options` under a grammar: the reply is always one of
    them."""
    model = turn.services.planning or turn.services.model
    longest = max(model.count(option) for option in options)
    request = Request(
        tuple(messages), max_tokens=longest + 4, choices=tuple(options), seed=turn.seed
    )
    reply = yield from ask(turn, purpose, request, model)
    matching = [option for option in options if option == reply.text.strip()]
    # A backend that cannot hold the model to the options may drift; the first is the harness's own
    # best guess.
    return matching[0] if matching else options[0]


def _generate(
    turn: Turn, purpose: str, request: Request, model: Model
) -> Generator[Event, None, Reply]:
    left = turn.tokens_left()
    if left is not None:
        request = replace(request, max_tokens=min(request.max_tokens, left))
    yield ModelAsked(purpose, transcript_form(request))
    text = ""
    stuck = False
    started = time.monotonic()
    for chunk in model.generate(request):
        if isinstance(chunk, Finish):
            if stuck and chunk.reason == "cancelled":
                chunk = replace(chunk, reason="length")
            return (yield from _finish(turn, purpose, text, chunk))
        if isinstance(chunk, Text):
            text += chunk.text
            yield TextDelta(chunk.text)
            # Looked at now and then: it costs more than a token's share of time.
            stuck = stuck or (len(text) % LOOK < len(chunk.text) and repeats(text))
        elif isinstance(chunk, Reading):
            yield _reading(turn, chunk, time.monotonic() - started)
        elif isinstance(chunk, Notice):
            yield Warned(chunk.text)
        if stuck or turn.stop.is_set() or _overdue(turn):
            model.cancel()
    raise AssertionError("a generation ended without Finish")


def _overdue(turn: Turn) -> bool:
    left = turn.seconds_left()
    return left is not None and left <= 0


def _reading(turn: Turn, chunk: Reading, seconds: float) -> ModelReading:
    """Progress with an estimate from this session's own reading rate."""
    read = chunk.done - chunk.reused
    if read > 0 and seconds > 0:
        turn.read_rate = read / seconds
    left = (chunk.total - chunk.done) / turn.read_rate if turn.read_rate else None
    return ModelReading(chunk.done, chunk.total, chunk.reused, left)


def _finish(turn: Turn, purpose: str, text: str, chunk: Finish) -> Generator[Event, None, Reply]:
    usage = chunk.usage
    turn.add(usage)
    yield ModelReplied(
        purpose,
        text,
        chunk.reason,
        usage.prompt_tokens,
        usage.reused_tokens,
        usage.completion_tokens,
        round(usage.prefill_seconds, 3),
        round(usage.decode_seconds, 3),
    )
    if chunk.reason == "cancelled":
        turn.ensure_within_limits()
        raise Interrupted("the generation was cancelled")
    return Reply(text, chunk.reason, usage)


def transcript_form(request: Request) -> str:
    """The prompt as a person reads it in the transcript; not what the template makes of it."""
    if isinstance(request.prompt, Infill):
        return f"<prefix>\n{request.prompt.prefix}<suffix>\n{request.prompt.suffix}<middle>\n"
    parts = [f"<{m.role}>\n{m.content}\n" for m in request.prompt]
    return "".join(parts) + f"<assistant>\n{request.reply_start}"
