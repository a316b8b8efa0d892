"""Asking the model: a request becomes a stream of events and a `Reply`."""

from __future__ import annotations

import contextlib
import itertools
import re
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace

from localagent.agent.turn import Exchange, Turn
from localagent.context.prompts import Prompts
from localagent.core.errors import Interrupted, WorkerDied, WorkerHung
from localagent.core.events import (
    Event,
    FileRead,
    ModelAsked,
    ModelReading,
    ModelReplied,
    TextDelta,
    Warned,
)
from localagent.core.messages import Message
from localagent.models.base import (
    ATTEMPTS,
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
from localagent.redaction.redactor import Redactor

# A unit of up to UNIT characters that fills at least SPAN characters at the end, UNITS times.
UNIT = 80
UNITS = 5
SPAN = 160
# Lines in a row that begin alike. Twenty real lines of code rarely do; a model that is stuck writes
# `text = text.replace(…` until its limit.
LINES = 20
PREFIX = 12


# Longer units are rarer in real text, so that fewer say enough.
LONG_UNIT = 480
LONG_UNITS = 3
# What has to come back for a long unit to be looked for.
_MARK = 64


def repeats(text: str) -> bool:
    """Whether the end of `text` only repeats itself."""
    return _circle(text) is not None


def ways_out(text: str, most: int) -> list[str]:
    """Texts to go on from instead of the circle that `text` ends in, at most `most` of them.

    Each holds what came before, and the line that the circle began in, ended where a statement can
    end: `a = b.replace(…).replace(…` gives `a = b`, `a = b.replace(…)` and so on. Going on from
    before that line would only lead into the circle again.
    """
    start = _circle(text)
    if start is None:
        return []
    begin = text.rfind("\n", 0, start) + 1
    line = text[begin : start + SPAN].split("\n", 1)[0]
    return [f"{text[: begin + end]}\n" for end in itertools.islice(_ends(line), most)]


def _circle(text: str) -> int | None:
    """Where the circle begins that `text` ends in."""
    for start in (_units_start(text), _long_units_start(text), _alike_start(text)):
        if start is not None:
            return start + 1 if text[start] == "\n" else start
    return None


def _units_start(text: str) -> int | None:
    for size in range(1, UNIT + 1):
        count = max(UNITS, -(-SPAN // size))
        tail = text[-size * count :]
        unit = tail[-size:]
        if len(tail) == size * count and unit.strip() and tail == unit * count:
            return _first(text, size)
    return None


def _long_units_start(text: str) -> int | None:
    mark = text[-_MARK:]
    if len(mark) < _MARK or not mark.strip():
        return None
    before = text.rfind(mark, max(0, len(text) - _MARK - LONG_UNIT), len(text) - 1)
    size = len(text) - _MARK - before
    if before < 0 or size <= UNIT or len(text) < LONG_UNITS * size:
        return None
    units = text[-LONG_UNITS * size :]
    return _first(text, size) if units[size:] == units[:-size] else None


def _first(text: str, size: int) -> int:
    """The first character of those at the end that come again after `size` characters."""
    start = len(text) - size
    while start > 0 and text[start - 1] == text[start - 1 + size]:
        start -= 1
    return start


def _alike_start(text: str) -> int | None:
    lines = text.split("\n")
    starts = [line.strip()[:PREFIX] for line in lines[:-1]]
    if len(starts) < LINES or len(set(starts[-LINES:])) != 1 or len(starts[-1]) != PREFIX:
        return None
    first = len(starts)
    while first and starts[first - 1] == starts[-1]:
        first -= 1
    return sum(len(line) + 1 for line in lines[:first])


# Strings, brackets, words, and every other character by itself.
_TOKEN = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[()\[\]{}]|\w+|.""")


def _ends(line: str) -> Iterator[int]:
    """The places in a line of code where its statement could end, the first one first."""
    depth, begun = 0, False
    tokens = list(_TOKEN.finditer(line))
    for token, after in zip(tokens, [*tokens[1:], None], strict=True):
        text = token.group()
        depth += (text in "([{") - (text in ")]}")
        ended = text in ")]}" or text[-1].isalnum() or text[0] in "'\""
        if ended and begun and depth == 0 and (after is None or after.group() in ". "):
            yield token.end()
        begun = begun or text in ("=", "(", "return")


# Characters between two looks at whether the reply goes round in circles.
LOOK = 64


@dataclass(frozen=True, slots=True)
class Reply:
    """A finished generation. `text` does not hold the request's `reply_start`."""

    text: str
    finish: FinishReason
    usage: Usage


Done = Callable[[int, Reply], Generator[Event, None, bool]]
"""What is done with a reply as soon as it is complete; the number is that of its request. True ends
those that are still being written."""


def ask(
    turn: Turn, purpose: str, request: Request, model: Model | None = None
) -> Generator[Event, None, Reply]:
    """Ask the model (default: the turn's); where its worker dies or hangs it is asked again, up to
    `ATTEMPTS` times in all.

    Raises BackendError, LimitReached, Interrupted.
    """
    replies: list[Reply] = []

    def done(_: int, reply: Reply) -> Generator[Event, None, bool]:
        replies.append(reply)
        yield from ()
        return True

    yield from ask_all(turn, purpose, [request], done, model)
    return replies[0]


def ask_all(
    turn: Turn,
    purpose: str,
    requests: Sequence[Request],
    done: Done,
    model: Model | None = None,
) -> Generator[Event, None, None]:
    """Ask several things at once; `done` is carried out as each reply is complete, while the others
    are written on. Tries again and raises as `ask`."""
    left = dict(enumerate(requests))
    for attempt in range(1, ATTEMPTS + 1):
        turn.ensure_within_limits()
        try:
            yield from _generate(turn, purpose, left, done, model or turn.services.model)
            return
        except (WorkerDied, WorkerHung) as error:
            if attempt == ATTEMPTS:
                raise
            again = f"asking again ({attempt + 1} of {ATTEMPTS})"
            yield Warned(f"{error.message}; {again}", lost=True)


def choose(
    turn: Turn, purpose: str, messages: Sequence[Message], options: Sequence[str]
) -> Generator[Event, None, str]:
    """Let the model that plans pick one of `options` under a grammar: the reply is always one of
    them."""
    model = turn.services.planning or turn.services.model
    longest = max(model.count(option) for option in options)
    request = Request(
        tuple(messages), max_tokens=longest + 4, choices=tuple(options), seed=turn.request.seed
    )
    reply = yield from ask(turn, purpose, request, model)
    matching = [option for option in options if option == reply.text.strip()]
    # A backend that cannot hold the model to the options may drift; the first is the harness's own
    # best guess.
    return matching[0] if matching else options[0]


def _generate(
    turn: Turn, purpose: str, left: dict[int, Request], done: Done, model: Model
) -> Generator[Event, None, None]:
    """One try; requests that are answered are taken out of `left`."""
    tokens = turn.tokens_left()
    if tokens is not None:
        share = max(1, tokens // len(left))
        left.update({n: replace(r, max_tokens=min(r.max_tokens, share)) for n, r in left.items()})
    left.update({n: hidden(r, turn.services.redactor) for n, r in left.items()})
    streams = list(left)
    yield from turn.drain_reads()
    yield from turn.drain_redactions()
    for stream, request in left.items():
        yield ModelAsked(purpose, transcript_form(request), stream, model.info.id)
    texts = dict.fromkeys(streams, "")
    stuck: set[int] = set()
    started = time.monotonic()
    with contextlib.closing(model.generate_all(list(left.values()))) as chunks:
        for place, chunk in chunks:
            stream = streams[place]
            if isinstance(chunk, Finish):
                turn.ledger.exchange = Exchange(left[stream], model, chunk.usage, turn.ledger.texts)
                if stream in stuck and chunk.reason == "cancelled":
                    chunk = replace(chunk, reason="length")
                reply = yield from _finish(turn, purpose, stream, texts[stream], chunk)
                del left[stream]
                if (yield from done(stream, reply)):
                    return
            elif isinstance(chunk, Text):
                text = texts[stream] = texts[stream] + chunk.text
                yield TextDelta(chunk.text, stream)
                # Looked at now and then: it costs more than a token's share of time.
                looked = len(text) % LOOK < len(chunk.text)
                if looked and stream not in stuck and repeats(text):
                    stuck.add(stream)
                    model.cancel(place)
            elif isinstance(chunk, Reading):
                yield _reading(turn, chunk, time.monotonic() - started)
            elif isinstance(chunk, Notice):
                yield Warned(chunk.text)
            if turn.stop.is_set() or _overdue(turn):
                model.cancel()


def hidden(request: Request, redactor: Redactor) -> Request:
    """The request without secrets and invisible characters: all that a model is asked passes
    through here."""
    prompt = request.prompt
    if isinstance(prompt, Infill):
        shown: tuple[Message, ...] | Infill = Infill(
            redactor.redact(prompt.prefix), redactor.redact(prompt.suffix)
        )
    else:
        shown = tuple(replace(m, content=redactor.redact(m.content)) for m in prompt)
    return replace(request, prompt=shown, reply_start=redactor.redact(request.reply_start))


def _overdue(turn: Turn) -> bool:
    left = turn.seconds_left()
    return left is not None and left <= 0


def _reading(turn: Turn, chunk: Reading, seconds: float) -> ModelReading:
    """Progress with an estimate from this session's own reading rate."""
    read = chunk.done - chunk.reused
    if read > 0 and seconds > 0:
        turn.ledger.read_rate = read / seconds
    left = (chunk.total - chunk.done) / turn.ledger.read_rate if turn.ledger.read_rate else None
    return ModelReading(chunk.done, chunk.total, chunk.reused, left)


def _finish(
    turn: Turn, purpose: str, stream: int, text: str, chunk: Finish
) -> Generator[Event, None, Reply]:
    turn.ledger.add(chunk.usage)
    yield replied(purpose, text, chunk, stream)
    if chunk.reason == "cancelled":
        turn.ensure_within_limits()
        raise Interrupted("the generation was cancelled")
    return Reply(text, chunk.reason, chunk.usage)


def replied(purpose: str, text: str, end: Finish, stream: int = 0) -> ModelReplied:
    """The event of a reply, with what it took."""
    usage = end.usage
    return ModelReplied(
        purpose,
        text,
        end.reason,
        usage.prompt_tokens,
        usage.reused_tokens,
        usage.completion_tokens,
        round(usage.prefill_seconds, 3),
        round(usage.decode_seconds, 3),
        stream,
    )


def transcript_form(request: Request) -> str:
    """The prompt as a person reads it in the transcript; not what the template makes of it."""
    if isinstance(request.prompt, Infill):
        return f"<prefix>\n{request.prompt.prefix}<suffix>\n{request.prompt.suffix}<middle>\n"
    parts = [f"<{m.role}>\n{m.content}\n" for m in request.prompt]
    return "".join(parts) + f"<assistant>\n{request.reply_start}"


Tell = Callable[[Event], None]
"""Is told, for the audit log, what a model is shown and what it replies."""


def ask_once(
    model: Model, prompts: Prompts, purpose: str, request: Request, seconds: float, tell: Tell
) -> str:
    """The reply's text, or "" where it was not finished within `seconds`. Raises BackendError.

    `tell` hears of the files of `prompts` that the request is made of, of the request before the
    model is asked, and of the reply.
    """
    late = threading.Event()

    def stop() -> None:
        late.set()
        model.cancel()

    request = hidden(request, Redactor())
    for path, digest in prompts.drain_reads():
        tell(FileRead(path, digest))
    tell(ModelAsked(purpose, transcript_form(request), 0, model.info.id))
    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        text, cancelled = "", False
        for chunk in model.generate(request):
            if isinstance(chunk, Text):
                text += chunk.text
            elif isinstance(chunk, Finish):
                cancelled = chunk.reason == "cancelled"
                tell(replied(purpose, text, chunk))
            if late.is_set():  # a model that was still loading did not hear the first call
                model.cancel()
        return "" if cancelled else text
    finally:
        timer.cancel()
