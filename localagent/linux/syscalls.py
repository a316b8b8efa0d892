"""The Linux system calls that the sandbox needs and that Python does not offer.

The launcher and the egress lock use this module, so it needs only the standard library. Every
function raises OSError with the name of the failed call. Numbers and constants come from the
kernel's headers (linux/mount.h, linux/prctl.h, linux/capability.h, linux/if.h, linux/landlock.h).
Numbers from 424 on are the same on every architecture that Python runs on, except for Alpha.
"""

from __future__ import annotations

import ctypes
import errno
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000

ATTR_RDONLY = 0x1
ATTR_NOSUID = 0x2
ATTR_NODEV = 0x4

_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_SYS_FSOPEN = 430
_SYS_FSCONFIG = 431
_SYS_FSMOUNT = 432
_SYS_MOUNT_SETATTR = 442
_SYS_KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219, "i686": 288, "ppc64le": 271}

_SYS_SECCOMP = {"x86_64": 317, "aarch64": 277}
_SYS_LANDLOCK = 444  # creates a ruleset; 445 adds a rule, 446 applies the ruleset
_SYS_PIDFD_GETFD = 438
_SYS_OPENAT2 = 437
_RESOLVE_IN_ROOT = 0x10
_SOL_SOCKET = 1
_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_FILTER_FLAG_NEW_LISTENER = 0x8
_BYTES_OF_AN_INSTRUCTION = 8

_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 0x1
_OPEN_TREE_CLOEXEC = os.O_CLOEXEC if hasattr(os, "O_CLOEXEC") else 0
_MOVE_MOUNT_F_EMPTY_PATH = 0x4
_FSOPEN_CLOEXEC = 0x1
_FSMOUNT_CLOEXEC = 0x1
_FSCONFIG_SET_FLAG = 0
_FSCONFIG_SET_STRING = 1
_FSCONFIG_CMD_CREATE = 6

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_LAST_CAP = 63
# CHOWN, DAC_OVERRIDE, FOWNER and FSETID: root's usual capabilities for files.
FILE_CAPABILITIES = (0, 1, 3, 4)
_CAPABILITY_VERSION_3 = 0x20080522
_KEYCTL_JOIN_SESSION_KEYRING = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, call: str, path: str = "") -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}", path or None)
    return result


def _long(value: int) -> ctypes.c_long:
    return ctypes.c_long(value)


def unshare(flags: int) -> None:
    """Enter new namespaces of the kinds that the CLONE_NEW* `flags` name."""
    if _libc.unshare(flags) < 0:
        number = ctypes.get_errno()
        # The kernel's word for a sysctl such as user.max_user_namespaces reads like a full disk.
        full = "no more namespaces are allowed" if number == errno.ENOSPC else os.strerror(number)
        raise OSError(number, f"unshare: {full}")


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    """Mount as mount(2) does."""
    arguments = [os.fsencode(text) for text in (source, target, kind)]
    data = os.fsencode(options) if options else None
    _check(_libc.mount(*arguments, ctypes.c_ulong(flags), data), f"mount {kind}", target)


def new_mount(kind: str, options: dict[str, str | None], attributes: int) -> int:
    """Return the descriptor of a detached mount of a new file system, with ATTR_* `attributes`.

    `options` map a name to its value, or to None if the option is a flag. Values need no escapes.
    """
    create = (_long(_SYS_FSOPEN), kind.encode(), _long(_FSOPEN_CLOEXEC))
    context = _check(_libc.syscall(*create), f"fsopen {kind}")
    try:
        for name, value in options.items():
            command = _FSCONFIG_SET_FLAG if value is None else _FSCONFIG_SET_STRING
            data = None if value is None else os.fsencode(value)
            _fsconfig(context, command, name.encode(), data, f"{kind} option {name}")
        _fsconfig(context, _FSCONFIG_CMD_CREATE, None, None, f"mount {kind}")
        finish = (_long(context), _long(_FSMOUNT_CLOEXEC), _long(attributes))
        return _check(_libc.syscall(_long(_SYS_FSMOUNT), *finish), f"fsmount {kind}")
    finally:
        os.close(context)


def _fsconfig(
    context: int, command: int, key: bytes | None, value: bytes | None, label: str
) -> None:
    arguments = (_long(context), _long(command), key, value, _long(0))
    _check(_libc.syscall(_long(_SYS_FSCONFIG), *arguments), label)


def clone_mount(path: str, recursive: bool = False) -> int:
    """Return the descriptor of a detached copy of the mount at `path` (a folder or a file)."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | (_AT_RECURSIVE if recursive else 0)
    arguments = (_long(_AT_FDCWD), os.fsencode(path), _long(flags))
    return _check(_libc.syscall(_long(_SYS_OPEN_TREE), *arguments), "open_tree", path)


def attach_mount(descriptor: int, target: str) -> None:
    """Attach the detached mount `descriptor` at the path `target`, and close the descriptor."""
    source = (_long(descriptor), b"")
    where = (_long(_AT_FDCWD), os.fsencode(target), _long(_MOVE_MOUNT_F_EMPTY_PATH))
    _check(_libc.syscall(_long(_SYS_MOVE_MOUNT), *source, *where), "move_mount", target)
    os.close(descriptor)


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def set_mount(where: str | int, add: int = 0, clear: int = 0, recursive: bool = False) -> None:
    """Set and clear ATTR_* of the mount at a path, or of a detached mount's descriptor."""
    attributes = _MountAttr(add, clear, 0, 0)
    flags = _AT_RECURSIVE if recursive else 0
    if isinstance(where, int):
        place = (_long(where), b"", _long(flags | _AT_EMPTY_PATH))
    else:
        place = (_long(_AT_FDCWD), os.fsencode(where), _long(flags))
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    number = _long(_SYS_MOUNT_SETATTR)
    _check(_libc.syscall(number, *place, ctypes.byref(attributes), size), "mount_setattr")


def _prctl(option: int, value: int) -> int:
    zero = ctypes.c_ulong(0)
    return int(_libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero))


def die_with_parent(signal: int) -> None:
    """Receive `signal` when the parent process ends."""
    _check(_prctl(_PR_SET_PDEATHSIG, signal), "prctl")


def kernel_is_at_least(least: tuple[int, int]) -> bool:
    """Whether the kernel has at least this version; False if its version cannot be read."""
    numbers = os.uname().release.split("-")[0].split(".")[:2]
    try:
        return tuple(map(int, numbers)) >= least
    except ValueError:
        return False


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    _check(_prctl(_PR_SET_CHILD_SUBREAPER, 1), "prctl")


def forbid_ptrace() -> None:
    """Deny processes without CAP_SYS_PTRACE access to this process."""
    _check(_prctl(_PR_SET_DUMPABLE, 0), "prctl")


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapData(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def keep_capabilities(keep: tuple[int, ...]) -> None:
    """Give up all capabilities except `keep` (numbers below 32), also in all descendants.

    A process may lack some of `keep` from the start, as root in a container does.
    """
    for number in range(_LAST_CAP + 1):
        if number not in keep and _prctl(_PR_CAPBSET_DROP, number) < 0:
            break  # past the last capability that this kernel knows
    header = _CapHeader(_CAPABILITY_VERSION_3, 0)
    data = (_CapData * 2)()
    _check(_libc.capget(ctypes.byref(header), data), "capget")
    low = sum(1 << number for number in keep) & data[0].permitted
    data = (_CapData * 2)(_CapData(low, low, 0), _CapData(0, 0, 0))
    _check(_libc.capset(ctypes.byref(header), data), "capset")
    _check(_prctl(_PR_SET_NO_NEW_PRIVS, 1), "prctl")


def allow_ptrace() -> None:
    """Let the parent processes take descriptors from this process."""
    _check(_prctl(_PR_SET_DUMPABLE, 1), "prctl")


def leave_keyrings() -> None:
    """Start an empty session keyring, which puts the user's kernel keys out of reach."""
    number = _SYS_KEYCTL.get(os.uname().machine)
    if number is not None:  # on other machines the keys stay reachable
        _libc.syscall(_long(number), _long(_KEYCTL_JOIN_SESSION_KEYRING), None)


def raise_loopback() -> None:
    """Bring the interface `lo` of the current network namespace up."""
    af_inet, sock_dgram, siocgifflags, siocsifflags, iff_up = 2, 2, 0x8913, 0x8914, 0x1
    descriptor = _check(_libc.socket(af_inet, sock_dgram, 0), "socket")
    try:
        # struct ifreq is a name of 16 bytes, then a union; the flags in the union have 2 bytes.
        request = ctypes.create_string_buffer(b"lo", 40)
        address = ctypes.byref(request)
        _check(_libc.ioctl(descriptor, ctypes.c_ulong(siocgifflags), address), "ioctl")
        flags = ctypes.c_short.from_buffer(request, 16)
        flags.value |= iff_up
        _check(_libc.ioctl(descriptor, ctypes.c_ulong(siocsifflags), address), "ioctl")
    finally:
        os.close(descriptor)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def seccomp_install(code: bytes, listen: bool) -> int:
    """Install a filter on system calls; with `listen`, return the descriptor for the broker."""
    _check(_prctl(_PR_SET_NO_NEW_PRIVS, 1), "prctl")
    number = _SYS_SECCOMP[os.uname().machine]
    flags = _SECCOMP_FILTER_FLAG_NEW_LISTENER if listen else 0
    filter_ = _Program(len(code) // _BYTES_OF_AN_INSTRUCTION, code)
    arguments = (_long(number), _long(_SECCOMP_SET_MODE_FILTER), _long(flags))
    return _check(_libc.syscall(*arguments, ctypes.byref(filter_)), "seccomp")


# Landlock

LANDLOCK_MAKE_BLOCK, LANDLOCK_REFER = 1 << 11, 1 << 13  # rights on folders
LANDLOCK_NET_ALL = 0b11  # rights on TCP ports: bind and connect
LANDLOCK_SCOPE_ABSTRACT, LANDLOCK_SCOPE_SIGNAL, LANDLOCK_SCOPE_ALL = 0b01, 0b10, 0b11


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


class _NetPort(ctypes.Structure):
    _fields_ = (("allowed_access", ctypes.c_uint64), ("port", ctypes.c_uint64))


def landlock_version() -> int:
    """Return the version of Landlock's interface. Raises OSError if the kernel has no Landlock."""
    arguments = (_long(_SYS_LANDLOCK), None, ctypes.c_size_t(0), _long(1))
    return _check(_libc.syscall(*arguments), "landlock")


def landlock_ruleset(files: int, network: int, scopes: int) -> int:
    """Return the descriptor of a ruleset that denies these rights."""
    ruleset = _Ruleset(files, network, scopes)
    size = ctypes.c_size_t(ctypes.sizeof(ruleset))
    arguments = (_long(_SYS_LANDLOCK), ctypes.byref(ruleset), size, _long(0))
    return _check(_libc.syscall(*arguments), "landlock_create_ruleset")


def landlock_allow(ruleset: int, path: int, rights: int) -> None:
    """Add a rule to the ruleset: allow `rights` on everything below the descriptor `path`."""
    _landlock_add_rule(ruleset, 1, _Beneath(rights, path))


def landlock_allow_port(ruleset: int, port: int, rights: int) -> None:
    """Add a rule to the ruleset: allow `rights` on a TCP port."""
    _landlock_add_rule(ruleset, 2, _NetPort(rights, port))


def _landlock_add_rule(ruleset: int, kind: int, rule: ctypes.Structure) -> None:
    arguments = (_long(ruleset), _long(kind), ctypes.byref(rule), _long(0))
    _check(_libc.syscall(_long(_SYS_LANDLOCK + 1), *arguments), "landlock_add_rule")


def landlock_restrict(ruleset: int) -> None:
    """Apply the ruleset to this process and its descendants, and give up new privileges."""
    _check(_prctl(_PR_SET_NO_NEW_PRIVS, 1), "prctl")
    arguments = (_long(_SYS_LANDLOCK + 2), _long(ruleset), _long(0))
    _check(_libc.syscall(*arguments), "landlock_restrict_self")


# System calls for the broker (seccomp_unotify(2))


def ioctl(descriptor: int, request: int, argument: ctypes.Array[ctypes.c_char]) -> int:
    """Call ioctl(2) with a buffer."""
    return _check(_libc.ioctl(descriptor, ctypes.c_ulong(request), argument), "ioctl")


def take_descriptor(process: int, descriptor: int) -> int:
    """Return a copy of another process's descriptor; `process` is the process's pidfd."""
    arguments = (_long(_SYS_PIDFD_GETFD), _long(process), _long(descriptor), _long(0))
    return _check(_libc.syscall(*arguments), "pidfd_getfd")


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def open_in_root(root: int, path: bytes) -> int:
    """Open `path` as a process with the root folder `root` sees it, as O_PATH (openat2(2))."""
    how = _OpenHow(os.O_PATH | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT)
    arguments = (_long(root), path, ctypes.byref(how), ctypes.c_size_t(ctypes.sizeof(how)))
    return _check(_libc.syscall(_long(_SYS_OPENAT2), *arguments), "openat2")


def read_memory(pid: int, address: int, count: int) -> bytes:
    """Return up to `count` bytes of another process's memory; stop at the first missing page."""
    buffer = ctypes.create_string_buffer(count)
    local = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), count)
    remote = (ctypes.c_size_t * 2)(address, count)
    one, none = ctypes.c_ulong(1), ctypes.c_ulong(0)
    got = _libc.process_vm_readv(pid, local, one, remote, one, none)
    return buffer.raw[: _check(got, "process_vm_readv")]


def set_times(path: str, times: bytes | None) -> None:
    """Call utimensat(2) with two packed `struct timespec`; None means now."""
    arguments = (_AT_FDCWD, os.fsencode(path), times, 0)
    _check(_libc.utimensat(*arguments), "utimensat")


def connect(descriptor: int, address: bytes) -> None:
    """Call connect(2) with a `struct sockaddr`."""
    _check(_libc.connect(descriptor, address, len(address)), "connect")


def bind(descriptor: int, address: bytes) -> None:
    """Call bind(2) with a `struct sockaddr`."""
    _check(_libc.bind(descriptor, address, len(address)), "bind")


def listen(descriptor: int, backlog: int) -> None:
    """Call listen(2)."""
    _check(_libc.listen(descriptor, backlog), "listen")


def socket_address(descriptor: int) -> bytes:
    """Return the `struct sockaddr` to which a socket is bound."""
    buffer = ctypes.create_string_buffer(128)
    size = ctypes.c_uint32(128)
    _check(_libc.getsockname(descriptor, buffer, ctypes.byref(size)), "getsockname")
    return buffer.raw[: size.value]


def socket_option(descriptor: int, option: int) -> int:
    """Return an integer option of level SOL_SOCKET."""
    value, size = ctypes.c_int(), ctypes.c_uint32(4)
    where = (ctypes.byref(value), ctypes.byref(size))
    _check(_libc.getsockopt(descriptor, _SOL_SOCKET, option, *where), "getsockopt")
    return value.value
