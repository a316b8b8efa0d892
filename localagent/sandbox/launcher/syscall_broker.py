# ruff: noqa: PTH101, PTH115
# (the launcher starts quickly, and pathlib is slow to import)
"""The broker: makes or refuses those system calls of a command that Landlock does not check.

Landlock lets a command change the mode, owner and times of every file that the command can name,
and connect to every socket in the file system. Landlock's rules for TCP have ports but no
addresses. The kernel also does not count the processes of root. So the kernel suspends these calls
of a command (seccomp_unotify(2)). The broker, outside the sandbox, makes a call in the command's
place or refuses it.

The broker never continues a call with arguments in memory: another thread could change them after
the check. The broker continues calls with all arguments in registers, and calls that Landlock
checks too. Requests for forbidden kinds of sockets reach the broker only so that it counts them.

The broker runs in the launcher and needs only the standard library. It serves one call at a time,
and never a call that can block for long.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import struct
from collections.abc import Callable

from localagent.core.loopback import LOOPBACK4, LOOPBACK6, is_packed_loopback
from localagent.linux import procfs
from localagent.linux import syscalls as sys_
from localagent.linux.seccomp import (
    BROKERED,
    BROKERED_SIGNALS,
    BROKERED_TRUNCATE,
    COUNTED,
    number,
)

_RECEIVE, _SEND, _IS_VALID = 0xC0502100, 0xC0182101, 0x40082102  # SECCOMP_IOCTL_NOTIF_*
_CALL = struct.Struct("=QIIiIQ6Q")  # struct seccomp_notif
_ANSWER = struct.Struct("=QqiI")  # struct seccomp_notif_resp
_CONTINUE = 1

_AT_FDCWD, _AT_SYMLINK_NOFOLLOW, _AT_EMPTY_PATH = -100, 0x100, 0x1000
_PIDFD_THREAD = 0o200  # O_EXCL: any thread of a process, not only the first (Linux 6.9)
_PATH_MAX = 4096
_PERMISSIONS = 0o1777  # no set-user-id bits, since the files lie on the real disk
_SO_ERROR, SO_DOMAIN = 4, 39
_UNIX, _INET, _INET6, _NETLINK, _PACKET = 1, 2, 10, 16, 17
_DGRAM, _RAW = 2, 3
_PROTOCOLS = {1: "ICMP", 58: "ICMP", 132: "SCTP", 262: "MPTCP"}
_MAPPED = bytes(10) + b"\xff\xff"
_WAIT_MS = 1000

_Arguments = tuple[int, ...]
_Handler = Callable[["Caller", _Arguments], None]


class SyscallRefusal(OSError):
    """A call that the command may not make; the kernel reports its errno."""


class Broker:
    """Serves the calls that arrive at `listener`.

    `roots` are the resolved folders in which the command may change anything. `ports` are the ports
    of 127.0.0.1 to which the command may connect. `limit` bounds the number of the command's
    processes (0: no limit).
    """

    def __init__(self, listener: int, roots: list[str], ports: list[int], limit: int) -> None:
        self.listener = listener
        self._roots = roots
        self._limit = limit
        self._forks = limit  # so that the first new process triggers a count
        files = _Files(self._inside)
        self._sockets = _Sockets(self._inside, set(ports))
        handlers: dict[str, _Handler] = {**files.handlers(), **self._sockets.handlers()}
        handlers |= _signal_handlers()
        assert set(handlers) == {*BROKERED, *BROKERED_SIGNALS, *BROKERED_TRUNCATE, *COUNTED}
        self._handlers = {n: handlers[name] for name in handlers if (n := number(name)) is not None}

    @property
    def refused_connections(self) -> int:
        """The number of refused connections to other machines."""
        return self._sockets.refused_connections

    @property
    def refused_sockets(self) -> str:
        """The refused sockets in words, such as "2 UDP, 1 raw"; "" for none."""
        return ", ".join(f"{n} {kind}" for kind, n in sorted(self._sockets.refused_kinds.items()))

    def serve(self) -> None:
        """Answer one call; do nothing if the process of the announced call has ended."""
        answer_call(self.listener, self._handle)

    def _handle(self, call: int, caller: Caller, arguments: _Arguments) -> None:
        handler = self._handlers.get(call)
        if handler is None:
            self._fork()
            raise _Continue
        handler(caller, arguments)

    def _fork(self) -> None:
        """Count a new process or thread; recount at the limit, to drop those that ended."""
        self._forks += 1
        if self._limit and self._forks > self._limit:
            self._forks = procfs.count_tasks(os.getpid()) + 1
            if self._forks > self._limit:
                raise SyscallRefusal(errno.EAGAIN, "too many processes")

    def _inside(self, descriptor: int) -> None:
        """Raise SyscallRefusal for a file outside of `roots`.

        A command cannot move a file into or out of `roots`, so a file inside stays inside.
        """
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if not any(path == root or path.startswith(f"{root}/") for root in self._roots):
            raise SyscallRefusal(errno.EPERM, "outside of the snapshot")


def answer_call(listener: int, handle: Callable[[int, Caller, _Arguments], None]) -> None:
    """Receive a call at `listener`, handle it, and answer with success or the raised OSError."""
    buffer = ctypes.create_string_buffer(_CALL.size)
    try:
        sys_.ioctl(listener, _RECEIVE, buffer)
    except OSError:
        return  # the caller's process ended
    identity, pid, _, call, _, _, *arguments = _CALL.unpack(buffer.raw)
    error, flags = 0, 0
    try:
        handle(call, Caller(listener, identity, pid), tuple(arguments))
    except _Continue:
        flags = _CONTINUE
    except OSError as failed:
        error = failed.errno or errno.EPERM
    answer = ctypes.create_string_buffer(_ANSWER.pack(identity, 0, -error, flags), _ANSWER.size)
    try:
        sys_.ioctl(listener, _SEND, answer)
    except OSError:
        pass  # the caller's process ended


class _Continue(Exception):
    """Raised if the kernel may continue the call; Landlock then decides on the call."""


class Caller:
    """The thread that made a call. Methods return copies of the thread's memory and descriptors."""

    def __init__(self, listener: int, identity: int, pid: int) -> None:
        self._listener = listener
        self._identity = identity
        self.pid = pid

    def memory(self, address: int, count: int) -> bytes:
        """Raises OSError."""
        if not address:
            raise SyscallRefusal(errno.EFAULT, "no address")
        data = sys_.read_memory(self.pid, address, count)
        self._still_there()
        return data

    def text(self, address: int) -> bytes:
        """Return the bytes up to a zero. Raises OSError."""
        page = 4096
        data = b""
        while b"\0" not in data:
            if len(data) > _PATH_MAX:
                raise SyscallRefusal(errno.ENAMETOOLONG, "path")
            data += self.memory(address + len(data), page - (address + len(data)) % page)
        return data[: data.index(b"\0")]

    def descriptor(self, number: int) -> int:
        """Return a copy of one of the thread's descriptors; the user of the copy closes it."""
        try:
            process = os.pidfd_open(self.pid, _PIDFD_THREAD)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            process = os.pidfd_open(procfs.process_of(self.pid))  # before Linux 6.9
        try:
            self._still_there()
            return sys_.take_descriptor(process, _signed(number))
        finally:
            os.close(process)

    def path(self, folder: int, name: bytes, flags: int = 0) -> int:
        """Open a path as the thread sees it; the user of the descriptor (O_PATH) closes it."""
        folder = _signed(folder)
        how = os.O_PATH | os.O_CLOEXEC | (os.O_NOFOLLOW if flags & _AT_SYMLINK_NOFOLLOW else 0)
        proc = b"/proc/%d/" % self.pid
        for prefix in (b"/proc/self/", b"/proc/thread-self/"):
            if name.startswith(prefix):
                name = proc + name[len(prefix) :]
        if not name:
            if not flags & _AT_EMPTY_PATH or folder == _AT_FDCWD:
                raise SyscallRefusal(errno.ENOENT, "no path")
            return self.descriptor(folder)
        start = proc + (b"cwd" if folder == _AT_FDCWD else b"fd/%d" % folder)
        base = os.open("/" if name.startswith(b"/") else start, os.O_PATH | os.O_CLOEXEC)
        try:
            self._still_there()
            return os.open(name, how, dir_fd=base)
        finally:
            os.close(base)

    def _still_there(self) -> None:
        """Raise OSError if the thread ended, since another thread may then have its number."""
        sys_.ioctl(
            self._listener,
            _IS_VALID,
            ctypes.create_string_buffer(struct.pack("=Q", self._identity), 8),
        )


class _Files:
    """Changes modes, owners and times of files, but only of files inside `roots`."""

    def __init__(self, inside: Callable[[int], None]) -> None:
        self._inside = inside

    def handlers(self) -> dict[str, _Handler]:
        here = _AT_FDCWD
        mode, owner = self._mode, self._owner
        return {
            "chmod": lambda c, a: self._at(c, here, a[0], 0, mode(a[1])),
            "fchmod": lambda c, a: self._on(c.descriptor(a[0]), mode(a[1])),
            "fchmodat": lambda c, a: self._at(c, a[0], a[1], 0, mode(a[2])),
            "fchmodat2": lambda c, a: self._at(c, a[0], a[1], a[3], mode(a[2])),
            "chown": lambda c, a: self._at(c, here, a[0], 0, owner(a[1], a[2])),
            "lchown": lambda c, a: self._at(c, here, a[0], _AT_SYMLINK_NOFOLLOW, owner(a[1], a[2])),
            "fchown": lambda c, a: self._on(c.descriptor(a[0]), owner(a[1], a[2])),
            "fchownat": lambda c, a: self._at(c, a[0], a[1], a[4], owner(a[2], a[3])),
            "utimensat": self._times,
            "truncate": lambda c, a: self._at(c, here, a[0], 0, lambda p: os.truncate(p, a[1])),
        }

    @staticmethod
    def _mode(mode: int) -> Callable[[str], None]:
        return lambda path: os.chmod(path, mode & _PERMISSIONS)

    @staticmethod
    def _owner(user: int, group: int) -> Callable[[str], None]:
        return lambda path: os.chown(path, _signed(user), _signed(group))

    def _times(self, caller: Caller, arguments: _Arguments) -> None:
        folder, name, address, flags, *_ = arguments
        times = caller.memory(address, 32) if address else None

        def act(path: str) -> None:
            sys_.set_times(path, times)

        if name:
            self._at(caller, folder, name, flags, act)
        else:
            self._on(caller.descriptor(folder), act)

    def _at(
        self, caller: Caller, folder: int, name: int, flags: int, act: Callable[[str], None]
    ) -> None:
        self._on(caller.path(folder, caller.text(name), flags), act)

    def _on(self, descriptor: int, act: Callable[[str], None]) -> None:
        try:
            self._inside(descriptor)
            act(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)


def _signal_handlers() -> dict[str, _Handler]:
    """Handlers that let a command send signals only to its own processes."""
    return {
        "kill": lambda _, a: _check_signal(_signed(a[0])),
        "tkill": lambda _, a: _check_signal(procfs.process_of(_signed(a[0]))),
        "tgkill": lambda _, a: _check_signal(procfs.process_of(_signed(a[1]))),
        "rt_sigqueueinfo": lambda _, a: _check_signal(_signed(a[0])),
        "rt_tgsigqueueinfo": lambda _, a: _check_signal(procfs.process_of(_signed(a[1]))),
        "pidfd_send_signal": _check_pidfd,
    }


def _check_signal(target: int) -> None:
    """Raise _Continue for a process of the command, or for a process group of it.

    0 means the caller's own group, which holds only the command's processes. -1 means every
    process, and is refused.
    """
    own = procfs.descendants(os.getpid())[1:]
    if target == 0 or target in own:
        raise _Continue
    if target < -1 and any(os.getpgid(pid) == -target for pid in own):
        raise _Continue
    raise SyscallRefusal(errno.EPERM, "another program's process")


def _check_pidfd(caller: Caller, arguments: _Arguments) -> None:
    descriptor = caller.descriptor(arguments[0])
    try:
        with open(f"/proc/self/fdinfo/{descriptor}") as file:  # noqa: PTH123
            rows = dict(line.split(":", 1) for line in file)
    finally:
        os.close(descriptor)
    _check_signal(int(rows.get("Pid", "-1")))


class _Sockets:
    """Connects to unix sockets inside `roots`, to the command's own servers, and to allowed ports.

    Servers listen only on the loopback interface, even if they bind to all interfaces, and not on
    allowed ports, where other programs of this machine expect a server of theirs.
    """

    def __init__(self, inside: Callable[[int], None], ports: set[int]) -> None:
        self._inside = inside
        self._allowed = {(LOOPBACK4, port) for port in ports}
        self._bound: set[tuple[bytes, int]] = set()  # addresses of the command's own servers
        self.refused_connections = 0  # connections to other machines
        self.refused_kinds: dict[str, int] = {}  # kinds of refused sockets, with their numbers

    def handlers(self) -> dict[str, _Handler]:
        return {
            "connect": self._connect,
            "bind": self._bind,
            "listen": self._listen,
            "socket": self._socket,
            **dict.fromkeys(("sendto", "sendmsg", "sendmmsg"), self._send),
        }

    def _socket(self, _: Caller, arguments: _Arguments) -> None:
        """Refuse and count a socket of a forbidden kind; the filter handles all other kinds."""
        family, kind, protocol = (value & 0xFFFFFFFF for value in arguments[:3])
        self._count(_socket_kind(family, kind & 0xF, protocol))
        known = family in (_UNIX, _INET, _INET6)
        raise SyscallRefusal(errno.EACCES if known else errno.EAFNOSUPPORT, "no such socket")

    def _send(self, _: Caller, _arguments: _Arguments) -> None:
        """Refuse and count a send that connects by TCP Fast Open; the filter allows others."""
        self._count("fast open")
        raise SyscallRefusal(errno.EOPNOTSUPP, "fast open")

    def _count(self, kind: str) -> None:
        self.refused_kinds[kind] = self.refused_kinds.get(kind, 0) + 1

    def _connect(self, caller: Caller, arguments: _Arguments) -> None:
        address = _address(caller, arguments)
        descriptor = caller.descriptor(arguments[0])
        target = -1
        try:
            family = _family(descriptor, address)
            if family == _UNIX:
                name = address[2:].partition(b"\0")[0]
                if not name:
                    self._count("of other programs")
                    raise SyscallRefusal(errno.EACCES, "an abstract socket")
                target = caller.path(_AT_FDCWD, name)
                try:
                    self._inside(target)
                except SyscallRefusal:
                    self._count("of other programs")
                    raise
                address = struct.pack("=H", _UNIX) + b"/proc/self/fd/%d\0" % target
            elif not is_packed_loopback(_endpoint(address)[0]):
                self.refused_connections += 1
                raise SyscallRefusal(errno.EACCES, "another machine")
            elif _endpoint(address) not in self._allowed | self._bound:
                raise SyscallRefusal(errno.EACCES, "not an allowed port of this machine")
            connect_or_give_up(descriptor, address)
        finally:
            os.close(descriptor)
            if target >= 0:
                os.close(target)

    def _bind(self, caller: Caller, arguments: _Arguments) -> None:
        address = _address(caller, arguments)
        descriptor = caller.descriptor(arguments[0])
        try:
            if _family(descriptor, address) == _UNIX:
                raise _Continue
            if not is_packed_loopback(_endpoint(address)[0]):
                address = _loopback(address)
            if 0 < _port(address) < 1024:
                raise SyscallRefusal(errno.EACCES, "a port of the system")
            if (LOOPBACK4, _port(address)) in self._allowed:
                raise SyscallRefusal(errno.EADDRINUSE, "a server of this machine has the port")
            sys_.bind(descriptor, address)
            self._bound.add(_endpoint(sys_.socket_address(descriptor)))
        finally:
            os.close(descriptor)

    def _listen(self, caller: Caller, arguments: _Arguments) -> None:
        descriptor = caller.descriptor(arguments[0])
        try:
            address = sys_.socket_address(descriptor)
            if struct.unpack_from("=H", address)[0] != _UNIX and not _port(address):
                sys_.bind(descriptor, _loopback(address))  # not all interfaces
                self._bound.add(_endpoint(sys_.socket_address(descriptor)))
            sys_.listen(descriptor, min(arguments[1] & 0xFFFF, 4096))
        finally:
            os.close(descriptor)


def _socket_kind(family: int, kind: int, protocol: int) -> str:
    """Name a kind of socket."""
    if family == _UNIX:
        return "unix datagram"
    if family == _NETLINK:
        return "netlink"
    if family == _PACKET or (family in (_INET, _INET6) and kind == _RAW):
        return "raw"
    if family in (_INET, _INET6):
        return _PROTOCOLS.get(protocol, "UDP" if kind == _DGRAM else "other")
    return "other"


def _address(caller: Caller, arguments: _Arguments) -> bytes:
    size = arguments[2] & 0xFFFFFFFF
    if not 2 <= size <= 128:
        raise SyscallRefusal(errno.EINVAL, "address")
    return caller.memory(arguments[1], size)


def _family(descriptor: int, address: bytes) -> int:
    """Return the family of a socket; the socket's address must have the same family."""
    family = sys_.socket_option(descriptor, SO_DOMAIN)
    if struct.unpack_from("=H", address)[0] != family or family not in (_UNIX, _INET, _INET6):
        raise SyscallRefusal(errno.EAFNOSUPPORT, "address")
    if len(address) < {_UNIX: 2, _INET: 16, _INET6: 24}[family]:
        raise SyscallRefusal(errno.EINVAL, "address")
    return int(family)


def _endpoint(address: bytes) -> tuple[bytes, int]:
    """Return the IP address and the port; an IPv4 address written as IPv6 becomes IPv4."""
    if struct.unpack_from("=H", address)[0] == _INET:
        return address[4:8], _port(address)
    where = address[8:24]
    return where[12:] if where[:12] == _MAPPED else where, _port(address)


def _port(address: bytes) -> int:
    return int.from_bytes(address[2:4], "big")


def _loopback(address: bytes) -> bytes:
    """Replace "all interfaces" by loopback; raise SyscallRefusal for other addresses."""
    if struct.unpack_from("=H", address)[0] == _INET:
        if address[4:8] != bytes(4):
            raise SyscallRefusal(errno.EADDRNOTAVAIL, "address")
        return address[:4] + LOOPBACK4 + address[8:]
    if address[8:24] != bytes(16):
        raise SyscallRefusal(errno.EADDRNOTAVAIL, "address")
    return address[:8] + LOOPBACK6 + address[24:]


def connect_or_give_up(descriptor: int, address: bytes) -> None:
    """Connect a socket; give up after a second, since local servers answer at once."""
    blocking = os.get_blocking(descriptor)
    os.set_blocking(descriptor, False)
    try:
        sys_.connect(descriptor, address)
    except BlockingIOError:
        if not blocking:
            raise
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        if not poll.poll(_WAIT_MS):
            raise SyscallRefusal(errno.ETIMEDOUT, "no answer") from None
        failed = sys_.socket_option(descriptor, _SO_ERROR)
        if failed:
            raise OSError(failed, os.strerror(failed)) from None
    finally:
        os.set_blocking(descriptor, blocking)


def _signed(value: int) -> int:
    """Return the lower half of a register as a C int."""
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >= 1 << 31 else value
