"""A model with written replies: for tests, demonstrations and the users' tests.

Replies come from a list or from a file, by its suffix:

    .toml    [[reply]] tables with the keys of `ScriptedReply`
    .jsonl   one object with these keys a line
    others   text: each reply begins with a line `--- reply` and ends at the next such line. Keys
             may follow on that line, as in a TOML inline table:

                 --- reply when = "classify", to = "chat"
                 edit
                 --- reply error = "WorkerDied"

             Text before the first such line is a comment. The line break before the next
             separator, or at the file's end, is not part of the reply.
"""

from __future__ import annotations

import json
import re
import threading
import tomllib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

from localagent.core import errors
from localagent.core.errors import BackendError, ContextOverflow, UsageError
from localagent.models.base import (
    Chunk,
    Finish,
    Infill,
    ModelInfo,
    Profile,
    RawText,
    Reading,
    Request,
    Text,
    Thought,
    TokenizedPrompt,
    Usage,
    one_by_one,
)

# Words in pieces of four letters, each with the space before it; every other sign alone; runs of
# white space. Every character belongs to exactly one token, so pieces join to the text.
_TOKEN = re.compile(r" ?\w{1,4}| ?[^\w\s]|\s+?(?= ?\S)|\s+")
_SEPARATOR = re.compile(r"^--- reply\b(.*)$", re.MULTILINE)

# The types of a reply's keys that are no texts.
_KINDS: dict[str, type | tuple[type, ...]] = {
    "repeat": bool,
    "reading": (int, float),
    "pace": (int, float),
}

SCRIPTED = ModelInfo("scripted", "scripted", "", Profile())


@dataclass(frozen=True, slots=True)
class ScriptedReply:
    """One reply.

    A request gets the first reply of the script that fits; it is used up then, unless `repeat`.
    `when` is a regular expression for the last message (of an infill: prefix, a line break,
    suffix; of a raw text: the text, and its branch as "<PLACE TOKEN>"). `to` limits the reply to
    conversations, infills or raw texts. `error` names a BackendError ("WorkerDied") that follows
    the text. `thought` comes before the text if the request has room for a thought. `reading` is
    the time for the prompt, `pace` the time for each token, in seconds.
    """

    text: str = ""
    when: str = ""
    to: Literal["", "chat", "infill", "text"] = ""
    repeat: bool = False
    error: str = ""
    message: str = ""
    reading: float = 0.0
    pace: float = 0.0
    thought: str = ""


class ScriptedModel:
    """A `Model` that gives written replies and records its requests.

    It respects max_tokens, stop, the window and `cancel`. It removes a reply_start from a reply
    that begins with it. The beginning that two requests in a row share counts as reused. It
    ignores a `grammar`. `requests` and `prompts` (the same as text) grow by one for each request.
    """

    def __init__(self, replies: Sequence[str | ScriptedReply], info: ModelInfo = SCRIPTED) -> None:
        """Raises UsageError for a bad pattern or an unknown error in a reply."""
        self._replies = [ScriptedReply(r) if isinstance(r, str) else r for r in replies]
        for number, reply in enumerate(self._replies, 1):
            _validate(reply, f"reply {number}")
        self._info = info
        self._used: set[int] = set()
        self._cached = ""
        self._cancelled = threading.Event()
        self._closed = False
        self.requests: list[Request] = []
        self.prompts: list[str] = []

    @classmethod
    def from_file(cls, path: Path, info: ModelInfo = SCRIPTED) -> ScriptedModel:
        """Make a model of a script file. Raises UsageError for an unreadable or malformed one."""
        return cls(load(path), info)

    @property
    def info(self) -> ModelInfo:
        """Who the model is."""
        return self._info

    def count(self, text: str) -> int:
        """Count the pieces that `tokens` makes of `text`."""
        return len(tokens(text))

    def tokenize(self, request: Request) -> TokenizedPrompt:
        """Tokenize a prompt into these pieces."""
        return tokenize(request)

    def generate(self, request: Request) -> Iterator[Chunk]:
        """Stream the reply that fits `request`, one token a chunk.

        Raises BackendError if no reply fits, ContextOverflow, and the error of the reply.
        """
        if self._closed:
            raise BackendError("the scripted model was closed")
        self._cancelled.clear()
        self.requests.append(request)
        self.prompts.append(rendered(request))
        return self._stream(request)

    def generate_all(self, requests: Sequence[Request]) -> Generator[tuple[int, Chunk], None, None]:
        """Generate the replies one after another."""
        return one_by_one(self.generate, requests)

    def cancel(self, place: int | None = None) -> None:  # noqa: ARG002 - one at a time
        """End the running generation at its next token."""
        self._cancelled.set()

    def close(self) -> None:
        """Refuse further requests."""
        self._closed = True
        self._cancelled.set()

    def _stream(self, request: Request) -> Iterator[Chunk]:
        prompt = rendered(request)
        total = self.count(prompt)
        if total + 1 > self._info.profile.window:
            raise ContextOverflow(total, self._info.profile.window)
        reused = _common(tokens(prompt), tokens(self._cached))
        self._cached = prompt
        yield Reading(reused, total, reused)
        lists = isinstance(request.prompt, RawText) and request.prompt.options > 0
        asks = request.max_tokens or lists
        reply = self._choose(request) if asks else ScriptedReply()
        yield from self._read(reused, total, reply.reading)
        if request.max_tokens == 0:
            if lists:
                yield Text(reply.text)
            yield Finish("length", Usage(total, reused))
            return
        text = reply.text.removeprefix(request.reply_start)
        for stop in request.stop:
            text = text.partition(stop)[0] if stop else text
        pieces = tokens(text)
        thought = tokens(reply.thought)[: request.think]
        chunks: list[Thought | Text] = [Thought(piece) for piece in thought]
        chunks += [Text(piece) for piece in pieces[: request.max_tokens]]
        written = 0
        for chunk in chunks:
            if self._cancelled.wait(reply.pace):
                break
            yield chunk
            written += isinstance(chunk, Text)
            self._cached += chunk.text if isinstance(chunk, Text) else chunk.thought
        if self._cancelled.is_set():
            yield Finish("cancelled", Usage(total, reused, written))
            return
        if reply.error:
            raise _error(reply)
        reason: Literal["stop", "length"] = "length" if written < len(pieces) else "stop"
        usage = Usage(total, reused, len(thought) + written, thought_tokens=len(thought))
        yield Finish(reason, usage)

    def _read(self, reused: int, total: int, seconds: float) -> Iterator[Reading]:
        """Report the progress of reading the prompt, in ten steps if it takes time."""
        for tenth in range(1, 10) if seconds else ():
            if self._cancelled.wait(seconds / 10):
                return
            yield Reading(reused + (total - reused) * tenth // 10, total, reused)
        if not self._cancelled.is_set():
            yield Reading(total, total, reused)

    def _choose(self, request: Request) -> ScriptedReply:
        kind = _kind(request)
        asked = _last_text(request)
        for number, reply in enumerate(self._replies):
            if number in self._used or (reply.to and reply.to != kind):
                continue
            if reply.when and not re.search(reply.when, asked, re.DOTALL):
                continue
            if not reply.repeat:
                self._used.add(number)
            return reply
        left = len(self._replies) - len(self._used)
        raise BackendError(
            f"the script has no reply for request {len(self.requests)}: {asked[-200:]!r}",
            f"{left} of its {len(self._replies)} replies are left and none fits",
        )


def tokens(text: str) -> list[str]:
    """Cut `text` into pieces by a fixed rule: four letters, one sign, white space."""
    return _TOKEN.findall(text)


def rendered(request: Request) -> str:
    """The whole prompt as text: a line with each message's role before it.

    A branch of a raw text follows the text as "<PLACE TOKEN>".
    """
    if isinstance(request.prompt, Infill):
        return f"<prefix>{request.prompt.prefix}<suffix>{request.prompt.suffix}<middle>"
    if isinstance(request.prompt, RawText):
        branch = request.prompt.branch
        return request.prompt.text + ("<{} {}>".format(*branch) if branch else "")
    said = "".join(f"<{m.role}>\n{m.thought}{m.content}\n" for m in request.prompt)
    return f"{said}<assistant>\n{request.reply_start}"


def tokenize(request: Request) -> TokenizedPrompt:
    """The whole prompt in pieces, with the places of its messages."""
    text = rendered(request)
    ends = accumulate(map(_bytes, tokens(text)))
    if isinstance(request.prompt, Infill):
        said = [("<prefix>", request.prompt.prefix), ("<suffix>", request.prompt.suffix)]
    elif isinstance(request.prompt, RawText):
        said = [("", request.prompt.text)]
    else:
        said = [(f"<{m.role}>\n", m.thought + m.content) for m in request.prompt]
    places, at = [], 0
    for before, content in said:
        start = text.index(before, at) + len(before)
        at = start + len(content)
        places.append((_bytes(text[:start]), _bytes(text[:at])))
    return TokenizedPrompt(text, tuple(ends), tuple(places))


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def load(path: Path) -> list[ScriptedReply]:
    """Read the replies of a script file. Raises UsageError for an unreadable or malformed one."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".toml":
            tables = tomllib.loads(text).get("reply", [])
        elif path.suffix == ".jsonl":
            tables = [json.loads(line) for line in text.splitlines() if line.strip()]
        else:
            tables = _sections(text)
        return [_reply(table, f"{path}, reply {n}") for n, table in enumerate(tables, 1)]
    except OSError as error:
        raise UsageError(f"cannot read the script {path}: {error.strerror}") from error
    except ValueError as error:  # of TOML, JSON and UTF-8 alike
        raise UsageError(f"the script {path} is malformed: {error}") from error


def _sections(text: str) -> list[dict[str, Any]]:
    heads = list(_SEPARATOR.finditer(text))
    if not heads:
        raise ValueError("no line begins with --- reply")
    ends = [head.start() for head in heads[1:]] + [len(text)]
    tables = []
    for head, end in zip(heads, ends, strict=True):
        keys = tomllib.loads(f"keys = {{{head[1]}}}")["keys"]
        body = text[head.end() + 1 : end]
        tables.append({"text": body.removesuffix("\n"), **keys})
    return tables


def _reply(table: object, where: str) -> ScriptedReply:
    known = {field.name for field in fields(ScriptedReply)}
    if not isinstance(table, dict) or not set(table) <= known:
        raise UsageError(f"{where}: expected the keys {', '.join(sorted(known))}", f"got {table!r}")
    for name, value in table.items():
        kind = _KINDS.get(name, str)
        if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
            raise UsageError(f"{where}: {name} has the wrong type: {value!r}")
    reply = ScriptedReply(**table)
    _validate(reply, where)
    return reply


def _validate(reply: ScriptedReply, where: str) -> None:
    try:
        re.compile(reply.when)
    except re.error as error:
        raise UsageError(f"{where}: {reply.when!r} is no regular expression: {error}") from error
    if reply.to not in ("", "chat", "infill", "text"):
        raise UsageError(f"{where}: to is {reply.to!r}", 'expected "chat", "infill" or "text"')
    if reply.error:
        _error(replace(reply, message=where))


def _error(reply: ScriptedReply) -> BackendError:
    cls = getattr(errors, reply.error, None)
    if not isinstance(cls, type) or not issubclass(cls, BackendError):
        raise UsageError(
            f"{reply.message}: {reply.error} is no backend error",
            "expected one of errors.py: BackendError, WorkerDied, WorkerHung, ModelLoadError, …",
        )
    if cls is ContextOverflow:
        return ContextOverflow(1 << 20, 1 << 13)
    return cls(reply.message or f"the script says {reply.error}")


def _kind(request: Request) -> str:
    kinds = {Infill: "infill", RawText: "text"}
    return next((kind for cls, kind in kinds.items() if isinstance(request.prompt, cls)), "chat")


def _last_text(request: Request) -> str:
    if isinstance(request.prompt, Infill):
        return f"{request.prompt.prefix}\n{request.prompt.suffix}"
    if isinstance(request.prompt, RawText):
        return rendered(request)
    return request.prompt[-1].content if request.prompt else ""


def _common(one: list[str], other: list[str]) -> int:
    """How many tokens both lists share at their beginning."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count
