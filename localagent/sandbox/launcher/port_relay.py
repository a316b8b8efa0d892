"""The way from a command's own network to the ports of this machine that the user allowed.

A relay process is forked before the command's network is made, and stays outside of it. It is
handed sockets that listen inside, on the same ports of 127.0.0.1, and joins each connection to one
with a connection to that port, and to nothing else (egress/splice.py). So inside there is no route,
no other port and no other protocol. It ends with the launcher, whose part it is: standard library
alone, and imported only where there are ports.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Sequence
from typing import NoReturn

from localagent.egress import splice
from localagent.linux import syscalls

HAND_OVER = """
import os, socket, sys
there = socket.socket(fileno=int(sys.argv[1]))
made = [socket.create_server(("127.0.0.1", int(port))) for port in sys.argv[2].split(",")]
socket.send_fds(there, [b"+"], [each.fileno() for each in made])
there.close()
os.execv(sys.argv[3], sys.argv[3:])
"""
"""The same as `listen` for a program inside, which then becomes another one. Arguments: the
descriptor of the relay, the ports with commas, and the program with its arguments."""


class Relay:
    """The launcher's end. `inside` is where the listening sockets are handed over."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports
        self.inside, outside = socket.socketpair()
        if os.fork() == 0:
            self.inside.close()
            _serve(ports, outside)
        outside.close()

    def listen(self) -> None:
        """Listen in the network that this process is in now. Raises OSError."""
        made = [socket.create_server(("127.0.0.1", port)) for port in self._ports]
        socket.send_fds(self.inside, [b"+"], [each.fileno() for each in made])
        for each in made:
            each.close()


def _serve(ports: Sequence[int], parent: socket.socket) -> NoReturn:
    """Be the relay process."""
    try:
        syscalls.die_with_parent(signal.SIGKILL)
        splice.settle(parent.fileno())
        message, descriptors, _, _ = socket.recv_fds(parent, 1, len(ports))
        if message:
            made = [socket.socket(fileno=descriptor) for descriptor in descriptors]
            places = [(("127.0.0.1", port), splice.reset, splice.copy) for port in ports]
            splice.accept(dict(zip(made, places, strict=True)), parent)
    finally:
        os._exit(0)
