"""The request filter: passes only a few kinds of requests, and only for pinned models.

A model server itself can send data away: to its maker's registry (push, pull), to models that run
in a cloud, and to the address of a picture in a message. Libraries and plug-ins in localagent's
process can reach the egress proxy too. So the proxy checks every request, and sends a rewritten
form of it to the server. The server then cannot interpret a request differently than the filter.

This module needs only the standard library, since the proxy forks before other imports.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from localagent.egress import Destination

_CHUNK = 64 << 10
_MAX_LINE, _MAX_LINES = 16 << 10, 100  # of a request's head: bytes a line, and number of lines
_MAX_BODY = 256 << 20  # bytes; prompts are far shorter
_MODEL_KEYS = ("model", "name")

_OLLAMA_GET = frozenset(("/api/version", "/api/tags", "/api/ps", "/api/status"))
_OLLAMA_POST = frozenset(("/api/show", "/api/chat", "/api/generate"))
# Below the base path of OpenAI's API ("/v1"), and below the path without "/v1".
_OPENAI_GET, _SERVER_GET = ("/models",), ("/props", "/version", "/api/v0/models")
_OPENAI_POST = ("/chat/completions", "/completions")
_SERVER_POST = ("/infill", "/tokenize", "/extras/tokenize/count")
# Others can make a server load a file or connect to a host ("lora", "kv_transfer_params").
_OPENAI_FIELDS = frozenset(
    (
        *("model", "messages", "stream", "stream_options", "max_tokens", "stop", "seed"),
        *("temperature", "top_p", "top_k", "min_p", "presence_penalty", "repeat_penalty"),
        *("repetition_penalty", "tools", "tool_choice", "grammar", "response_format"),
        *("structured_outputs", "chat_template_kwargs", "return_progress", "cache_prompt"),
        *("add_generation_prompt", "continue_final_message", "reasoning_format"),
        *("prompt", "suffix", "content", "input", "n_predict", "input_prefix", "input_suffix"),
    )
)


@dataclass(frozen=True, slots=True)
class RequestRules:
    """Which requests may pass to one server.

    `models` are the canonical names of the allowed models, and `fields` the allowed keys of a body;
    empty means any. `host` is the value of the Host header.
    """

    get: frozenset[str]
    post: frozenset[str]
    models: frozenset[str]
    canonical: Callable[[str], str]
    fields: frozenset[str] = frozenset()
    host: str = "localhost"


def rules_for(destination: Destination) -> RequestRules:
    """The rules for requests to a destination: an Ollama server, or one with OpenAI's API."""
    if not destination.bases:
        names = frozenset(map(canonical_name, destination.models))
        return RequestRules(_OLLAMA_GET, _OLLAMA_POST, names, canonical_name)
    get, post = set[str](), set[str]()
    for base in destination.bases:
        root = base.removesuffix("/v1")
        get |= {base + path for path in _OPENAI_GET} | {root + path for path in _SERVER_GET}
        post |= {base + path for path in _OPENAI_POST} | {root + path for path in _SERVER_POST}
    names, host = frozenset(destination.models), str(destination)
    return RequestRules(frozenset(get), frozenset(post), names, str, _OPENAI_FIELDS, host)


class Connection(Protocol):
    """What the filter needs of a socket."""

    def recv(self, size: int, /) -> bytes: ...
    def sendall(self, data: bytes, /) -> None: ...
    def shutdown(self, how: int, /) -> None: ...


class RequestRefusal(Exception):
    """A request that the filter refuses; the message says why.

    `request` is the method and the path, or "a request" if the filter could not read them.
    """

    request = "a request"


def filter_requests(
    inside: socket.socket,
    outside: Connection,
    rules: RequestRules,
    report: Callable[[str, str], None],
) -> None:
    """Pass allowed requests from `inside` to the server, and answers back, until one side ends.

    `report` gets a refused request and the reason, before the client inside gets an answer.
    """
    back = threading.Thread(target=_pass_answers, args=(outside, inside), daemon=True)
    back.start()
    try:
        with inside.makefile("rb") as stream:
            while (request := _read_request(stream, rules)) is not None:
                outside.sendall(request)
    except RequestRefusal as refusal:
        report(refusal.request, str(refusal))
        with contextlib.suppress(OSError):
            inside.sendall(_refusal_answer(str(refusal)))
            inside.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            outside.shutdown(socket.SHUT_RDWR)
        inside.settimeout(10)
        while inside.recv(_CHUNK):  # unread bytes would reset the connection and lose the answer
            pass
    else:
        outside.shutdown(socket.SHUT_WR)  # the server may still answer
    back.join()


def canonical_name(name: str) -> str:
    """Return the canonical form of a model's name, which is equal for all spellings of the name."""
    tagged = ":" in name.rpartition("/")[2]
    return (name if tagged else f"{name}:latest").casefold()


def _pass_answers(outside: Connection, inside: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := outside.recv(_CHUNK):
            inside.sendall(data)
    for side in (outside, inside):
        with contextlib.suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)


def _read_request(stream: BinaryIO, rules: RequestRules) -> bytes | None:
    """Return the next request, rewritten; None at the end. Raises RequestRefusal."""
    line = _read_line(stream)
    if not line:
        return None
    method, _, rest = line.partition(" ")
    path, _, version = rest.partition(" ")
    name = f"{method[:20]} {path[:100]}"
    try:
        if path not in {"GET": rules.get, "POST": rules.post}.get(method, ()):
            raise RequestRefusal(f"{name} is not a request that localagent makes")
        head = _read_head(stream, version)
        data = stream.read(head.length) if head.length else b""
        if len(data) < head.length:
            return None
        body = json.dumps(_checked_body(data, rules)).encode() if method == "POST" else b""
    except RequestRefusal as refusal:
        refusal.request = name
        raise
    lines = [f"{method} {path} HTTP/1.1", f"Host: {rules.host}", "Accept: */*"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    lines += [f"Authorization: {head.key}"] if head.key and rules.fields else []
    lines += ["Connection: close"] if head.closes else []
    return "\r\n".join([*lines, "", ""]).encode() + body


def _read_line(stream: BinaryIO) -> str:
    line = stream.readline(_MAX_LINE)
    if len(line) >= _MAX_LINE:
        raise RequestRefusal("a line of a request's head is too long")
    return line.decode("latin-1").rstrip("\r\n")


@dataclass(slots=True)
class _Head:
    """The head of a request: the body's length in bytes, and the Authorization header.

    `closes` says that the connection closes afterwards.
    """

    length: int = 0
    closes: bool = False
    key: str = ""


def _read_head(stream: BinaryIO, version: str) -> _Head:
    head = _Head(closes=version.strip() == "HTTP/1.0")
    for _ in range(_MAX_LINES):
        line = _read_line(stream)
        if not line:
            return head
        name, _, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        if name in ("transfer-encoding", "upgrade", "expect"):
            raise RequestRefusal(f"a request with the header {name} is refused")
        if name == "content-length":
            if not value.isascii() or not value.isdigit() or int(value) > _MAX_BODY:
                raise RequestRefusal(f"a request of {value[:20]} bytes is refused")
            head.length = int(value)
        if name == "authorization" and value.isascii() and value.isprintable():
            head.key = value
        head.closes = head.closes or (name == "connection" and value.lower() == "close")
    raise RequestRefusal("a request's head is too long")


def _checked_body(data: bytes, rules: RequestRules) -> dict[str, Any]:
    """Return the body of a request for an allowed model. Raises RequestRefusal."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        raise RequestRefusal("the body of a request must be JSON") from None
    if not isinstance(body, dict):
        raise RequestRefusal("the body of a request must be a JSON object")
    names = [body[key] for key in body if key.lower() in _MODEL_KEYS]
    # The server ignores the case of keys, and takes the last of several equal keys.
    if not names or any(key not in _MODEL_KEYS for key in body if key.lower() in _MODEL_KEYS):
        raise RequestRefusal("a request must name its model once")
    for name in names:
        if not isinstance(name, str) or rules.canonical(name) not in rules.models:
            raise RequestRefusal(
                f"the model {str(name)[:100]} may not be used: models.lock did not list it when "
                "this process started"
            )
    if rules.fields:
        _check_fields(body, rules.fields)
    return body


def _check_fields(body: dict[str, Any], fields: frozenset[str]) -> None:
    """Refuse fields that localagent does not send, and messages with more than text."""
    for key in body:
        if key not in fields:
            raise RequestRefusal(f"localagent sends no field {key[:50]}")
    messages = body.get("messages", [])
    texts = isinstance(messages, list) and all(
        isinstance(each, dict) and isinstance(each.get("content"), str | None) for each in messages
    )
    if not texts:
        raise RequestRefusal("localagent sends messages of plain text only")


def _refusal_answer(reason: str) -> bytes:
    body = json.dumps({"error": f"the egress proxy refuses the request: {reason}"}).encode()
    head = "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
