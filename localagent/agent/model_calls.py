"""Calls of a model: a request yields events and returns a `Reply`; a repetitive reply is cut short.

`ask_all` sends several requests. `ask`, `choose` and `ask_once` (for use outside a turn) send one.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace

from localagent.agent.limits import LOOP
from localagent.agent.thoughts import split_thought
from localagent.agent.turn import Exchange, Turn
from localagent.context.prompts import Prompts
from localagent.core.errors import Interrupted, WorkerDied, WorkerHung
from localagent.core.events import (
    Event,
    FileRead,
    ModelReading,
    ModelReplied,
    ModelRequested,
    TextDelta,
    ThoughtDelta,
    Warned,
)
from localagent.core.messages import Message
from localagent.models.base import (
    ATTEMPTS,
    Finish,
    FinishReason,
    Infill,
    Model,
    ModelWarning,
    Profile,
    Prompt,
    RawText,
    Reading,
    Request,
    Text,
    Thought,
    Usage,
    sampled,
)
from localagent.redaction.redactor import Redactor


@dataclass(frozen=True, slots=True)
class Reply:
    """A finished generation. `text` does not contain the request's `reply_start`.

    `thought` came before the text, with the markers around it.
    """

    text: str
    finish: FinishReason
    usage: Usage
    thought: str = ""


OnReply = Callable[[int, Reply], Generator[Event, None, bool]]
"""Handles the complete reply to request number N; returning True cancels the other requests."""

Record = Callable[[Event], None]
"""Records for the audit log what a model reads and what it replies."""


def ask(
    turn: Turn, purpose: str, request: Request, model: Model | None = None
) -> Generator[Event, None, Reply]:
    """Ask a model (default: the turn's model), and ask again if the model's worker dies or hangs.

    Makes at most `ATTEMPTS` tries. Raises BackendError, LimitReached, Interrupted.
    """
    replies: list[Reply] = []

    def on_reply(_: int, reply: Reply) -> Generator[Event, None, bool]:
        replies.append(reply)
        yield from ()
        return True

    yield from ask_all(turn, purpose, [request], on_reply, model)
    return replies[0]


def ask_all(
    turn: Turn,
    purpose: str,
    requests: Sequence[Request],
    on_reply: OnReply,
    model: Model | None = None,
) -> Generator[Event, None, None]:
    """Send several requests side by side; `on_reply` runs while the other replies continue.

    Retries and raises the same errors as `ask`.
    """
    left = dict(enumerate(requests))
    for attempt in range(1, ATTEMPTS + 1):
        turn.ensure_within_limits()
        try:
            yield from _generate(turn, purpose, left, on_reply, model or turn.services.model)
            return
        except (WorkerDied, WorkerHung) as error:
            if attempt == ATTEMPTS:
                raise
            again = f"asking again ({attempt + 1} of {ATTEMPTS})"
            yield Warned(f"{error.message}; {again}", lost=True)


def choose(
    turn: Turn, purpose: str, messages: Sequence[Message], options: Sequence[str]
) -> Generator[Event, None, str]:
    """Let the planning model choose one of `options`, under a grammar."""
    model = turn.services.planning or turn.services.model
    longest = max(model.count(option) for option in options)
    request = Request(
        tuple(messages), max_tokens=longest + 4, choices=tuple(options), seed=turn.request.seed
    )
    reply = yield from ask(turn, purpose, request, model)
    # Without grammars, the reply may be none of the options; the first option is the best guess.
    choice = reply.text.strip()
    return choice if choice in options else options[0]


def ask_once(
    model: Model, prompts: Prompts, purpose: str, request: Request, seconds: float, record: Record
) -> str:
    """Ask a model outside of a turn; return the reply, or "" if it takes more than `seconds`.

    `record` receives the files of `prompts` and the request, then the reply. Raises BackendError.
    """
    late = threading.Event()

    def stop() -> None:
        late.set()
        model.cancel()

    request = sampled(redact_request(request, Redactor()), model.info.profile)
    for path, digest in prompts.drain_reads():
        record(FileRead(path, digest))
    record(ModelRequested(purpose, transcript_form(request), 0, model.info.id))
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
                record(_reply_event(purpose, Reply(text, chunk.reason, chunk.usage)))
            # cancel again: a model that is still loading ignores the first cancel
            if late.is_set():
                model.cancel()
        return "" if cancelled else _split(model, request, text)[1]
    finally:
        timer.cancel()


def with_thought(request: Request, purpose: str, profile: Profile) -> Request:
    """The request with room for a thought, if the profile and the purpose call for one.

    A reply with a given beginning, a choice and an infill never have a thought.
    """
    purposes = LOOP.thinking if profile.think_for == "all" else ("plan",)
    given = request.reply_start or request.choices or isinstance(request.prompt, Infill)
    return request if given or purpose not in purposes else replace(request, think=profile.think)


def _split(model: Model, request: Request, text: str) -> tuple[str, str]:
    """The thought of a model that thinks without being asked to, and the rest of its reply."""
    form = model.info.form
    if request.reply_start or isinstance(request.prompt, Infill | RawText):
        return "", text
    return split_thought(text, opened=form is not None and form.thinks)


def redact_request(request: Request, redactor: Redactor) -> Request:
    """Remove secrets and invisible characters from a request. Every request passes through here."""
    prompt = request.prompt
    if isinstance(prompt, Infill):
        clean: Prompt = Infill(redactor.redact(prompt.prefix), redactor.redact(prompt.suffix))
    elif isinstance(prompt, RawText):
        clean = replace(prompt, text=redactor.redact(prompt.text))
    else:
        clean = tuple(
            replace(m, content=redactor.redact(m.content), thought=redactor.redact(m.thought))
            for m in prompt
        )
    return replace(request, prompt=clean, reply_start=redactor.redact(request.reply_start))


def lists_places(request: Request) -> bool:
    """Whether the reply is a list of likely tokens, which no user wants to read."""
    return isinstance(request.prompt, RawText) and request.prompt.options > 0


def transcript_form(request: Request) -> str:
    """The prompt as the transcript shows it, without the chat template.

    A branch of a raw text is its place and token, because the transcript has the text already.
    """
    if isinstance(request.prompt, Infill):
        return f"<prefix>\n{request.prompt.prefix}<suffix>\n{request.prompt.suffix}<middle>\n"
    if isinstance(request.prompt, RawText):
        branch = request.prompt.branch
        return (
            f"<text>\n{request.prompt.text}"
            if branch is None
            else "<branch {} {}>\n".format(*branch)
        )
    parts = [f"<{m.role}>\n{m.thought}{m.content}\n" for m in request.prompt]
    return "".join(parts) + f"<assistant>\n{request.reply_start}"


def _generate(
    turn: Turn, purpose: str, left: dict[int, Request], on_reply: OnReply, model: Model
) -> Generator[Event, None, None]:
    """Try the requests in `left` once, and remove the answered ones from `left`."""
    tokens = turn.tokens_left()
    share = max(1, (tokens or 0) // len(left))
    if tokens is not None:
        left.update({n: replace(r, max_tokens=min(r.max_tokens, share)) for n, r in left.items()})
    redactor, profile = turn.services.redactor, model.info.profile
    for number, request in left.items():
        request = with_thought(redact_request(request, redactor), purpose, profile)
        if tokens is not None:
            request = replace(request, think=min(request.think, share))
        left[number] = sampled(request, profile)
    streams = list(left)
    yield from turn.drain_reads()
    yield from turn.drain_redactions()
    for stream, request in left.items():
        yield ModelRequested(purpose, transcript_form(request), stream, model.info.id)
    texts, thoughts = dict.fromkeys(streams, ""), dict.fromkeys(streams, "")
    stuck: set[int] = set()
    reading: Reading | None = None
    started = time.monotonic()
    with contextlib.closing(model.generate_all(list(left.values()))) as chunks:
        for place, chunk in chunks:
            stream = streams[place]
            if isinstance(chunk, Finish):
                if chunk.reason == "cancelled" and reading is not None and not texts[stream]:
                    usage = _usage_of(reading, time.monotonic() - started)
                    chunk = replace(chunk, usage=usage)
                turn.ledger.exchange = Exchange(left[stream], model, chunk.usage, turn.ledger.texts)
                if stream in stuck and chunk.reason == "cancelled":
                    chunk = replace(chunk, reason="length")
                thought, text = thoughts[stream], texts[stream]
                if not thought:
                    thought, text = _split(model, left[stream], text)
                reply = Reply(text, chunk.reason, chunk.usage, thought)
                yield from _finish(turn, purpose, stream, reply)
                del left[stream]
                if (yield from on_reply(stream, reply)):
                    return
            elif isinstance(chunk, Text | Thought):
                if isinstance(chunk, Text):
                    piece, texts[stream] = chunk.text, texts[stream] + chunk.text
                    text = texts[stream]
                    if lists_places(left[stream]):
                        continue
                    yield TextDelta(piece, stream)
                else:
                    piece, thoughts[stream] = chunk.thought, thoughts[stream] + chunk.thought
                    text = thoughts[stream]
                    yield ThoughtDelta(piece, stream)
                polled = len(text) % LOOP.repeat_poll_chars < len(piece)
                if polled and stream not in stuck and repeats(text):
                    stuck.add(stream)
                    model.cancel(place)
            elif isinstance(chunk, Reading):
                reading = chunk
                yield _progress(turn, chunk, time.monotonic() - started)
            elif isinstance(chunk, ModelWarning):
                yield Warned(chunk.text)
            seconds = turn.seconds_left()
            if turn.stop.is_set() or (seconds is not None and seconds <= 0):
                model.cancel()


def _usage_of(reading: Reading, seconds: float) -> Usage:
    """The cost of a request that was stopped while the model read its prompt."""
    return Usage(reading.done, reading.reused, prefill_seconds=seconds)


def _progress(turn: Turn, chunk: Reading, seconds: float) -> ModelReading:
    """Report how much of the prompt is read, and estimate the seconds that the rest takes."""
    ledger = turn.ledger
    read = chunk.done - chunk.reused
    if read > 0 and seconds > 0:
        ledger.read_rate = read / seconds
    left = (chunk.total - chunk.done) / ledger.read_rate if ledger.read_rate else None
    return ModelReading(chunk.done, chunk.total, chunk.reused, left)


def _finish(turn: Turn, purpose: str, stream: int, reply: Reply) -> Generator[Event, None, None]:
    """Record the end of a reply. Raises Interrupted for a cancelled one."""
    turn.ledger.add(reply.usage)
    yield _reply_event(purpose, reply, stream)
    if reply.finish == "cancelled":
        turn.ensure_within_limits()
        raise Interrupted("the generation was cancelled")


def _reply_event(purpose: str, reply: Reply, stream: int = 0) -> ModelReplied:
    usage = reply.usage
    return ModelReplied(
        purpose,
        reply.text,
        reply.finish,
        usage.prompt_tokens,
        usage.reused_tokens,
        usage.completion_tokens,
        round(usage.prefill_seconds, 3),
        round(usage.decode_seconds, 3),
        stream,
        reply.thought,
        usage.thought_tokens,
    )


def repeats(text: str) -> bool:
    """Whether the end of `text` only repeats itself."""
    return _repetition_start(text) is not None


def continuations(text: str, most: int) -> list[str]:
    """At most `most` texts from which a reply that repeats itself can continue.

    Each text has all lines before the repetition. After these lines comes the start of the line in
    which the repetition begins, up to a place where the statement can end. `a =
    b.replace(…).replace(…` gives `a = b`, then `a = b.replace(…)`. Without the start of that line,
    the model would write the same repetition again.
    """
    start = _repetition_start(text)
    if start is None:
        return []
    begin = text.rfind("\n", 0, start) + 1
    line = text[begin : start + LOOP.span_chars].split("\n", 1)[0]
    ends = itertools.islice(_statement_ends(line), most)
    return [f"{text[: begin + end]}\n" for end in ends]


def _repetition_start(text: str) -> int | None:
    """The position at which the repetition at the end of `text` begins."""
    for start in (_short_units_start(text), _long_units_start(text), _alike_lines_start(text)):
        if start is not None:
            return start + 1 if text[start] == "\n" else start
    return None


def _short_units_start(text: str) -> int | None:
    for size in range(1, LOOP.unit_chars + 1):
        count = max(LOOP.units, -(-LOOP.span_chars // size))
        tail = text[-size * count :]
        unit = tail[-size:]
        if len(tail) == size * count and unit.strip() and tail == unit * count:
            return _first_repeated(text, size)
    return None


def _long_units_start(text: str) -> int | None:
    length = LOOP.repeat_anchor_chars
    anchor = text[-length:]
    if len(anchor) < length or not anchor.strip():
        return None
    before = text.rfind(anchor, max(0, len(text) - length - LOOP.long_unit_chars), len(text) - 1)
    size = len(text) - length - before
    if before < 0 or size <= LOOP.unit_chars or len(text) < LOOP.long_units * size:
        return None
    units = text[-LOOP.long_units * size :]
    return _first_repeated(text, size) if units[size:] == units[:-size] else None


def _first_repeated(text: str, size: int) -> int:
    """The start of the longest ending in which each character recurs after `size` characters."""
    start = len(text) - size
    while start > 0 and text[start - 1] == text[start - 1 + size]:
        start -= 1
    return start


def _alike_lines_start(text: str) -> int | None:
    lines = text.split("\n")
    starts = [line.strip()[: LOOP.alike_prefix_chars] for line in lines[:-1]]
    if len(starts) < LOOP.alike_lines or len(set(starts[-LOOP.alike_lines :])) != 1:
        return None
    if len(starts[-1]) != LOOP.alike_prefix_chars:
        return None
    first = len(starts)
    while first and starts[first - 1] == starts[-1]:
        first -= 1
    return sum(len(line) + 1 for line in lines[:first])


# Strings, brackets, words, and every other character as a token of its own.
_TOKEN = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[()\[\]{}]|\w+|.""")


def _statement_ends(line: str) -> Iterator[int]:
    """The positions in a line of code at which its statement could end, in ascending order."""
    depth, has_value = 0, False
    tokens = list(_TOKEN.finditer(line))
    for token, after in zip(tokens, [*tokens[1:], None], strict=True):
        text = token.group()
        depth += (text in "([{") - (text in ")]}")
        can_end = text in ")]}" or text[-1].isalnum() or text[0] in "'\""
        if can_end and has_value and depth == 0 and (after is None or after.group() in ". "):
            yield token.end()
        has_value = has_value or text in ("=", "(", "return")
