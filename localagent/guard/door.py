"""The door process: what joins a process without a network to the few servers that it may dial.

It is forked before the process leaves the network, and stays outside. It is then handed listening
sockets of the inside, one for each destination, and joins every connection to one with a
connection to that destination and no other. What it may dial was fixed when it was forked. It
ends with its parent.

A destination that does not answer is told as an HTTP answer with the header `REFUSED`, since a
connection to a door always succeeds.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
from typing import NoReturn

from localagent.guard.egress import Destination

REFUSED = "x-localagent-door"
"""The header of the answer that says that nobody listens behind the door."""

_CHUNK = 64 << 10  # bytes
_DIAL = 10.0  # seconds
_NOBODY = (
    f"HTTP/1.1 502 Bad Gateway\r\n{REFUSED}: nobody answers\r\n"
    "Content-Length: 0\r\nConnection: close\r\n\r\n"
).encode()


class Door:
    """The inside's end: forks the process, and hands it sockets."""

    def __init__(self, destinations: tuple[Destination, ...]) -> None:
        self._destinations = destinations
        # One descriptor stays open on purpose: when this process ends, its end tells the door.
        self._inside, outside = socket.socketpair()
        if os.fork() == 0:
            self._inside.close()
            _serve(destinations, outside)
        outside.close()

    def open(self, place: Destination, listening: socket.socket) -> None:
        """Let connections to `listening` lead to `place`."""
        number = self._destinations.index(place)
        socket.send_fds(self._inside, [bytes([number])], [listening.fileno()])

    def close(self) -> None:
        """Hand over no more. The process ends where nothing was; else when this one ends."""
        self._inside.sendall(b"\xff")
        self._inside.detach()


def _serve(destinations: tuple[Destination, ...], parent: socket.socket) -> NoReturn:
    """Be the door process."""
    try:
        _settle(parent)
        doors: dict[socket.socket, Destination] = {}
        while True:
            message, descriptors, _, _ = socket.recv_fds(parent, 1, 1)
            if not message or message == b"\xff":
                break
            doors[socket.socket(fileno=descriptors[0])] = destinations[message[0]]
        if doors and message:
            _accept(doors, parent)
    finally:
        os._exit(0)


def _settle(parent: socket.socket) -> None:
    """Let go of everything that was the parent's: terminal, signals, files, folder."""
    os.setsid()
    for signalled in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(signalled, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    kept = parent.fileno()
    os.closerange(3, kept)
    os.closerange(kept + 1, 1 << 16)
    os.chdir("/")


def _accept(doors: dict[socket.socket, Destination], parent: socket.socket) -> None:
    """Take connections until the parent is gone."""
    while True:
        ready, _, _ = select.select([*doors, parent], [], [])
        if parent in ready:  # nothing more is sent, so this is its end
            return
        for listening in ready:
            inside, _ = listening.accept()
            work = (inside, doors[listening])
            threading.Thread(target=_join, args=work, daemon=True).start()


def _join(inside: socket.socket, place: Destination) -> None:
    """Join one connection with one to `place`, until either side ends it."""
    with inside, contextlib.suppress(OSError):
        try:
            outside = socket.create_connection((place.host, place.port), _DIAL)
        except OSError:
            inside.sendall(_NOBODY)
            inside.shutdown(socket.SHUT_WR)
            inside.settimeout(_DIAL)
            while inside.recv(_CHUNK):  # what is unread would make the answer an error
                pass
            return
        with outside:
            outside.settimeout(None)
            _copy(inside, outside)


def _copy(one: socket.socket, other: socket.socket) -> None:
    facing = {one: other, other: one}
    while True:
        ready, _, _ = select.select(list(facing), [], [])
        for source in ready:
            data = source.recv(_CHUNK)
            if not data:
                return
            facing[source].sendall(data)
