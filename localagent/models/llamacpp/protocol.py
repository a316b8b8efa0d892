"""Messages between localagent and the process that runs the native model.

Each message is one frame: its length in bytes as a big-endian 32-bit number, then a JSON object
whose `op` names its kind. Requests go to the worker, replies come back. A reply carries the `id`
of its request, and ids only grow. A request ends with exactly one of `LoadReply`, `Done`,
`TokenCount`, `TokenizeReply` or `Failure`; `LoadProgress` and `ChunkReply` may come before it.
`Cancel` has no reply of its own: the request that it names ends sooner.

One `Generate` holds several requests (runs), whose replies are written side by side; `run` is the
place of one of them. Each run ends with one `Finish`, in any order; `Done` ends the request.

What is asked and answered are the values of `models.base`, the same on both sides of the pipe.
Both sides validate what they read: anything but exactly such a message raises WireError, and the
reader gives the other side up.
"""

from __future__ import annotations

import math
import struct
from dataclasses import fields
from typing import Annotated, BinaryIO, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from localagent.models import base
from localagent.models.base import KvType
from localagent.models.chat_templates.form import TemplateForm, Variable
from localagent.models.llamacpp.hardware import Gpu

MAX_REQUEST = 64 << 20
"""Most bytes of a request: a prompt fills a window of millions of tokens before it is as long."""

MAX_REPLY = 16 << 20
"""Most bytes of a reply: the longest is a prompt with its tokens."""

_LENGTH = struct.Struct(">I")
_T = TypeVar("_T")


def _check_numbers(value: _T) -> _T:
    """Refuse a value of `models.base` with a number that is negative or not finite."""
    for field in fields(value):  # type: ignore[arg-type]  # it is a dataclass
        number = getattr(value, field.name)
        if isinstance(number, int | float) and not 0 <= number < math.inf:
            raise ValueError(f"{field.name} is {number}")
        if isinstance(number, base.Usage | base.RawText):
            _check_numbers(number)
    return value


Count = Annotated[int, Field(ge=0)]
_Request = Annotated[base.Request, AfterValidator(_check_numbers)]
_Chunk = (
    base.Text
    | base.Thought
    | Annotated[base.Reading, AfterValidator(_check_numbers)]
    | Annotated[base.Finish, AfterValidator(_check_numbers)]
)
_Prompt = Annotated[base.TokenizedPrompt, AfterValidator(_check_numbers)]


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


class KvStore(_Message):
    """Where the KV cache is stored on disk.

    `folder` is the place, `key` names the model and its settings there, `limit` is the most bytes
    of all files in the folder.
    """

    folder: bytes
    key: str
    limit: Count


class Load(_Message):
    """Load a model, from the file at `path` and its further `parts`.

    `window` and `batch` are in tokens; 0 for `window` takes the window that the model was trained
    for. `threads` 0 means one for each physical core; `gpu_layers` None leaves the choice to the
    library; the experts of the first `cpu_experts` layers stay off the GPU. `parallel` is the most
    runs side by side, `kv_type` the type of the numbers in the KV cache. `flash` computes attention
    without storing its scores. `swa_full` keeps all tokens in layers with a sliding window.
    `extra_bufts` lets the library repack weights for this CPU. `nice` is added to the niceness of
    the process. `form` is what the chat template can do (None: the worker finds it out),
    `variables` are values for it.
    """

    op: Literal["load"] = "load"
    id: Count = 0
    path: bytes
    parts: tuple[bytes, ...] = ()
    window: Count
    threads: Count = 0
    gpu_layers: int | None = None
    cpu_experts: Count = 0
    extra_bufts: bool = True
    batch: Annotated[int, Field(ge=1, le=8192)]
    parallel: Annotated[int, Field(ge=1, le=64)] = 1
    kv_type: KvType = "f16"
    flash: bool = True
    swa_full: bool = True
    nice: Annotated[int, Field(ge=0, le=19)] = 0
    kv: KvStore | None = None
    form: TemplateForm | None = None
    variables: dict[str, Variable] = {}


class Generate(_Message):
    """Write the replies to several requests, side by side.

    `drafts` allows several tokens to be guessed and checked at once, where that pays.
    """

    op: Literal["generate"] = "generate"
    id: Count
    requests: Annotated[tuple[_Request, ...], Field(min_length=1, max_length=1024)]
    drafts: bool = True


class CountText(_Message):
    """Count the tokens of `text`."""

    op: Literal["count"] = "count"
    id: Count
    text: str


class Tokenize(_Message):
    """Make the prompt of a request, with its tokens and their places in its text."""

    op: Literal["tokenize"] = "tokenize"
    id: Count
    request: _Request


class SaveKv(_Message):
    """Write the KV cache of the latest prompt that `continues` to disk."""

    op: Literal["save-kv"] = "save-kv"
    id: Count


class Cancel(_Message):
    """End request `id`, and every earlier one, as soon as possible; or only one of its runs."""

    op: Literal["cancel"] = "cancel"
    id: Count
    run: Count | None = None


class Ready(_Message):
    """The worker has started. `network` says whether it can still reach one."""

    op: Literal["ready"] = "ready"
    library: str
    network: Literal["none", "open"]
    gpus: tuple[Gpu, ...] = ()


class LoadProgress(_Message):
    """The part of the model that is loaded, 0 to 1."""

    op: Literal["loading"] = "loading"
    id: Count
    done: float


class LoadReply(_Message):
    """The model is loaded; `window` and `trained_window` are in tokens."""

    op: Literal["loaded"] = "loaded"
    id: Count
    window: Count
    trained_window: Count
    threads: Count
    extra_bufts: bool


class ChunkReply(_Message):
    """A part of the reply of one run. The times of a step are divided among its runs."""

    op: Literal["chunk"] = "chunk"
    id: Count
    run: Count
    chunk: _Chunk


class Done(_Message):
    """The end of a generation: all of its runs are finished."""

    op: Literal["done"] = "done"
    id: Count


class TokenCount(_Message):
    """The number of tokens that were counted, or stored on disk."""

    op: Literal["tokens"] = "tokens"
    id: Count
    tokens: Count


class TokenizeReply(_Message):
    """A prompt and its tokens."""

    op: Literal["tokenized"] = "tokenized"
    id: Count
    prompt: _Prompt


class Failure(_Message):
    """The request could not be carried out; `needed` and `window` are set for an overflow."""

    op: Literal["failure"] = "failure"
    id: Count
    kind: Literal["load", "cancelled", "overflow", "backend"]
    message: str
    hint: str = ""
    needed: Count = 0
    window: Count = 0


Request = Load | Generate | CountText | Tokenize | SaveKv | Cancel
Last = LoadReply | Done | TokenCount | TokenizeReply | Failure
"""What ends a request."""
Reply = Ready | LoadProgress | ChunkReply | Last

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
