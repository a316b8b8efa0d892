"""The egress lock where there can be no network namespace: Landlock and seccomp, on Linux.

Landlock (Linux 6.7, ABI 4) allows TCP connections to named ports and no others; it knows no
addresses. The seccomp filter closes what Landlock does not see: every kind of socket but TCP, unix
and netlink ones, TCP that connects while it sends, MPTCP, io_uring, and system calls by another
architecture's numbers. Both hold for this thread and all that it starts, for good.

Numbers are those of linux/landlock.h, linux/seccomp.h, linux/filter.h and linux/audit.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Sequence

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION
_BIND_TCP, _CONNECT_TCP = 1, 2
_NET_PORT = 2
_SCOPE_ABSTRACT = 1
_ABI_NETWORK, _ABI_SCOPE = 4, 6
_SET_NO_NEW_PRIVS, _SET_SECCOMP, _FILTER = 38, 22, 2

_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_EQUAL, _AT_LEAST, _BITS = 0x15, 0x35, 0x45  # JEQ, JGE, JSET
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER, _ARCH = 0, 4  # offsets in struct seccomp_data; the low half of argument n is at 16 + 8 n
_UNIX, _INET, _INET6, _NETLINK = 1, 2, 10, 16
_STREAM, _TCP = 1, 6
_FASTOPEN = 0x20000000
# The architecture's audit number, then socket, sendto, sendmsg, sendmmsg, io_uring_setup.
_CALLS = {
    "x86_64": (0xC000003E, 41, 44, 46, 307, 425),
    "aarch64": (0xC00000B7, 198, 206, 211, 269, 425),
}
_X32 = 0x40000000

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand


def restrict(ports: Sequence[int], inside: Sequence[int] = ()) -> None:
    """Allow TCP to `ports` and nothing else. On the ports `inside` one may listen and connect:
    sandboxes have them in their networks. Raises OSError, with nothing changed, where Landlock or
    this architecture is not known."""
    libc = ctypes.CDLL(None, use_errno=True)
    machine = os.uname().machine
    if machine not in _CALLS:
        raise OSError(errno.ENOSYS, f"no seccomp filter for {machine}")
    abi = libc.syscall(ctypes.c_long(_CREATE), None, ctypes.c_size_t(0), ctypes.c_long(_VERSION))
    if abi < _ABI_NETWORK:
        raise OSError(errno.ENOSYS, "this kernel's Landlock has no rules for TCP")
    allowed = [(port, _CONNECT_TCP) for port in ports]
    allowed += [(port, _BIND_TCP | _CONNECT_TCP) for port in inside]
    rules = _rules(libc, allowed, scoped=abi >= _ABI_SCOPE)
    try:
        _check(libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
        _check(libc.syscall(ctypes.c_long(_RESTRICT), ctypes.c_long(rules), ctypes.c_long(0)), "")
    finally:
        os.close(rules)
    _filter(libc, program(machine))


def _rules(libc: ctypes.CDLL, allowed: Sequence[tuple[int, int]], *, scoped: bool) -> int:
    handled = struct.pack("=QQ", 0, _BIND_TCP | _CONNECT_TCP)
    if scoped:  # abstract unix sockets of programs outside are out of reach as well
        handled += struct.pack("=Q", _SCOPE_ABSTRACT)
    size = ctypes.c_size_t(len(handled))
    number = ctypes.c_long(_CREATE)
    rules = _check(libc.syscall(number, handled, size, ctypes.c_long(0)), "landlock")
    for port, what in allowed:
        rule = struct.pack("=QQ", what, port)
        place = (ctypes.c_long(rules), ctypes.c_long(_NET_PORT), rule, ctypes.c_long(0))
        _check(libc.syscall(ctypes.c_long(_ADD), *place), "landlock")
    return rules


def _filter(libc: ctypes.CDLL, code: Sequence[Instruction]) -> None:
    packed = b"".join(struct.pack("=HBBI", *instruction) for instruction in code)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    header = struct.pack("@HP", len(code), ctypes.addressof(buffer))
    _check(libc.prctl(_SET_SECCOMP, _FILTER, header, 0, 0), "seccomp")


def _check(result: int, call: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call or 'landlock'}: {os.strerror(number)}")
    return result


def program(machine: str) -> list[Instruction]:
    """The seccomp filter for an architecture."""
    arch, socket, sendto, sendmsg, sendmmsg, uring = _CALLS[machine]
    unknown = _refuse(errno.ENOSYS)
    code = [_load(_ARCH), (_EQUAL, 1, 0, arch), unknown, _load(_NUMBER)]
    if machine == "x86_64":
        code += [(_AT_LEAST, 0, 1, _X32), unknown]
    code += _when(uring, [unknown])
    code += _when(socket, _socket())
    for call, argument in ((sendto, 3), (sendmsg, 2), (sendmmsg, 3)):
        code += _when(call, _no_fast_open(argument))
    return [*code, (_RETURN, 0, 0, _ALLOW)]


def _socket() -> list[Instruction]:
    no, yes = _refuse(errno.EACCES), (_RETURN, 0, 0, _ALLOW)
    family = [
        *(_load_argument(0), (_EQUAL, 0, 1, _UNIX), yes, (_EQUAL, 0, 1, _NETLINK), yes),
        *((_EQUAL, 2, 0, _INET), (_EQUAL, 1, 0, _INET6), no),
    ]
    kind = [_load_argument(1), (_AND, 0, 0, 0xF), (_EQUAL, 1, 0, _STREAM), no]
    protocol = [_load_argument(2), (_EQUAL, 1, 0, 0), (_EQUAL, 0, 1, _TCP), yes, no]
    return [*family, *kind, *protocol]


def _no_fast_open(argument: int) -> list[Instruction]:
    refused = _refuse(errno.EACCES)
    return [_load_argument(argument), (_BITS, 0, 1, _FASTOPEN), refused, (_RETURN, 0, 0, _ALLOW)]


def _when(call: int, body: Sequence[Instruction]) -> list[Instruction]:
    """`body`, which ends in every case, for one system call."""
    return [(_EQUAL, 0, len(body), call), *body]


def _load(offset: int) -> Instruction:
    return (_LOAD, 0, 0, offset)


def _load_argument(number: int) -> Instruction:
    return _load(16 + 8 * number)  # both architectures are little-endian


def _refuse(number: int) -> Instruction:
    return (_RETURN, 0, 0, _ERRNO | number)
