"""Joining connections across the border of a network, for the door and the relay.

Both are processes that stay outside, get listening sockets of the inside, and join each connection
to one with a connection that they make themselves. What they may dial was fixed when they were
forked. Standard library alone, as the relay runs in the launcher of commands.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
from collections.abc import Callable, Mapping

CHUNK = 64 << 10  # bytes
DIAL_SECONDS = 10.0
_MOST = 256  # connections at a time, so that nobody inside can use up what is outside
_RESET = b"\1\0\0\0\0\0\0\0"  # struct linger: closing drops the connection at once

Nobody = Callable[[socket.socket], None]
"""What is said to the inside where nobody answers outside."""

Between = Callable[[socket.socket, socket.socket], None]
"""What carries bytes between the inside and the outside, until either ends it."""

Way = tuple[tuple[str, int], Nobody, Between]
"""Where the connections of a door lead, what is said where nobody answers there, and what carries
the bytes."""


def settle(*kept: int) -> None:
    """Let go of everything that was the parent's: terminal, signals, files, folder; but not of the
    descriptors `kept`."""
    os.setsid()
    for signalled in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(signalled, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    first = 3
    for number in sorted(kept):
        os.closerange(first, number)
        first = number + 1
    os.closerange(first, 1 << 16)
    os.chdir("/")


def accept(doors: Mapping[socket.socket, Way], parent: socket.socket) -> None:
    """Take connections until the parent is gone; `doors` are the listening sockets."""
    free = threading.BoundedSemaphore(_MOST)

    def work(inside: socket.socket, way: Way) -> None:
        try:
            _join(inside, *way)
        finally:
            free.release()

    while True:
        ready, _, _ = select.select([*doors, parent], [], [])
        if parent in ready:  # nothing more is sent, so this is its end
            return
        for listening in ready:
            try:
                inside, _ = listening.accept()
            except OSError:
                continue  # it was taken back
            free.acquire()
            thread = threading.Thread(target=work, args=(inside, doors[listening]), daemon=True)
            thread.start()


def reset(inside: socket.socket) -> None:
    """Have the inside see a connection that was dropped; it was accepted, so it cannot be refused
    any more."""
    inside.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def _join(inside: socket.socket, place: tuple[str, int], nobody: Nobody, between: Between) -> None:
    """Join one connection with one to `place`, until both directions have ended."""
    with inside, contextlib.suppress(OSError):
        try:
            outside = socket.create_connection(place, DIAL_SECONDS)
        except OSError:
            nobody(inside)
            return
        with outside:
            outside.settimeout(None)
            between(inside, outside)


def copy(one: socket.socket, other: socket.socket) -> None:
    """Copy in both directions until both have ended."""
    facing = {one: other, other: one}
    while facing:
        ready, _, _ = select.select(list(facing), [], [])
        for source in ready:
            data = source.recv(CHUNK)
            if data:
                facing[source].sendall(data)
            else:  # this direction has ended; an answer may still come in the other one
                facing.pop(source).shutdown(socket.SHUT_WR)
