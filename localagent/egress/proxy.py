"""The door process: what joins a process without a network to the few servers that it may dial.

It is forked before the process leaves the network, and stays outside. It is then handed listening
sockets of the inside, one for each destination, and joins every connection to one with a
connection to that destination and no other (joining.py). What it may dial was fixed when it was
forked, and what may be asked of a server is looked at (asking.py). It ends with its parent.

Through it lead also the ports of this machine that commands in the sandbox may reach.

What it refuses is told to the inside, for the audit log: a line of JSON on a pipe, [number, server,
what, why]. A pipe that is full, since nobody reads it, drops lines; their numbers then lack.

A destination that does not answer is told as an HTTP answer with the header `REFUSED`, since a
connection to a door always succeeds.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NoReturn

from localagent.egress import ollama_filter, splice
from localagent.egress.attempts import Attempt
from localagent.egress.types import Destination

REFUSED = "x-localagent-door"
"""The header of the answer that says that nobody listens behind the door."""

_NOBODY = (
    f"HTTP/1.1 502 Bad Gateway\r\n{REFUSED}: nobody answers\r\n"
    "Content-Length: 0\r\nConnection: close\r\n\r\n"
).encode()


class Door:
    """The inside's end: forks the process, and hands it sockets. Those that lead to `servers` get
    an answer of HTTP where nobody is there; those to `ports` of this machine are dropped then."""

    def __init__(self, servers: Sequence[Destination], ports: Sequence[int] = ()) -> None:
        local = [Destination("127.0.0.1", port) for port in ports]
        self._destinations = [*servers, *local]
        # One descriptor stays open on purpose: when this process ends, its end tells the door.
        self._inside, outside = socket.socketpair()
        self._told, tell = os.pipe()
        os.set_blocking(self._told, False)
        os.set_blocking(tell, False)
        if os.fork() == 0:
            self._inside.close()
            _serve(self._destinations, len(servers), outside, tell)
        os.close(tell)
        outside.close()
        self._rest, self._last = b"", 0
        self._reading = threading.Lock()

    def open(self, place: Destination, listening: socket.socket) -> None:
        """Let connections to `listening` lead to `place`."""
        number = self._destinations.index(place)
        socket.send_fds(self._inside, [bytes([number])], [listening.fileno()])

    def refused(self) -> list[Attempt]:
        """What the process has refused since the last call."""
        with self._reading:
            try:
                while part := os.read(self._told, 1 << 16):
                    self._rest += part
            except OSError:
                pass  # nothing more for now
            *lines, self._rest = self._rest.split(b"\n")
            return [attempt for line in lines for attempt in self._attempts(line)]

    def _attempts(self, line: bytes) -> list[Attempt]:
        number, server, what, why = json.loads(line)
        lost, self._last = number - self._last - 1, number
        told = [(f"and {lost} more, which were too many to tell", "")] if lost else []
        return [
            Attempt(f"ask {server} for", one, "", reason or why, time.time(), "door to Ollama")
            for one, reason in (*told, (what, why))
        ]

    def close(self) -> None:
        """Hand over no more. The process ends where nothing was; else when this one ends."""
        self._inside.sendall(b"\xff")
        self._inside.detach()


def _serve(
    destinations: Sequence[Destination], servers: int, parent: socket.socket, tell: int
) -> NoReturn:
    """Be the door process."""
    try:
        splice.settle(parent.fileno(), tell)
        numbers = itertools.count(1)
        doors: dict[socket.socket, splice.Way] = {}
        while True:
            message, descriptors, _, _ = socket.recv_fds(parent, 1, 1)
            if not message or message == b"\xff":
                break
            number = message[0]
            place, inside = destinations[number], socket.socket(fileno=descriptors[0])
            doors[inside] = _server(place, tell, numbers) if number < servers else _port(place)
        if doors and message:
            splice.accept(doors, parent)
    finally:
        os._exit(0)


def _server(place: Destination, pipe: int, numbers: Iterator[int]) -> splice.Way:
    models = frozenset(map(ollama_filter.known_as, place.models))

    def tell(what: str, why: str) -> None:
        line = json.dumps([next(numbers), str(place), what, why]).encode()
        with contextlib.suppress(BlockingIOError):
            os.write(pipe, line + b"\n")  # shorter than PIPE_BUF, so that it is written whole

    between = partial(ollama_filter.pass_on, models=models, tell=tell)
    return (place.host, place.port), _nobody, between


def _port(place: Destination) -> splice.Way:
    return (place.host, place.port), splice.reset, splice.copy


def _nobody(inside: socket.socket) -> None:
    inside.sendall(_NOBODY)
    inside.shutdown(socket.SHUT_WR)
    inside.settimeout(splice.DIAL_SECONDS)
    while inside.recv(splice.CHUNK):  # what is unread would make the answer an error
        pass
