"""The Ollama request filter: passes only a few kinds of requests, and only for pinned models.

An Ollama server itself can send data away: to its maker's registry (push, pull), and to models that
run in a cloud. Libraries and plug-ins in localagent's process can reach the egress proxy too. So
the proxy checks every request, and sends a rewritten form of it to the server. The server then
cannot interpret a request differently than the filter.

This module needs only the standard library, since the proxy forks before other imports.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Collection
from typing import Any, BinaryIO

_GET = frozenset(("/api/version", "/api/tags", "/api/ps", "/api/status"))
_POST = frozenset(("/api/show", "/api/chat", "/api/generate"))
_CHUNK = 64 << 10
_MAX_LINE, _MAX_LINES = 16 << 10, 100  # of a request's head: bytes a line, and number of lines
_MAX_BODY = 256 << 20  # bytes; prompts are far shorter
_MODEL_KEYS = ("model", "name")


class RequestRefusal(Exception):
    """A request that the filter refuses; the message says why.

    `request` is the method and the path, or "a request" if the filter could not read them.
    """

    request = "a request"


def filter_requests(
    inside: socket.socket,
    outside: socket.socket,
    models: Collection[str],
    report: Callable[[str, str], None],
) -> None:
    """Pass allowed requests from `inside` to the server, and answers back, until one side ends.

    `models` are the canonical names of the allowed models. `report` gets a refused request and the
    reason, before the client inside gets an answer.
    """
    back = threading.Thread(target=_pass_answers, args=(outside, inside), daemon=True)
    back.start()
    try:
        with inside.makefile("rb") as stream:
            while (request := _read_request(stream, models)) is not None:
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


def _pass_answers(outside: socket.socket, inside: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := outside.recv(_CHUNK):
            inside.sendall(data)
    for side in (outside, inside):
        with contextlib.suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)


def _read_request(stream: BinaryIO, models: Collection[str]) -> bytes | None:
    """Return the next request, rewritten; None at the end. Raises RequestRefusal."""
    line = _read_line(stream)
    if not line:
        return None
    method, _, rest = line.partition(" ")
    path, _, version = rest.partition(" ")
    name = f"{method[:20]} {path[:100]}"
    try:
        if path not in {"GET": _GET, "POST": _POST}.get(method, ()):
            raise RequestRefusal(f"{name} is not a request that localagent makes")
        length, closes = _read_head(stream, version)
        data = stream.read(length) if length else b""
        if len(data) < length:
            return None
        body = json.dumps(_checked_body(data, models)).encode() if method == "POST" else b""
    except RequestRefusal as refusal:
        refusal.request = name
        raise
    head = [f"{method} {path} HTTP/1.1", "Host: localhost", "Accept: */*"]
    head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    head += ["Connection: close"] if closes else []
    return "\r\n".join([*head, "", ""]).encode() + body


def _read_line(stream: BinaryIO) -> str:
    line = stream.readline(_MAX_LINE)
    if len(line) >= _MAX_LINE:
        raise RequestRefusal("a line of a request's head is too long")
    return line.decode("latin-1").rstrip("\r\n")


def _read_head(stream: BinaryIO, version: str) -> tuple[int, bool]:
    """Return the body's length in bytes, and whether the connection closes afterwards."""
    length, closes = 0, version.strip() == "HTTP/1.0"
    for _ in range(_MAX_LINES):
        line = _read_line(stream)
        if not line:
            return length, closes
        name, _, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        if name in ("transfer-encoding", "upgrade", "expect"):
            raise RequestRefusal(f"a request with the header {name} is refused")
        if name == "content-length":
            if not value.isascii() or not value.isdigit() or int(value) > _MAX_BODY:
                raise RequestRefusal(f"a request of {value[:20]} bytes is refused")
            length = int(value)
        closes = closes or (name == "connection" and value.lower() == "close")
    raise RequestRefusal("a request's head is too long")


def _checked_body(data: bytes, models: Collection[str]) -> dict[str, Any]:
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
        if not isinstance(name, str) or canonical_name(name) not in models:
            raise RequestRefusal(
                f"the model {str(name)[:100]} may not be used: models.lock did not list it when "
                "this process started"
            )
    return body


def _refusal_answer(reason: str) -> bytes:
    body = json.dumps({"error": f"the egress proxy refuses the request: {reason}"}).encode()
    head = "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
