"""Filters on system calls: refuse the calls that commands do not need or that expose the kernel.

This module runs in the launcher and needs only the standard library. A filter is a classic BPF
program over `struct seccomp_data` (Documentation/userspace-api/seccomp_filter.rst of the kernel):
the number of the call at 0, the architecture at 4, six arguments of 64 bits from 16 on. The numbers
of calls are those of x86-64 and of the generic table that 64-bit ARM uses. Other machines have no
filters: their programs are None.
"""

from __future__ import annotations

import errno
import os
import struct

from localagent.linux.syscalls import seccomp_install

# A call's name, its number on x86-64, and its number on 64-bit ARM; "-" means no such call.
_CALLS = """
    chmod 90 -, fchmod 91 52, fchmodat 268 53, fchmodat2 452 452, chown 92 -, fchown 93 55,
    lchown 94 -, fchownat 260 54, utime 132 -, utimes 235 -, futimesat 261 -, utimensat 280 88,
    setxattr 188 5, lsetxattr 189 6, fsetxattr 190 7, removexattr 197 14, lremovexattr 198 15,
    fremovexattr 199 16, setxattrat 463 463, removexattrat 466 466, file_setattr 469 469,
    mount 165 40, umount2 166 39, pivot_root 155 41, chroot 161 51, unshare 272 97,
    setns 308 268, open_tree 428 428, move_mount 429 429, fsopen 430 430, fsconfig 431 431,
    fsmount 432 432, fspick 433 433, mount_setattr 442 442, open_tree_attr 467 467,
    name_to_handle_at 303 264, open_by_handle_at 304 265, acct 163 89, swapon 167 224,
    swapoff 168 225, reboot 169 142, init_module 175 105, finit_module 313 273,
    delete_module 176 106, kexec_load 246 104, kexec_file_load 320 294, iopl 172 -, ioperm 173 -,
    quotactl 179 60, quotactl_fd 443 443, syslog 103 116, settimeofday 164 170,
    clock_settime 227 112, vhangup 153 58, lookup_dcookie 212 18, uselib 134 -, bpf 321 280,
    perf_event_open 298 241, userfaultfd 323 282, fanotify_init 300 262, io_uring_setup 425 425,
    io_uring_enter 426 426, io_uring_register 427 427, add_key 248 217, request_key 249 218,
    keyctl 250 219, clone 56 220, clone3 435 435, fork 57 -, vfork 58 -, socket 41 198,
    socketpair 53 199, connect 42 203, bind 49 200, listen 50 201, sendto 44 206, sendmsg 46 211,
    sendmmsg 307 269, ioctl 16 29, ptrace 101 117, process_vm_readv 310 270,
    process_vm_writev 311 271, pidfd_getfd 438 438, kcmp 312 272, prlimit64 302 261,
    setpriority 141 140, ioprio_set 251 30, sched_setparam 142 118, sched_setscheduler 144 119,
    sched_setaffinity 203 122, sched_setattr 314 274, process_madvise 440 440, mq_open 240 180,
    mq_unlink 241 181, msgget 68 186, msgctl 71 187, msgrcv 70 188, msgsnd 69 189, semget 64 190,
    semctl 66 191, semtimedop 220 192, semop 65 193, shmget 29 194, shmctl 31 195, shmat 30 196,
    kill 62 129, tkill 200 130, tgkill 234 131, rt_sigqueueinfo 129 138, rt_tgsigqueueinfo 297 240,
    pidfd_send_signal 424 424, fcntl 72 25, truncate 76 45, open 2 -, openat 257 56,
    openat2 437 437, execve 59 221, execveat 322 281
"""
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column, AUDIT_ARCH_*

# Refused in every kind of sandbox: calls for mounts, namespaces, the system's clock and kernel
# modules, and for large new parts of the kernel that no build needs.
_NEVER = (
    *("mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "open_tree", "move_mount"),
    *("fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "open_tree_attr", "acct"),
    *("name_to_handle_at", "open_by_handle_at", "swapon", "swapoff", "reboot", "init_module"),
    *("finit_module", "delete_module", "kexec_load", "kexec_file_load", "iopl", "ioperm"),
    *("quotactl", "quotactl_fd", "syslog", "settimeofday", "clock_settime", "vhangup"),
    *("lookup_dcookie", "uselib", "bpf", "perf_event_open", "userfaultfd", "fanotify_init"),
)
# Refused as if the kernel did not have these calls, so that programs do without them.
_MISSING = (
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "add_key", "request_key"),
    *("keyctl", "clone3"),
)
# Calls that read or change another process.
_CONTROL = ("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp")
# Refused if a command can see the machine's other processes and System V objects.
_SHARED = (
    *_CONTROL,
    *("process_madvise", "mq_open", "mq_unlink", "msgget", "msgctl", "msgrcv", "msgsnd"),
    *("semget", "semctl", "semtimedop", "semop", "shmget", "shmctl", "shmat"),
    *("setpriority", "ioprio_set"),
)
_ABOUT_A_PROCESS = (  # allowed with 0, which means the calling thread
    *("prlimit64", "sched_setparam", "sched_setscheduler", "sched_setaffinity", "sched_setattr"),
)
_ATTRIBUTES = (
    *("setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr"),
    *("setxattrat", "removexattrat", "file_setattr"),
)
_OLD_TIMES = ("utime", "utimes", "futimesat")
# Calls for the broker, since Landlock does not check them (see syscall_broker.py).
BROKERED = (
    *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat"),
    *("utimensat", "connect", "bind", "listen"),
)
# Calls for the broker only where an old version of Landlock does not check them.
BROKERED_SIGNALS = (
    *("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal"),
)
BROKERED_TRUNCATE = ("truncate",)
# The filter sends only forbidden uses of these calls to the broker, which counts them.
COUNTED = ("socket", "sendto", "sendmsg", "sendmmsg")
_FORKS = ("fork", "vfork")

_NEW_NAMESPACES = 0x7E020000  # every CLONE_NEW* that clone(2) takes
_TERMINAL_INPUT = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX
# Where Landlock confines a command, an ioctl on a file outside could change the file's flags,
# versions or encryption. So only requests for terminals ("T") and sockets are allowed, and requests
# that read flags and extents or share blocks between files: FS_IOC_GETFLAGS, FS_IOC_FIEMAP,
# FICLONE, FICLONERANGE (linux/fs.h).
_IOCTL_GROUP, _IOCTL_GROUPS = 0xFF00, (0x5400, 0x8900)
_SHARING = (0x80086601, 0xC020660B, 0x40049409, 0x4020940D)
_UNIX, _INET, _INET6, _NETLINK = 1, 2, 10, 16
_STREAM, _SEQPACKET, _TCP = 1, 5, 6
_FAST_OPEN = 0x20000000  # MSG_FASTOPEN: a connect(2) in disguise
_SET_OWNER = (8, 15)  # F_SETOWN, F_SETOWN_EX: the process that gets a file's signals
# open(2) truncates with these flags, although the descriptor cannot write: O_TRUNC alone, and with
# the access mode 3.
_ACCESS_AND_TRUNCATE, _TRUNCATE_UNWRITABLE = 0o1003, (0o1000, 0o1003)
_VERSION_WITH_TRUNCATE, _VERSION_WITH_SIGNALS = 3, 6  # of Landlock

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_NOTIFY = 0x7FC00000
_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_EQUAL, _ABOVE, _ANY_BIT = 0x15, 0x35, 0x45
_X32 = 0x40000000
_TYPE_MASK = 0xF  # of a socket's type; SOCK_CLOEXEC and SOCK_NONBLOCK are higher bits
_FLAGS_OF_SENDING = (("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3))

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand

_OK: Instruction = (_RETURN, 0, 0, _ALLOW)
_ASK_BROKER: Instruction = (_RETURN, 0, 0, _NOTIFY)


_NUMBERS = {name: numbers for name, *numbers in map(str.split, _CALLS.split(","))}


def number(name: str) -> int | None:
    """Return the number of a call on this machine; None if the machine has no such call."""
    machine = _MACHINES.get(os.uname().machine)
    text = "-" if machine is None else _NUMBERS[name][machine[0]]
    return None if text == "-" else int(text)


def program(
    shared: bool, landlock: int = _VERSION_WITH_SIGNALS, *, asks_forks: bool = False
) -> bytes | None:
    """Return the filter of a sandbox for this machine; None if no filter supports it.

    With `shared`, the command sees the machine's own processes and network. The filter then refuses
    more calls. It leaves the calls in `BROKERED` to the broker, and with `asks_forks` also calls
    that make processes: a signal can then interrupt them. It also handles what the version
    `landlock` of Landlock does not check.
    """
    blocks = _blocks_of_every_kind()
    if shared:
        blocks |= _blocks_where_shared()
        if asks_forks:
            blocks |= _blocks_of_forks()
        if landlock < _VERSION_WITH_TRUNCATE:
            blocks |= _blocks_of_truncation()
        if landlock < _VERSION_WITH_SIGNALS:
            blocks |= {name: [_ASK_BROKER] for name in BROKERED_SIGNALS}
            blocks["fcntl"] = [*_argument(1), *_refuse_each(_SET_OWNER, errno.EPERM), _OK]
    return _program(blocks)


def offline_program(*, asks_forks: bool = False) -> bytes | None:
    """Return the filter of the sandbox "seccomp"; None if no filter supports this machine.

    It works without namespaces and Landlock. It refuses every socket except unix streams, every
    connection by name, and calls that control other processes. With `asks_forks`, it leaves calls
    that make processes to a broker.
    """
    blocks = _blocks_of_every_kind() | {name: [_refuse(errno.EPERM)] for name in _SHARED}
    blocks |= _blocks_about_a_process()
    families = [*_argument(0), (_EQUAL, 1, 0, _UNIX), _refuse(errno.EACCES)]
    blocks["socket"] = [*families, *_local_streams()]
    blocks["connect"] = [_refuse(errno.EACCES)]
    blocks["fcntl"] = [*_argument(1), *_refuse_each(_SET_OWNER, errno.EPERM), _OK]
    if asks_forks:
        blocks |= _blocks_of_forks()
    return _program(blocks)


def connect_program() -> bytes | None:
    """Return a filter that leaves connect(2) to a broker; None if no filter supports this machine.

    Sandboxes with namespaces use it, since sockets in the file system belong to no namespace.
    """
    return _program({"connect": [_ASK_BROKER]})


def egress_program(tcp: bool, alone: bool = False) -> bytes | None:
    """Return the egress lock's filter for the machine's own network.

    It allows only unix sockets and, with `tcp`, TCP sockets. A TCP socket can listen on every
    address without a call that Landlock checks. With `alone`, neither a namespace nor Landlock
    separates this process from others, so the filter refuses calls that control other processes.
    """
    no = _refuse(errno.EACCES)
    blocks = _blocks_without_io_uring()
    if alone:
        blocks |= {name: [_refuse(errno.EPERM)] for name in _CONTROL}
    families = [*_argument(0), *_pass_any((_UNIX,))]
    blocks["socket"] = [*families, no]
    if tcp:
        blocks["socket"] = [
            *(*families, (_EQUAL, 2, 0, _INET), (_EQUAL, 1, 0, _INET6), no),
            *(*_argument(1), (_AND, 0, 0, _TYPE_MASK), (_EQUAL, 1, 0, _STREAM), no),
            *(*_argument(2), *_pass_any((0, _TCP)), no),
        ]
    for name, position in _FLAGS_OF_SENDING:
        blocks[name] = [*_argument(position), (_ANY_BIT, 0, 1, _FAST_OPEN), no, _OK]
    return _program(blocks)


def namespace_program() -> bytes | None:
    """Return the egress lock's filter for a separate network.

    It refuses families of sockets that do not belong to a network namespace, such as AF_VSOCK,
    which leads from a virtual machine to its host.
    """
    blocks = _blocks_without_io_uring()
    families = _pass_any((_UNIX, _INET, _INET6, _NETLINK))
    blocks["socket"] = [*_argument(0), *families, _refuse(errno.EAFNOSUPPORT)]
    return _program(blocks)


def model_program() -> bytes | None:
    """Return the filter of the model's process; None if no filter supports this machine.

    It refuses sockets, connections, other programs, and calls that control other processes.
    """
    blocks = _blocks_of_every_kind()
    names = (*_CONTROL, "socket", "connect", "execve", "execveat")
    return _program(blocks | {name: [_refuse(errno.EACCES)] for name in names})


def _blocks_without_io_uring() -> dict[str, list[Instruction]]:
    """Blocks that refuse io_uring, which can make sockets without the call that filters see."""
    return {"io_uring_setup": [_refuse(errno.ENOSYS)]}


def install(code: bytes | None, listen: bool = False) -> int:
    """Apply the filter to this process and its descendants.

    With `listen`, returns the broker's descriptor. Returns -1 if there is no filter.
    """
    return seccomp_install(code, listen) if code is not None else -1


def _program(blocks: dict[str, list[Instruction]]) -> bytes | None:
    """Assemble a filter from blocks that decide on one call each; allow all other calls."""
    machine = _MACHINES.get(os.uname().machine)
    if machine is None:
        return None
    missing = _refuse(errno.ENOSYS)
    code: list[Instruction] = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, machine[1]), missing]
    code.append((_LOAD, 0, 0, 0))
    if machine[0] == 0:
        code += [(_ABOVE, 0, 1, _X32), missing]
    for name, block in blocks.items():
        call = number(name)
        if call is not None:
            code += [(_EQUAL, 0, len(block), call), *block]
    code.append(_OK)
    return b"".join(struct.pack("HBBI", *each) for each in code)


def _blocks_of_every_kind() -> dict[str, list[Instruction]]:
    blocks = {name: [_refuse(errno.EPERM)] for name in _NEVER}
    blocks |= {name: [_refuse(errno.ENOSYS)] for name in _MISSING}
    blocks["clone"] = _clone(_OK)
    blocks["ioctl"] = [*_argument(1), *_refuse_each(_TERMINAL_INPUT, errno.EPERM), _OK]
    families = [*_argument(0), *_pass_any((_UNIX, _INET, _INET6))]
    routes = [(_EQUAL, 0, 3, _NETLINK), *_argument(2), (_EQUAL, 0, 1, 0), _OK]
    blocks["socket"] = [*families, *routes, _refuse(errno.EAFNOSUPPORT)]
    kinds = _local_streams()
    blocks["socket"] = [*_argument(0), (_EQUAL, 0, len(kinds), _UNIX), *kinds, *blocks["socket"]]
    blocks["socketpair"] = kinds
    return blocks


def _blocks_where_shared() -> dict[str, list[Instruction]]:
    blocks = {name: [_refuse(errno.EPERM)] for name in _SHARED}
    blocks |= {name: [_refuse(errno.EOPNOTSUPP)] for name in _ATTRIBUTES}
    blocks |= {name: [_refuse(errno.ENOSYS)] for name in _OLD_TIMES}
    blocks |= {name: [_ASK_BROKER] for name in BROKERED}
    blocks["ioctl"] = [
        *(*_argument(1), *_refuse_each(_TERMINAL_INPUT, errno.EPERM), *_pass_any(_SHARING)),
        *((_AND, 0, 0, _IOCTL_GROUP), *_pass_any(_IOCTL_GROUPS), _refuse(errno.ENOTTY)),
    ]
    blocks |= _blocks_about_a_process()
    for name, position in _FLAGS_OF_SENDING:
        blocks[name] = [*_argument(position), (_ANY_BIT, 0, 1, _FAST_OPEN), _ASK_BROKER, _OK]
    # A datagram reaches any address without connect(2), so only stream sockets are allowed.
    kinds = [*_argument(1), (_AND, 0, 0, _TYPE_MASK)]
    local = [*kinds, *_pass_any((_STREAM, _SEQPACKET))]
    blocks["socketpair"] = [*local, _refuse(errno.EACCES)]
    local.append(_ASK_BROKER)
    tcp = [*kinds, (_EQUAL, 1, 0, _STREAM), _ASK_BROKER]
    tcp += [*_argument(2), *_pass_any((0, _TCP)), _ASK_BROKER]
    # Each look-up of a host name lists this machine's interfaces, which sends no packet.
    routes = [*_argument(2), (_EQUAL, 0, 1, 0), _refuse(errno.EAFNOSUPPORT), _ASK_BROKER]
    blocks["socket"] = [
        *(*_argument(0), (_EQUAL, 0, len(local), _UNIX), *local),
        *((_EQUAL, 1, 0, _INET), (_EQUAL, 0, len(tcp), _INET6), *tcp),
        *((_EQUAL, 0, len(routes), _NETLINK), *routes, _ASK_BROKER),
    ]
    return blocks


def _blocks_about_a_process() -> dict[str, list[Instruction]]:
    own = [*_argument(0), (_EQUAL, 0, 1, 0), _OK, _refuse(errno.EPERM)]
    return dict.fromkeys(_ABOUT_A_PROCESS, own)


def _blocks_of_truncation() -> dict[str, list[Instruction]]:
    blocks = {name: [_ASK_BROKER] for name in BROKERED_TRUNCATE}
    for name, flags in (("open", 1), ("openat", 2)):
        refused = _refuse_each(_TRUNCATE_UNWRITABLE, errno.EACCES)
        blocks[name] = [*_argument(flags), (_AND, 0, 0, _ACCESS_AND_TRUNCATE), *refused, _OK]
    return blocks | {"openat2": [_refuse(errno.ENOSYS)]}


def _local_streams() -> list[Instruction]:
    """Allow streams of unix sockets: a datagram reaches a socket in the file system without
    connect(2)."""
    kinds = [*_argument(1), (_AND, 0, 0, _TYPE_MASK), *_pass_any((_STREAM, _SEQPACKET))]
    return [*kinds, _refuse(errno.EACCES)]


def _blocks_of_forks() -> dict[str, list[Instruction]]:
    """Blocks that leave calls that make processes to a broker."""
    return {**{name: [_ASK_BROKER] for name in _FORKS}, "clone": _clone(_ASK_BROKER)}


def _clone(otherwise: Instruction) -> list[Instruction]:
    flags = [*_argument(0), (_ANY_BIT, 0, 1, _NEW_NAMESPACES)]
    return [*flags, _refuse(errno.EPERM), otherwise]


def _refuse(number: int) -> Instruction:
    return (_RETURN, 0, 0, _ERRNO | number)


def _argument(position: int) -> list[Instruction]:
    """Load the lower half of an argument (both machines are little endian).

    The kernel also ignores the upper half of an `int` argument.
    """
    return [(_LOAD, 0, 0, 16 + 8 * position)]


def _pass_any(values: tuple[int, ...]) -> list[Instruction]:
    """Allow the call if the loaded value is one of `values`; else continue."""
    return [part for value in values for part in ((_EQUAL, 0, 1, value), _OK)]


def _refuse_each(values: tuple[int, ...], number: int) -> list[Instruction]:
    """Refuse the call if the loaded value is one of `values`; else continue."""
    return [part for value in values for part in ((_EQUAL, 0, 1, value), _refuse(number))]
