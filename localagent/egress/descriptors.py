"""Pass one descriptor from a forked child to its parent, through a pair of unix sockets.

The launcher of commands uses this module, so it needs only the standard library. The sockets have
no address, and no other process can reach them.
"""

from __future__ import annotations

import os
import socket


class DescriptorPair:
    """A pair of sockets; make it before the fork."""

    def __init__(self) -> None:
        self._parent, self._child = socket.socketpair()

    def send(self, descriptor: int) -> None:
        """Send a descriptor, in the child. Raises OSError."""
        socket.send_fds(self._child, [b"1"], [descriptor])

    def receive(self) -> int | None:
        """Return the child's descriptor, in the parent; None if the child sends none.

        Waits until the child sends, ends, or becomes another program.
        """
        self._child.close()
        with self._parent as parent:
            _, descriptors, _, _ = socket.recv_fds(parent, 1, 1)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        return descriptors[0] if descriptors else None
