# ruff: noqa: PIE800
# (a table of calls with several in a row)
"""Filters on system calls: what no command needs, and what only opens the kernel to attack.

Runs in the launcher (see there), so it uses the standard library alone. A filter is a classic BPF
program over `struct seccomp_data` (Documentation/userspace-api/seccomp_filter.rst of the kernel):
the number of the call at 0, the architecture at 4, six arguments of 64 bits from 16 on. Numbers
are those of x86-64 and of the generic table that 64-bit ARM uses; on other machines there is no
filter, and `program` returns None.
"""

from __future__ import annotations

import errno
import os
import struct

from localagent.linux.syscalls import seccomp_install

# Name: number on x86-64 and on 64-bit ARM, None where there is no such call.
_NUMBERS: dict[str, tuple[int | None, int | None]] = {
    **{"chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452)},
    **{"chown": (92, None), "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54)},
    **{"utime": (132, None), "utimes": (235, None), "futimesat": (261, None)},
    **{"utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7)},
    **{"removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16)},
    **{"setxattrat": (463, 463), "removexattrat": (466, 466), "file_setattr": (469, 469)},
    **{"mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51)},
    **{"unshare": (272, 97), "setns": (308, 268), "open_tree": (428, 428)},
    **{"move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431)},
    **{"fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442)},
    **{"open_tree_attr": (467, 467), "name_to_handle_at": (303, 264)},
    **{"open_by_handle_at": (304, 265), "acct": (163, 89), "swapon": (167, 224)},
    **{"swapoff": (168, 225), "reboot": (169, 142), "init_module": (175, 105)},
    **{"finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104)},
    **{"kexec_file_load": (320, 294), "iopl": (172, None), "ioperm": (173, None)},
    **{"quotactl": (179, 60), "quotactl_fd": (443, 443), "syslog": (103, 116)},
    **{"settimeofday": (164, 170), "clock_settime": (227, 112), "vhangup": (153, 58)},
    **{"lookup_dcookie": (212, 18), "uselib": (134, None), "bpf": (321, 280)},
    **{"perf_event_open": (298, 241), "userfaultfd": (323, 282), "fanotify_init": (300, 262)},
    **{"io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427)},
    **{"add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219)},
    **{"clone": (56, 220), "clone3": (435, 435), "fork": (57, None), "vfork": (58, None)},
    **{"socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200)},
    **{"listen": (50, 201), "sendto": (44, 206), "sendmsg": (46, 211), "sendmmsg": (307, 269)},
    **{"ioctl": (16, 29), "ptrace": (101, 117), "process_vm_readv": (310, 270)},
    **{"process_vm_writev": (311, 271), "pidfd_getfd": (438, 438), "kcmp": (312, 272)},
    **{"prlimit64": (302, 261), "setpriority": (141, 140), "ioprio_set": (251, 30)},
    **{"sched_setparam": (142, 118), "sched_setscheduler": (144, 119)},
    **{"sched_setaffinity": (203, 122), "sched_setattr": (314, 274)},
    **{"process_madvise": (440, 440), "mq_open": (240, 180), "mq_unlink": (241, 181)},
    **{"msgget": (68, 186), "msgctl": (71, 187), "msgrcv": (70, 188), "msgsnd": (69, 189)},
    **{"semget": (64, 190), "semctl": (66, 191), "semtimedop": (220, 192), "semop": (65, 193)},
    **{"shmget": (29, 194), "shmctl": (31, 195), "shmat": (30, 196)},
}
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column, AUDIT_ARCH_*

# Refused in every kind: changing what is mounted, entering or making namespaces, the system's
# clock and modules, and parts of the kernel that are large, young and of no use to a build.
_NEVER = (
    *("mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "open_tree", "move_mount"),
    *("fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "open_tree_attr", "acct"),
    *("name_to_handle_at", "open_by_handle_at", "swapon", "swapoff", "reboot", "init_module"),
    *("finit_module", "delete_module", "kexec_load", "kexec_file_load", "iopl", "ioperm"),
    *("quotactl", "quotactl_fd", "syslog", "settimeofday", "clock_settime", "vhangup"),
    *("lookup_dcookie", "uselib", "bpf", "perf_event_open", "userfaultfd", "fanotify_init"),
)
# Refused as if the kernel did not have them: programs then do without.
_MISSING = (
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "add_key", "request_key"),
    *("keyctl", "clone3"),
)
# Refused where the machine's other processes and its System V objects are not out of sight.
_SHARED = (
    *("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp"),
    *("process_madvise", "mq_open", "mq_unlink", "msgget", "msgctl", "msgrcv", "msgsnd"),
    *("semget", "semctl", "semtimedop", "semop", "shmget", "shmctl", "shmat"),
    *("setpriority", "ioprio_set"),
)
_ABOUT_A_PROCESS = (  # allowed with 0 for the calling thread
    *("prlimit64", "sched_setparam", "sched_setscheduler", "sched_setaffinity", "sched_setattr"),
)
_WITHOUT_ATTRIBUTES = (
    *("setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr"),
    *("setxattrat", "removexattrat", "file_setattr"),
)
_OLD_TIMES = ("utime", "utimes", "futimesat")
# Left to the broker where Landlock has no say (see broker.py).
BROKERED = (
    *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat"),
    *("utimensat", "connect", "bind", "listen"),
)
# Only what is refused of them comes to the broker, to be counted; the filter lets the rest through.
COUNTED = ("socket", "sendto", "sendmsg", "sendmmsg")
_FORKS = ("fork", "vfork")

_NEW_NAMESPACES = 0x7E020000  # every CLONE_NEW* that clone(2) takes
_TERMINAL_INPUT = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX
_UNIX, _INET, _INET6, _NETLINK = 1, 2, 10, 16
_STREAM, _SEQPACKET, _TCP = 1, 5, 6
_FAST_OPEN = 0x20000000  # MSG_FASTOPEN: a connect(2) in disguise

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_NOTIFY = 0x7FC00000
_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_EQUAL, _ABOVE, _ANY_BIT = 0x15, 0x35, 0x45
_X32 = 0x40000000
_MASK_OF_A_TYPE = 0xF  # SOCK_CLOEXEC and SOCK_NONBLOCK lie above

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand


def number(name: str) -> int | None:
    """The number of a call on this machine."""
    machine = _MACHINES.get(os.uname().machine)
    return None if machine is None else _NUMBERS[name][machine[0]]


def program(shared: bool) -> bytes | None:
    """The filter for this machine, or None where there is none.

    `shared`: the command sees the machine's own processes and network, so that more is refused
    and the calls of `BROKERED` and those that make processes wait for the broker.
    """
    machine = _MACHINES.get(os.uname().machine)
    if machine is None:
        return None
    code: list[Instruction] = [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, machine[1]),
        _refuse(errno.ENOSYS),
        (_LOAD, 0, 0, 0),
    ]
    if machine[0] == 0:
        code += [(_ABOVE, 0, 1, _X32), _refuse(errno.ENOSYS)]
    for name, block in {**_everywhere(), **(_where_shared() if shared else {})}.items():
        own = number(name)
        if own is not None:
            code += [(_EQUAL, 0, len(block), own), *block]
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("HBBI", *each) for each in code)


def install(code: bytes | None, listen: bool = False) -> int:
    """Hold this process and its heirs to the filter; with `listen` the broker's descriptor."""
    return seccomp_install(code, listen) if code is not None else -1


def _everywhere() -> dict[str, list[Instruction]]:
    found = {name: [_refuse(errno.EPERM)] for name in _NEVER}
    found |= {name: [_refuse(errno.ENOSYS)] for name in _MISSING}
    found["clone"] = [*_argument(0), (_ANY_BIT, 0, 1, _NEW_NAMESPACES), _refuse(errno.EPERM), _OK]
    found["ioctl"] = [*_argument(1), *_refuse_any(_TERMINAL_INPUT, errno.EPERM)]
    families = [*_argument(0), *_pass_any((_UNIX, _INET, _INET6))]
    routes = [(_EQUAL, 0, 3, _NETLINK), *_argument(2), (_EQUAL, 0, 1, 0), _OK]
    found["socket"] = [*families, *routes, _refuse(errno.EAFNOSUPPORT)]
    return found


def _where_shared() -> dict[str, list[Instruction]]:
    found = {name: [_refuse(errno.EPERM)] for name in _SHARED}
    found |= {name: [_refuse(errno.EOPNOTSUPP)] for name in _WITHOUT_ATTRIBUTES}
    found |= {name: [_refuse(errno.ENOSYS)] for name in _OLD_TIMES}
    found |= {name: [_WAIT] for name in (*BROKERED, *_FORKS)}
    for name in _ABOUT_A_PROCESS:
        found[name] = [*_argument(0), (_EQUAL, 0, 1, 0), _OK, _refuse(errno.EPERM)]
    found["clone"] = [*_argument(0), (_ANY_BIT, 0, 1, _NEW_NAMESPACES), _refuse(errno.EPERM), _WAIT]
    for name, position in (("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)):
        found[name] = [*_argument(position), (_ANY_BIT, 0, 1, _FAST_OPEN), _WAIT, _OK]
    # A datagram can be sent to any address without a connect(2), so there are only streams.
    kinds = [*_argument(1), (_AND, 0, 0, _MASK_OF_A_TYPE)]
    local = [*kinds, *_pass_any((_STREAM, _SEQPACKET))]
    found["socketpair"] = [*local, _refuse(errno.EACCES)]
    local.append(_WAIT)
    tcp = [*kinds, (_EQUAL, 1, 0, _STREAM), _WAIT]
    tcp += [*_argument(2), *_pass_any((0, _TCP)), _WAIT]
    # Each look-up of a name asks for this machine's interfaces, which reaches for nobody.
    routes = [*_argument(2), (_EQUAL, 0, 1, 0), _refuse(errno.EAFNOSUPPORT), _WAIT]
    found["socket"] = [
        *_argument(0),
        (_EQUAL, 0, len(local), _UNIX),
        *local,
        (_EQUAL, 1, 0, _INET),
        (_EQUAL, 0, len(tcp), _INET6),
        *tcp,
        (_EQUAL, 0, len(routes), _NETLINK),
        *routes,
        _WAIT,
    ]
    return found


_OK: Instruction = (_RETURN, 0, 0, _ALLOW)
_WAIT: Instruction = (_RETURN, 0, 0, _NOTIFY)


def _refuse(number: int) -> Instruction:
    return (_RETURN, 0, 0, _ERRNO | number)


def _argument(position: int) -> list[Instruction]:
    """Load the lower half of an argument (both machines are little endian).

    The upper half of an `int` is ignored by the kernel too.
    """
    return [(_LOAD, 0, 0, 16 + 8 * position)]


def _pass_any(values: tuple[int, ...]) -> list[Instruction]:
    """Allow the call where the loaded value is one of `values`, else go on."""
    return [part for value in values for part in ((_EQUAL, 0, 1, value), _OK)]


def _refuse_any(values: tuple[int, ...], number: int) -> list[Instruction]:
    found = [part for value in values for part in ((_EQUAL, 0, 1, value), _refuse(number))]
    return [*found, _OK]
