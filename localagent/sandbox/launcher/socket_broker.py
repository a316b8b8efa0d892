# ruff: noqa: PTH115
# (the launcher starts quickly, and pathlib is slow to import)
"""The broker of sandboxes with namespaces: connects a command's sockets, but to no other program's.

Sockets in the file system belong to no network namespace, and a read-only mount does not protect
them. So the kernel suspends each connect(2) of a command. The broker connects a socket in the file
system only if it lies on a mount that belongs to the sandbox, where only the command makes sockets.
It makes all other connections too, since the arguments could change after the check; the network
namespace of the socket confines them.

The broker runs in the launcher and needs only the standard library.
"""

from __future__ import annotations

import errno
import os
import struct

from localagent.linux import procfs, seccomp
from localagent.linux import syscalls as sys_
from localagent.sandbox.launcher.syscall_broker import (
    SO_DOMAIN,
    Caller,
    SyscallRefusal,
    answer_call,
    connect_or_give_up,
)

_UNIX = 1
_LONGEST = 128  # bytes of an address


class SocketBroker:
    """Serves the calls that arrive at `listener`; `mounts` are the sandbox's own mount points."""

    def __init__(self, listener: int, mounts: list[str]) -> None:
        self.listener = listener
        self._mounts = mounts
        self.refused = 0  # connections to sockets of other programs

    def serve(self) -> None:
        """Answer one call; do nothing if the process of the announced call has ended."""
        answer_call(self.listener, self._connect)

    def _connect(self, _call: int, caller: Caller, arguments: tuple[int, ...]) -> None:
        size = arguments[2] & 0xFFFFFFFF
        if size > _LONGEST:
            raise SyscallRefusal(errno.EINVAL, "address")
        address = caller.memory(arguments[1], size) if size else b""
        descriptor = caller.descriptor(arguments[0])
        target = -1
        try:
            name = address[2:].partition(b"\0")[0]
            if sys_.socket_option(descriptor, SO_DOMAIN) == _UNIX and name:
                target = self._open(caller, name)
                address = struct.pack("=H", _UNIX) + b"/proc/self/fd/%d\0" % target
            connect_or_give_up(descriptor, address)
        finally:
            os.close(descriptor)
            if target >= 0:
                os.close(target)

    def _open(self, caller: Caller, name: bytes) -> int:
        """Open a socket's file as the caller sees it. Raises SyscallRefusal for other programs'."""
        root = os.open(f"/proc/{caller.pid}/root", os.O_PATH | os.O_CLOEXEC)
        try:
            folder = os.fsencode(os.readlink(f"/proc/{caller.pid}/cwd"))
            target = sys_.open_in_root(root, os.path.join(folder, name))  # noqa: PTH118
        finally:
            os.close(root)
        points = procfs.mount_points(caller.pid)
        if procfs.mount_of(target) not in {points.get(point) for point in self._mounts}:
            os.close(target)
            self.refused += 1
            raise SyscallRefusal(errno.EACCES, "a socket of another program")
        return target


class BrokerPipes:
    """Pipes by which a child process gives the launcher its broker's descriptor.

    `mounts` are the sandbox's own mount points.
    """

    def __init__(self, mounts: list[str]) -> None:
        self._mounts = mounts
        self._filter = seccomp.connect_program()
        self._request, self._request_writer = os.pipe()
        self._answer, self._answer_writer = os.pipe()

    def enter(self) -> None:
        """Leave connect(2) to the broker, in the child; return when the broker is ready.

        Raises OSError if the launcher ended or could not take the descriptor.
        """
        if self._filter is None:
            return  # no filter on system calls exists for this machine
        os.close(self._answer_writer)  # so that the end of the launcher ends the wait below
        sys_.allow_ptrace()
        listener = sys_.seccomp_install(self._filter, listen=True)
        os.write(self._request_writer, b"%d" % listener)
        if os.read(self._answer, 1) != b"1":
            raise OSError(errno.ECHILD, "no broker for connections")

    def close(self) -> None:
        """Close the pipes in a process between the launcher and the child."""
        for end in (self._request, self._request_writer, self._answer, self._answer_writer):
            os.close(end)

    def broker(self, parent: int, child: int = 0) -> SocketBroker | None:
        """Return the broker, in the launcher; None if the child ended or has no filter.

        `child` is the process that calls `enter`; 0 means the only child of `parent`.
        """
        os.close(self._request_writer)
        os.close(self._answer)
        number = os.read(self._request, 16) if self._filter is not None else b""
        if not number:
            return None
        processes = [child] if child else procfs.descendants(parent)[1:]
        if not processes:
            return None
        process = os.pidfd_open(processes[0])
        listener = sys_.take_descriptor(process, int(number))
        os.close(process)
        os.write(self._answer_writer, b"1")
        os.close(self._answer_writer)
        return SocketBroker(listener, self._mounts)
