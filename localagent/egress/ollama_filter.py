"""What may be asked of an Ollama server through the door: a few calls, of the pinned models alone.

A server on this machine can itself send things away: to its maker's registry (push, pull), and to
models that run in a cloud. Code in localagent's process that is not localagent's (a library, a
plug-in) reaches the door as well, so that the door itself looks at every request. It is written
anew before it is passed on, so that there are no two ways to read it.

Standard library alone, as it runs in a process that is forked before anything is imported.
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
_LINE, _LINES = 16 << 10, 100  # of a request's head: bytes, and how many
_BODY = 256 << 20  # bytes; prompts are far shorter
_NAMES = ("model", "name")


class Refused(Exception):
    """What is asked is not allowed; the message is for people. `what` is the request's method and
    path, as far as they are known."""

    what = "a request"


def pass_on(
    inside: socket.socket,
    outside: socket.socket,
    models: Collection[str],
    tell: Callable[[str, str], None],
) -> None:
    """Pass requests from `inside` on to the server, as far as they may be made, and its answers
    back, until either side ends it. `models` are the names of those that may be asked. `tell` is
    told what was refused, and why, before whoever asked is."""
    back = threading.Thread(target=_answers, args=(outside, inside), daemon=True)
    back.start()
    try:
        with inside.makefile("rb") as stream:
            while (request := _request(stream, models)) is not None:
                outside.sendall(request)
    except Refused as refusal:
        tell(refusal.what, str(refusal))
        with contextlib.suppress(OSError):
            inside.sendall(_answer(str(refusal)))
            inside.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            outside.shutdown(socket.SHUT_RDWR)
        inside.settimeout(10)
        while inside.recv(_CHUNK):  # what is unread would make the answer an error
            pass
    else:
        outside.shutdown(socket.SHUT_WR)  # an answer may still come
    back.join()


def known_as(name: str) -> str:
    """A model's name in the form in which two names of one model are equal."""
    tagged = ":" in name.rpartition("/")[2]
    return (name if tagged else f"{name}:latest").casefold()


def _answers(outside: socket.socket, inside: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := outside.recv(_CHUNK):
            inside.sendall(data)
    for side in (outside, inside):
        with contextlib.suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)


def _request(stream: BinaryIO, models: Collection[str]) -> bytes | None:
    """The next request, as it is passed on; None at the end. Raises Refused."""
    line = _line(stream)
    if not line:
        return None
    method, _, rest = line.partition(" ")
    path, _, version = rest.partition(" ")
    asked = f"{method[:20]} {path[:100]}"
    try:
        if path not in {"GET": _GET, "POST": _POST}.get(method, ()):
            raise Refused(f"{asked} is not among what localagent asks")
        length, closes = _head(stream, version)
        data = stream.read(length) if length else b""
        if len(data) < length:
            return None
        body = json.dumps(_allowed(data, models)).encode() if method == "POST" else b""
    except Refused as refusal:
        refusal.what = asked
        raise
    head = [f"{method} {path} HTTP/1.1", "Host: localhost", "Accept: */*"]
    head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    head += ["Connection: close"] if closes else []
    return "\r\n".join([*head, "", ""]).encode() + body


def _line(stream: BinaryIO) -> str:
    line = stream.readline(_LINE)
    if len(line) >= _LINE:
        raise Refused("a line of a request's head is too long")
    return line.decode("latin-1").rstrip("\r\n")


def _head(stream: BinaryIO, version: str) -> tuple[int, bool]:
    """The body's length in bytes, and whether the connection is to be closed afterwards."""
    length, closes = 0, version.strip() == "HTTP/1.0"
    for _ in range(_LINES):
        line = _line(stream)
        if not line:
            return length, closes
        name, _, value = line.partition(":")
        name, value = name.strip().lower(), value.strip()
        if name in ("transfer-encoding", "upgrade", "expect"):
            raise Refused(f"a request with {name} is not passed on")
        if name == "content-length":
            if not value.isascii() or not value.isdigit() or int(value) > _BODY:
                raise Refused(f"a request of {value[:20]} bytes is not passed on")
            length = int(value)
        closes = closes or (name == "connection" and value.lower() == "close")
    raise Refused("a request's head is too long")


def _allowed(data: bytes, models: Collection[str]) -> dict[str, Any]:
    """The body of a request, if it asks a model that may be asked. Raises Refused."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        raise Refused("a request whose body is no JSON is not passed on") from None
    if not isinstance(body, dict):
        raise Refused("a request whose body is no object is not passed on")
    asked = [body[key] for key in body if key.lower() in _NAMES]
    # The server takes keys for equal that differ in case, and the last one counts.
    if not asked or any(key not in _NAMES for key in body if key.lower() in _NAMES):
        raise Refused("a request must name its model once")
    for name in asked:
        if not isinstance(name, str) or known_as(name) not in models:
            raise Refused(
                f"the model {str(name)[:100]} may not be asked: models.lock did not have it when "
                "this process began"
            )
    return body


def _answer(why: str) -> bytes:
    body = json.dumps({"error": f"localagent's door refuses it: {why}"}).encode()
    head = "HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
