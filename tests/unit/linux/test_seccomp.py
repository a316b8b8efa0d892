"""Filters on system calls, run by a small interpreter of classic BPF."""

from __future__ import annotations

import errno
import struct
import sys

import pytest

if sys.platform != "linux":
    pytest.skip("filters are Linux's", allow_module_level=True)

from localagent.linux import seccomp

ALLOW, NOTIFY = "allow", "ask the broker"
_ACTIONS = {0x7FFF0000: ALLOW, 0x7FC00000: NOTIFY}
_UNIX, _INET, _INET6, _NETLINK, _PACKET, _VSOCK = 1, 2, 10, 16, 17, 40
_STREAM, _DGRAM, _RAW = 1, 2, 3
_CLOEXEC = 0o2000000
_FAST_OPEN = 0x20000000
_NEW_USER = 0x10000000
_X32 = 0x40000000


def decide(code: bytes | None, number: int, *arguments: int, arch: int | None = None) -> object:
    """What a filter does with a call: ALLOW, NOTIFY, or the error's number."""
    if code is None:
        pytest.skip("this machine has no filter")
    arch = arch or struct.unpack_from("I", code, 8 + 4)[0]  # the second instruction compares it
    data = struct.pack("<II8x6Q", number, arch, *arguments, *[0] * (6 - len(arguments)))
    program = list(struct.iter_unpack("HBBI", code))
    accumulator, position = 0, 0
    while True:
        operation, if_true, if_false, operand = program[position]
        position += 1
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, operand)
        elif operation == 0x54:
            accumulator &= operand
        elif operation == 0x06:
            return _ACTIONS.get(operand, operand & 0xFFFF)
        else:
            holds = {
                0x15: accumulator == operand,
                0x35: accumulator >= operand,
                0x45: bool(accumulator & operand),
            }[operation]
            position += if_true if holds else if_false


def call(code: bytes | None, name: str, *arguments: int) -> object:
    number = seccomp.number(name)
    if number is None:
        pytest.skip(f"this machine has no {name}")
    return decide(code, number, *arguments)


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [
        ("socket", (_INET, _STREAM), ALLOW),
        ("socket", (_INET6, _STREAM | _CLOEXEC, 6), ALLOW),
        ("socket", (_UNIX, _DGRAM), ALLOW),
        ("socket", (_NETLINK, _RAW), errno.EACCES),
        ("socket", (_INET, _DGRAM), errno.EACCES),
        ("socket", (_INET6, _RAW, 58), errno.EACCES),
        ("socket", (_INET, _STREAM, 262), errno.EACCES),
        ("socket", (_PACKET, _RAW), errno.EACCES),
        ("socket", (_VSOCK, _STREAM), errno.EACCES),
        ("sendto", (3, 0, 0, 0), ALLOW),
        ("sendto", (3, 0, 0, _FAST_OPEN), errno.EACCES),
        ("sendmsg", (3, 0, _FAST_OPEN), errno.EACCES),
        ("sendmmsg", (3, 0, 0, _FAST_OPEN), errno.EACCES),
        ("io_uring_setup", (), errno.ENOSYS),
        ("connect", (), ALLOW),
    ],
)
def test_the_egress_lock(name: str, arguments: tuple[int, ...], result: object) -> None:
    assert call(seccomp.egress_program(tcp=True), name, *arguments) == result
    if name == "socket" and arguments[0] in (_INET, _INET6):
        result = errno.EACCES  # nothing to connect to: listen() would open a port
    assert call(seccomp.egress_program(tcp=False), name, *arguments) == result


@pytest.mark.parametrize("family", [*range(46), 1 << 31])
def test_the_egress_lock_by_seccomp_alone(family: int) -> None:
    code = seccomp.egress_program(tcp=False, alone=True)
    assert call(code, "socket", family, _STREAM) == (ALLOW if family == _UNIX else errno.EACCES)
    for name in ("ptrace", "process_vm_writev", "pidfd_getfd"):
        assert call(code, name) == errno.EPERM
        assert call(seccomp.egress_program(tcp=False), name) == ALLOW  # Landlock refuses it


@pytest.mark.parametrize(
    ("name", "arguments", "result"),
    [
        ("socket", (_UNIX, _STREAM), ALLOW),
        ("socket", (_UNIX, _DGRAM), errno.EACCES),
        *(("socket", (family, _STREAM), errno.EACCES) for family in range(46) if family != _UNIX),
        ("socketpair", (_UNIX, _STREAM), ALLOW),
        ("connect", (), errno.EACCES),
        ("io_uring_setup", (), errno.ENOSYS),
        ("unshare", (_NEW_USER,), errno.EPERM),
        ("ptrace", (), errno.EPERM),
        ("prlimit64", (1,), errno.EPERM),
        ("fcntl", (3, 8, 1), errno.EPERM),
        ("fcntl", (3, 4, 1), ALLOW),
        ("openat", (0, 0, 0o1000), ALLOW),
    ],
)
def test_the_sandbox_of_seccomp_alone(
    name: str, arguments: tuple[int, ...], result: object
) -> None:
    assert call(seccomp.offline_program(), name, *arguments) == result


@pytest.mark.parametrize(
    ("name", "arguments", "before", "since"),
    [
        ("kill", (5, 9), 6, NOTIFY),
        ("tgkill", (5, 5, 9), 6, NOTIFY),
        ("pidfd_send_signal", (5, 9), 6, NOTIFY),
        ("fcntl", (3, 15, 1), 6, errno.EPERM),
        ("fcntl", (3, 4, 1), 1, NOTIFY),
        ("truncate", (), 3, NOTIFY),
        ("openat", (0, 0, 0o1000), 3, errno.EACCES),
        ("openat", (0, 0, 0o1003 | _CLOEXEC), 3, errno.EACCES),
        ("openat", (0, 0, 0o1001), 1, ALLOW),
        ("openat", (0, 0, 0o1102), 1, ALLOW),
        ("openat2", (), 3, errno.ENOSYS),
    ],
)
def test_the_filter_replaces_what_an_old_landlock_lacks(
    name: str, arguments: tuple[int, ...], before: int, since: object
) -> None:
    for version in range(1, 8):
        found = call(seccomp.program(shared=True, landlock=version), name, *arguments)
        assert found == (since if version < before else ALLOW), version


@pytest.mark.parametrize("family", range(46))
def test_the_egress_lock_in_a_network_of_its_own(family: int) -> None:
    allowed = family in (_UNIX, _INET, _INET6, _NETLINK)
    code = seccomp.namespace_program()
    assert call(code, "socket", family, _STREAM) == (ALLOW if allowed else errno.EAFNOSUPPORT)
    assert call(code, "io_uring_setup") == errno.ENOSYS
    assert call(code, "listen") == ALLOW


@pytest.mark.parametrize(
    ("request_", "result"),
    [
        (0x5413, ALLOW),  # TIOCGWINSZ
        (0x541B, ALLOW),  # FIONREAD
        (0x8933, ALLOW),  # SIOCGIFINDEX
        (0x40049409, ALLOW),  # FICLONE
        (0x80086601, ALLOW),  # FS_IOC_GETFLAGS
        (0x5412, errno.EPERM),  # TIOCSTI
        (0x40086602, errno.ENOTTY),  # FS_IOC_SETFLAGS
        (0x40087602, errno.ENOTTY),  # FS_IOC_SETVERSION
        (0x401C5820, errno.ENOTTY),  # FS_IOC_FSSETXATTR
        (0x800C6613, errno.ENOTTY),  # FS_IOC_SET_ENCRYPTION_POLICY
        (0x5000940F, errno.ENOTTY),  # BTRFS_IOC_SNAP_DESTROY
        (0xC0045877, errno.ENOTTY),  # FIFREEZE
    ],
)
def test_ioctls_where_landlock_confines(request_: int, result: object) -> None:
    assert call(seccomp.program(shared=True), "ioctl", 3, request_) == result


@pytest.mark.parametrize(
    ("name", "arguments", "alone", "shared"),
    [
        ("mount", (), errno.EPERM, errno.EPERM),
        ("unshare", (_NEW_USER,), errno.EPERM, errno.EPERM),
        ("clone", (_NEW_USER,), errno.EPERM, errno.EPERM),
        ("clone", (17,), ALLOW, ALLOW),
        ("clone3", (), errno.ENOSYS, errno.ENOSYS),
        ("io_uring_enter", (), errno.ENOSYS, errno.ENOSYS),
        ("bpf", (), errno.EPERM, errno.EPERM),
        ("ioctl", (0, 0x5412), errno.EPERM, errno.EPERM),
        ("ioctl", (0, 0x5401), ALLOW, ALLOW),
        ("socket", (_VSOCK, _STREAM), errno.EAFNOSUPPORT, NOTIFY),
        ("socket", (_INET, _STREAM), ALLOW, ALLOW),
        ("socket", (_INET, _DGRAM), ALLOW, NOTIFY),
        ("socket", (_UNIX, _DGRAM), errno.EACCES, NOTIFY),
        ("socket", (_UNIX, _STREAM), ALLOW, ALLOW),
        ("socketpair", (_UNIX, _DGRAM), errno.EACCES, errno.EACCES),
        ("socketpair", (_UNIX, _STREAM), ALLOW, ALLOW),
        ("socket", (_NETLINK, _RAW, 0), ALLOW, errno.EAFNOSUPPORT),
        ("socket", (_NETLINK, _RAW, 9), errno.EAFNOSUPPORT, NOTIFY),
        ("connect", (), ALLOW, NOTIFY),
        ("fchmod", (), ALLOW, NOTIFY),
        ("sendto", (3, 0, 0, _FAST_OPEN), ALLOW, NOTIFY),
        ("sendto", (3, 0, 0, 0), ALLOW, ALLOW),
        ("ptrace", (), ALLOW, errno.EPERM),
        ("prlimit64", (0,), ALLOW, ALLOW),
        ("prlimit64", (1,), ALLOW, errno.EPERM),
        ("setxattr", (), ALLOW, errno.EOPNOTSUPP),
    ],
)
def test_sandboxes(name: str, arguments: tuple[int, ...], alone: object, shared: object) -> None:
    assert call(seccomp.program(shared=False), name, *arguments) == alone
    assert call(seccomp.program(shared=True), name, *arguments) == shared
    brokered = NOTIFY if name == "connect" else ALLOW
    assert call(seccomp.connect_program(), name, *arguments) == brokered


@pytest.mark.parametrize("name", ["fork", "vfork", "clone"])
def test_the_broker_counts_processes_where_the_kernel_does_not(name: str) -> None:
    if seccomp.number(name) is None:
        pytest.skip("this processor has no such call")
    assert call(seccomp.program(shared=True), name, 17) == ALLOW
    assert call(seccomp.program(shared=True, asks_forks=True), name, 17) == NOTIFY
    assert call(seccomp.offline_program(), name, 17) == ALLOW
    assert call(seccomp.offline_program(asks_forks=True), name, 17) == NOTIFY


def test_other_architectures_have_no_calls() -> None:
    for code in (seccomp.egress_program(True), seccomp.program(False), seccomp.program(True)):
        assert decide(code, 39, arch=0x40000003) == errno.ENOSYS  # AUDIT_ARCH_I386
        if seccomp.number("fork") is not None:  # x86-64
            assert decide(code, _X32 + 39) == errno.ENOSYS
