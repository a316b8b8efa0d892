"""Splice connections across the border of a network namespace.

The egress proxy and the port relay both stay outside of a namespace and take listening sockets from
inside. Proxy and relay splice each connection from inside to a connection that they open outside.
Their destinations are fixed before they fork. The port relay runs in the launcher of commands, so
this module needs only the standard library.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, NoReturn

CHUNK = 64 << 10  # bytes
CONNECT_SECONDS = 10.0
_MAX_CONNECTIONS = 256  # at a time, so that programs inside cannot exhaust descriptors outside
_RESET = b"\1\0\0\0\0\0\0\0"  # struct linger: closing drops the connection at once


class Route(NamedTuple):
    """The destination of the connections to one listening socket.

    `on_unreachable` answers the client inside if no server listens at `address`. `transfer` copies
    bytes between client and server, until one of them ends the connection.
    """

    address: tuple[str, int]
    on_unreachable: Callable[[socket.socket], None]
    transfer: Callable[[socket.socket, socket.socket], None]


def detach(*kept: int) -> None:
    """Give up the parent's terminal, signals, folder and descriptors, except for `kept`."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    first = 3
    for descriptor in sorted(kept):
        os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, 1 << 16)
    os.chdir("/")


def serve(routes: Mapping[socket.socket, Route], parent: socket.socket) -> None:
    """Accept connections until `parent` closes; the keys of `routes` are listening sockets."""
    slots = threading.BoundedSemaphore(_MAX_CONNECTIONS)

    def work(inside: socket.socket, route: Route) -> None:
        try:
            _splice(inside, route)
        finally:
            slots.release()

    while True:
        ready, _, _ = select.select([*routes, parent], [], [])
        if parent in ready:  # the parent sends nothing here, so it has ended
            return
        for listener in ready:
            try:
                inside, _ = listener.accept()
            except OSError:
                continue  # the client closed the connection already
            slots.acquire()
            threading.Thread(target=work, args=(inside, routes[listener]), daemon=True).start()


def reset(inside: socket.socket) -> None:
    """Reset a connection: after accept(2) this is the nearest thing to a refusal."""
    inside.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def _splice(inside: socket.socket, route: Route) -> None:
    with inside, contextlib.suppress(OSError):
        try:
            outside = socket.create_connection(route.address, CONNECT_SECONDS)
        except OSError:
            route.on_unreachable(inside)
            return
        with outside:
            outside.settimeout(None)
            route.transfer(inside, outside)


def copy_both_ways(one: socket.socket, other: socket.socket) -> None:
    """Copy bytes in both directions until both directions have ended."""
    peers = {one: other, other: one}
    while peers:
        ready, _, _ = select.select(list(peers), [], [])
        for source in ready:
            data = source.recv(CHUNK)
            if data:
                peers[source].sendall(data)
            else:  # this direction has ended; bytes may still come in the other direction
                peers.pop(source).shutdown(socket.SHUT_WR)


# The port relay connects a command's own network to ports of this machine that the user allowed.

HAND_OVER = """
import os, socket, sys
relay = socket.socket(fileno=int(sys.argv[1]))
listeners = [socket.create_server(("127.0.0.1", int(port))) for port in sys.argv[2].split(",")]
socket.send_fds(relay, [b"+"], [each.fileno() for each in listeners])
relay.close()
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Python source that does the work of `PortRelay.listen` inside, then executes another program.

The program's arguments are the relay's descriptor, comma-separated ports, and the program with
arguments.
"""


class PortRelay:
    """A process outside of a command's network that splices connections to `ports` of 127.0.0.1.

    The command's network has no route, no other port and no other protocol. The listening sockets
    are passed over the socket `inside`. `on_start` runs first in the new process.
    """

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports
        self.inside, outside = socket.socketpair()
        if os.fork() == 0:
            self.inside.close()
            _relay(ports, outside)
        outside.close()

    def listen(self) -> None:
        """Listen in the network namespace of this process. Raises OSError."""
        listeners = [socket.create_server(("127.0.0.1", port)) for port in self._ports]
        socket.send_fds(self.inside, [b"+"], [each.fileno() for each in listeners])
        for listener in listeners:
            listener.close()


def _relay(ports: Sequence[int], parent: socket.socket) -> NoReturn:
    from localagent.linux import syscalls  # works on Linux only

    try:
        syscalls.die_with_parent(signal.SIGKILL)
        detach(parent.fileno())
        message, descriptors, _, _ = socket.recv_fds(parent, 1, len(ports))
        if message:
            listeners = [socket.socket(fileno=descriptor) for descriptor in descriptors]
            routes = [Route(("127.0.0.1", port), reset, copy_both_ways) for port in ports]
            serve(dict(zip(listeners, routes, strict=True)), parent)
    finally:
        os._exit(0)
