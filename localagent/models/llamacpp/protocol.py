"""Messages between localagent and the process that runs the native model.

Each message is one frame: its length in bytes as a big-endian 32-bit number, then a JSON object
whose `op` names its kind. Requests go to the worker, replies come back; a reply carries the `id`
of the request that it answers, and ids only grow. A request ends with exactly one of `Loaded`,
`Done`, `Counted`, `Rendered`, `Tokenised`, `Kept` or `Failure`; `Loading`, `Reading`,
`Text` and `Finished` may come before it. `Cancel` has no reply of its own: what it names ends
sooner.

One `Generate` asks for several replies (runs), which are written side by side; `run` is the place
of one of them. Each run ends with one `Finished`, in any order, and then `Done` ends the request.

Both sides validate what they read: anything that is not exactly such a message raises WireError,
and the reader gives the other side up.
"""

from __future__ import annotations

import struct
from typing import Annotated, BinaryIO, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from localagent.models.base import KvType

MAX_REQUEST = 64 << 20
"""Most bytes of a request: a prompt fills a window of millions of tokens before it is as long."""

MAX_REPLY = 16 << 20
"""Most bytes of a reply: the longest is a prompt with its tokens."""

_LENGTH = struct.Struct(">I")
_T = TypeVar("_T")

Count = Annotated[int, Field(ge=0)]


class WireError(Exception):
    """The other side sent something that is not a message of this protocol."""


class _Message(BaseModel):
    # Bytes (paths) travel in base64, because a path need not be valid UTF-8.
    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        ser_json_bytes="base64",
        val_json_bytes="base64",
    )


class ChatMessage(_Message):
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class Kv(_Message):
    """Where the KV cache is kept on disk: a folder, what names the model and its settings there,
    and the most bytes of all files in the folder."""

    folder: bytes
    key: str
    limit: Count


class Load(_Message):
    """Load a model. `threads` 0 means one a physical core; `gpu_layers` None, the library's choice.

    `window` and `batch` are in tokens; 0 for `window` takes what the model was trained for.
    `parallel` is the most runs that are written side by side, `kv_type` the type of the KV cache's
    numbers, `flash` whether attention is computed without keeping its scores. `extra_bufts` lets
    the library keep weights repacked for this CPU. `nice` is added to the process's niceness.
    """

    op: Literal["load"] = "load"
    id: Count
    path: bytes
    window: Count
    threads: Count
    gpu_layers: int | None
    extra_bufts: bool
    batch: Annotated[int, Field(ge=1, le=8192)]
    parallel: Annotated[int, Field(ge=1, le=64)] = 1
    kv_type: KvType = "f16"
    flash: bool = True
    nice: Annotated[int, Field(ge=0, le=19)] = 0
    kv: Kv | None = None


class FillIn(_Message):
    """What stands before and after the text to write."""

    prefix: str
    suffix: str


class Run(_Message):
    """One reply that is asked for; the fields are those of `models.base.Request`.

    `draft` allows several tokens to be guessed and checked at once, where that pays.
    """

    messages: tuple[ChatMessage, ...]
    infill: FillIn | None
    max_tokens: Count
    stop: tuple[str, ...]
    temperature: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    top_p: Annotated[float, Field(ge=0, le=1)]
    top_k: int
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    grammar: str | None
    reply_start: str
    fixed: Count = 0
    continues: bool = False
    draft: bool = True


class Generate(_Message):
    """Write replies, side by side."""

    op: Literal["generate"] = "generate"
    id: Count
    runs: Annotated[tuple[Run, ...], Field(min_length=1, max_length=1024)]


class CountText(_Message):
    """How many tokens is `text`?"""

    op: Literal["count"] = "count"
    id: Count
    text: str


class Render(_Message):
    """What text does the chat template make of these messages, and how many tokens is it?"""

    op: Literal["render"] = "render"
    id: Count
    messages: tuple[ChatMessage, ...]
    reply_start: str


class Tokenise(_Message):
    """Which tokens are the prompt of this run, and where in its text are they?"""

    op: Literal["tokenise"] = "tokenise"
    id: Count
    run: Run


class Keep(_Message):
    """Keep on disk what was read of the latest prompt that `continues`."""

    op: Literal["keep"] = "keep"
    id: Count


class Cancel(_Message):
    """End request `id`, and every earlier one, as soon as possible; or only one of its runs."""

    op: Literal["cancel"] = "cancel"
    id: Count
    run: Count | None = None


class Device(_Message):
    """A graphics processor that the library can use; sizes in bytes. `unified` where its memory is
    the machine's own."""

    name: str
    free: Count
    total: Count
    unified: bool


class Ready(_Message):
    """The worker has started. `network` says whether it can still reach one."""

    op: Literal["ready"] = "ready"
    library: str
    network: Literal["none", "open"]
    devices: tuple[Device, ...] = ()


class Loading(_Message):
    """The part of the model that has been loaded, 0 to 1."""

    op: Literal["loading"] = "loading"
    id: Count
    done: float


class Loaded(_Message):
    """The model is loaded; `window` and `trained_window` are in tokens."""

    op: Literal["loaded"] = "loaded"
    id: Count
    window: Count
    trained_window: Count
    threads: Count
    extra_bufts: bool


class Reading(_Message):
    """Progress of reading a run's prompt, in tokens."""

    op: Literal["reading"] = "reading"
    id: Count
    run: Count
    done: Count
    total: Count
    reused: Count


class Text(_Message):
    """A piece of the reply."""

    op: Literal["text"] = "text"
    id: Count
    run: Count
    text: str


class Finished(_Message):
    """The end of a run; times are in seconds, those of shared steps divided among the runs."""

    op: Literal["finished"] = "finished"
    id: Count
    run: Count
    reason: Literal["stop", "length", "cancelled"]
    prompt_tokens: Count
    reused_tokens: Count
    completion_tokens: Count
    prefill_seconds: float
    decode_seconds: float


class Done(_Message):
    """The end of a generation: all of its runs are finished."""

    op: Literal["done"] = "done"
    id: Count


class Kept(_Message):
    """How many tokens were kept on disk."""

    op: Literal["kept"] = "kept"
    id: Count
    tokens: Count


class Counted(_Message):
    """The number of tokens of a text."""

    op: Literal["counted"] = "counted"
    id: Count
    tokens: Count


class Rendered(_Message):
    """A conversation as the model would see it, and the number of its tokens."""

    op: Literal["rendered"] = "rendered"
    id: Count
    text: str
    tokens: Count


class Tokenised(_Message):
    """A prompt and its tokens; the fields are those of `models.base.Tokenised`."""

    op: Literal["tokenised"] = "tokenised"
    id: Count
    text: str
    ends: tuple[Count, ...]
    places: tuple[tuple[Count, Count], ...]


class Failure(_Message):
    """The request could not be carried out; `needed` and `window` are set for an overflow."""

    op: Literal["failure"] = "failure"
    id: Count
    kind: Literal["load", "cancelled", "overflow", "backend"]
    message: str
    hint: str = ""
    needed: Count = 0
    window: Count = 0


Request = Load | Generate | CountText | Render | Tokenise | Keep | Cancel
Last = Loaded | Done | Counted | Rendered | Tokenised | Kept | Failure
"""What ends a request."""
Reply = Ready | Loading | Reading | Text | Finished | Last

_REQUEST: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="op")])
_REPLY: TypeAdapter[Reply] = TypeAdapter(Annotated[Reply, Field(discriminator="op")])


def encode(message: Request | Reply) -> bytes:
    """The frame of a message. Raises WireError where it is longer than the other side accepts."""
    body = message.model_dump_json().encode()
    limit = MAX_REQUEST if isinstance(message, Request) else MAX_REPLY
    if len(body) > limit:
        raise WireError(f"a message of {len(body)} bytes; {limit} is the limit")
    return _LENGTH.pack(len(body)) + body


def read_frame(stream: BinaryIO, limit: int) -> bytes | None:
    """The next frame's body, or None at the stream's end.

    Raises WireError for a frame over `limit` bytes, before reading it, and for one cut short.
    """
    head = stream.read(_LENGTH.size)
    if not head:
        return None
    if len(head) < _LENGTH.size:
        raise WireError("the stream ended inside a frame's head")
    (length,) = _LENGTH.unpack(head)
    if length > limit:
        raise WireError(f"a frame of {length} bytes; {limit} is the limit")
    body = stream.read(length)
    if len(body) < length:
        raise WireError(f"the stream ended {length - len(body)} bytes before a frame did")
    return body


def parse_request(body: bytes) -> Request:
    """The request in a frame's body. Raises WireError where it is none."""
    return _parse(_REQUEST, body)


def parse_reply(body: bytes) -> Reply:
    """The reply in a frame's body. Raises WireError where it is none."""
    return _parse(_REPLY, body)


def _parse(adapter: TypeAdapter[_T], body: bytes) -> _T:
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise WireError(f"not a message: {place}: {first['msg']}") from None


def clean(text: str) -> str:
    """`text` with lone surrogates, which JSON cannot carry, replaced by question marks."""
    return text.encode("utf-8", "replace").decode()
