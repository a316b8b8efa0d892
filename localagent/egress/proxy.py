"""The egress proxy: connects a process without a network to the few servers that it may use.

The proxy forks off before the process leaves the network, and stays outside. The process then gives
the proxy one listening socket for each destination. The proxy splices every connection on a socket
to the socket's destination, and to no other (splice.py). The destinations are fixed before the
proxy forks. Requests to model servers pass a filter (request_filter.py), also those that
leave the machine by TLS (tls.py). The proxy ends when its parent ends.

Commands in the sandbox reach their allowed ports of this machine through the proxy as well.

The proxy reports refused requests as lines of JSON on a pipe: [number, server, request, reason]. If
nobody reads and the pipe is full, the proxy drops lines; the numbers show the gap.

A connection to the proxy always succeeds. If the server behind it does not answer, the proxy sends
an HTTP answer with the header `UNREACHABLE`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NoReturn

from localagent.egress import Destination, request_filter, splice
from localagent.egress.blocked import BlockedConnection

UNREACHABLE = "x-localagent-egress-proxy"
"""Header of an HTTP answer that says that no server listens at the destination, or why TLS with it
failed."""

_NO_SERVER = "no server answers behind the egress proxy"
_END = b"\xff"  # the message that says that no socket follows


class EgressProxy:
    """The proxy's end in this process: forks the proxy process and gives it listening sockets.

    If no server listens, a connection to one of `servers` gets an HTTP answer, and a connection to
    one of `ports` of this machine is dropped.
    """

    def __init__(self, servers: Sequence[Destination], ports: Sequence[int] = ()) -> None:
        local = [Destination("127.0.0.1", port) for port in ports]
        self._destinations = [*servers, *local]
        # This process keeps one descriptor open; when the descriptor closes, the proxy ends.
        self._inside, outside = socket.socketpair()
        self._reports, writer = os.pipe()
        os.set_blocking(self._reports, False)
        os.set_blocking(writer, False)
        if os.fork() == 0:
            self._inside.close()
            _serve(self._destinations, len(servers), outside, writer)
        os.close(writer)
        outside.close()
        self._partial_line, self._last_number = b"", 0
        self._reading = threading.Lock()

    def forward(self, listener: socket.socket, destination: Destination) -> None:
        """Make the proxy splice connections to `listener` to `destination`."""
        number = self._destinations.index(destination)
        socket.send_fds(self._inside, [bytes([number])], [listener.fileno()])

    def drain_blocked(self) -> list[BlockedConnection]:
        """Return the requests that the proxy refused since the last call."""
        with self._reading:
            data = self._partial_line
            with contextlib.suppress(OSError):  # nothing left to read
                while part := os.read(self._reports, 1 << 16):
                    data += part
            *lines, self._partial_line = data.split(b"\n")
            return [connection for line in lines for connection in self._parse(line)]

    def _parse(self, line: bytes) -> list[BlockedConnection]:
        number, server, request, reason = json.loads(line)
        lost, self._last_number = number - self._last_number - 1, number
        requests = [(request, reason)]
        if lost:
            requests.insert(0, (f"and {lost} more requests, too many to record", ""))
        return [
            BlockedConnection(
                f"ask {server} for", text, "", why or reason, time.time(), "egress proxy"
            )
            for text, why in requests
        ]

    def close(self) -> None:
        """Give no more sockets. Without any socket the proxy ends now, else with this process."""
        self._inside.sendall(_END)
        self._inside.detach()


def _serve(
    destinations: Sequence[Destination], servers: int, parent: socket.socket, reports: int
) -> NoReturn:
    """Run the proxy process. The first `servers` destinations are servers, the others are ports."""
    try:
        splice.detach(parent.fileno(), reports)
        numbers = itertools.count(1)
        routes: dict[socket.socket, splice.Route] = {}
        while True:
            message, descriptors, _, _ = socket.recv_fds(parent, 1, 1)
            if not message or message == _END:
                break
            number = message[0]
            destination, listener = destinations[number], socket.socket(fileno=descriptors[0])
            routes[listener] = (
                _server_route(destination, reports, numbers)
                if number < servers
                else splice.Route(
                    (destination.host, destination.port), splice.reset, splice.copy_both_ways
                )
            )
        if routes and message:
            splice.serve(routes, parent)
    finally:
        os._exit(0)


def _server_route(destination: Destination, reports: int, numbers: Iterator[int]) -> splice.Route:
    def report(request: str, reason: str) -> None:
        line = json.dumps([next(numbers), str(destination), request, reason]).encode()
        with contextlib.suppress(BlockingIOError):
            os.write(reports, line + b"\n")  # shorter than PIPE_BUF, so the write is atomic

    rules = request_filter.rules_for(destination)
    pass_requests = partial(request_filter.filter_requests, rules=rules, report=report)
    transfer = partial(_transfer_by_tls, destination, pass_requests)
    return splice.Route(
        (destination.host, destination.port),
        _answer_unreachable,
        transfer if destination.tls else pass_requests,
    )


def _transfer_by_tls(
    destination: Destination,
    pass_requests: Callable[[socket.socket, request_filter.Connection], None],
    inside: socket.socket,
    outside: socket.socket,
) -> None:
    """Pass the requests to a server that speaks TLS."""
    import ssl  # slow to import

    from localagent.egress.tls import TlsSocket, tls_context

    try:
        outside.settimeout(splice.CONNECT_SECONDS)
        encrypted = TlsSocket(outside, tls_context(destination.ca), destination.host)
        outside.settimeout(None)
    except (ssl.SSLError, OSError) as error:
        _answer_unreachable(inside, f"TLS: {ascii(str(error))[1:-1][:200]}")
        return
    pass_requests(inside, encrypted)


def _answer_unreachable(inside: socket.socket, reason: str = _NO_SERVER) -> None:
    head = f"HTTP/1.1 502 Bad Gateway\r\n{UNREACHABLE}: {reason}\r\n"
    inside.sendall(f"{head}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
    inside.shutdown(socket.SHUT_WR)
    inside.settimeout(splice.CONNECT_SECONDS)
    while inside.recv(splice.CHUNK):  # unread bytes would turn the answer into an error
        pass
