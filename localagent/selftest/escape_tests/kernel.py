# ruff: noqa: PTH102, PTH109, PTH123
# (a separate program that must start quickly and make the calls directly)
"""Escape tests: mounts, namespaces, privileges, and kernel interfaces that all programs share."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import signal
import struct

from . import ARM, Target, add, call, can_open, checked, escape_test, libc, successes

_REFUSALS = (errno.EPERM, errno.ENOSYS, errno.EACCES)
_REMOUNT = 0x20 | 0x1000  # MS_REMOUNT, MS_BIND

# Mounts and roots


@escape_test("mount", "mounting")
def _(_t: Target) -> object:
    os.mkdir("mnt")
    checked(libc.mount(b"none", b"mnt", b"tmpfs", 0, None))
    return libc.umount2(b"mnt", 2) == 0


@escape_test("bind-mount", "mounting a folder a second time")
def _(t: Target) -> object:
    os.mkdir("bound")
    checked(libc.mount(t["home"].encode(), b"bound", None, 4096, None))
    return libc.umount2(b"bound", 2) == 0


@escape_test("remount", "making everything writable")
def _(t: Target) -> object:
    def remount(path: str) -> bool:
        return checked(libc.mount(b"", os.fsencode(path), None, _REMOUNT, None)) == 0

    return successes((t["home"], "/") if t["sandboxed"] else (t["home"],), remount)


@escape_test("umount", "unmounting what hides a folder")
def _(t: Target) -> object:
    paths = (t["hidden"], "/tmp", os.getcwd(), "/proc", "/dev/shm")
    return t["sandboxed"] and successes(paths, lambda p: libc.umount2(os.fsencode(p), 2) == 0)


@escape_test("mount-attributes", "changing the attributes of a mount")
def _(t: Target) -> object:
    attributes = (ctypes.c_uint64 * 4)(0, 1, 0, 0)  # clear MOUNT_ATTR_RDONLY
    return call(442, 442, -100, t["home"].encode(), 0, attributes, 32) == 0


@escape_test("pivot-root", "another root by pivot_root")
def _(_t: Target) -> object:
    os.mkdir("newroot")
    try:
        return call(155, 41, b"newroot", b"newroot") == 0
    except OSError as error:
        return error.errno not in _REFUSALS


@escape_test("chroot", "another root by chroot")
def _(_t: Target) -> object:
    os.mkdir("jail")
    os.chroot("jail")
    return True


add(  # OPEN_TREE_CLONE
    "new-mount", "mounting by descriptors", lambda _: call(428, 428, -100, b"/", 1) >= 0
)
add("fsopen", "a new file system", lambda _: call(430, 430, b"tmpfs", 0) >= 0)

# Namespaces

for _name, _what, _flag in (
    ("new-users", "a user namespace", 0x10000000),
    ("new-mounts", "a mount namespace", 0x00020000),
    ("new-network", "a network namespace", 0x40000000),
):
    add(_name, _what, lambda _, flag=_flag: checked(libc.unshare(flag)) == 0)  # type: ignore[misc]


def _child_made(pid: int) -> bool:
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return True


add(
    "clone-users",
    "a user namespace by clone",
    lambda _: _child_made(call(56, 220, 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0)),
)


@escape_test("clone3-users", "a user namespace by clone3")
def _(_t: Target) -> object:
    arguments = (ctypes.c_uint64 * 11)(0x10000000, 0, 0, 0, signal.SIGCHLD)
    return _child_made(call(435, 435, arguments, 88))


# Devices, privileges and terminals


@escape_test("device", "making the device file of a disk")
def _(_t: Target) -> object:
    os.mknod("disk", 0o60600, os.makedev(254, 0))
    return can_open("disk")


@escape_test("disk", "the machine's disks")
def _(_t: Target) -> object:
    names = ("vda", "sda", "nvme0n1", "dm-0", "loop0", "kvm", "fuse")
    return successes([f"/dev/{name}" for name in names], can_open)


add(  # PR_GET_NO_NEW_PRIVS
    "set-user-id",
    "rights from programs that run as root",
    lambda _: libc.prctl(39, 0, 0, 0, 0) == 0,
)


@escape_test("capabilities", "root's privileges")
def _(_t: Target) -> object:
    with open("/proc/self/status") as file:
        rows = dict(line.split(":", 1) for line in file if ":" in line)
    # CHOWN, DAC_OVERRIDE, FOWNER and FSETID: the capabilities by which root reaches files.
    allowed = 0b11011 if os.getuid() == 0 else 0
    names = ["CapEff", "CapPrm", "CapInh", "CapAmb"]
    if not int(rows["NoNewPrivs"]):
        names.append("CapBnd")  # capabilities that a program could still get
    return [name for name in names if int(rows[name], 16) & ~allowed]


add("terminal", "the terminal that localagent runs in", lambda _: can_open("/dev/tty", os.O_RDWR))


@escape_test("typing", "typing into a terminal")
def _(_t: Target) -> object:
    import fcntl

    _leader, follower = os.openpty()
    os.setsid()
    fcntl.ioctl(follower, 0x540E, 0)  # TIOCSCTTY
    fcntl.ioctl(follower, 0x5412, b"x")  # TIOCSTI
    return True


@escape_test("terminals", "other terminals of this user")
def _(t: Target) -> object:
    flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK
    paths = [f"/dev/pts/{number}" for number in range(20)]
    return t["sandboxed"] and successes(paths, lambda path: can_open(path, flags))


@escape_test("core", "core dumps")
def _(_t: Target) -> object:
    import resource

    return resource.getrlimit(resource.RLIMIT_CORE)[1] != 0


# Keys

add(  # KEYCTL_GET_KEYRING_ID, of the user
    "keyring", "the user's kernel keys", lambda _: call(250, 219, 0, -4, 0) > 0
)
add(  # to the process keyring
    "add-key", "a new kernel key", lambda _: call(248, 217, b"user", b"canary", b"x", 1, -2) > 0
)


@escape_test("session-keyring", "the session's kernel keys")
def _(t: Target) -> object:
    if not t["key"]:
        return None
    buffer = ctypes.create_string_buffer(64)
    call(250, 219, 11, t["key"], buffer, 64, 0)  # KEYCTL_READ
    return t["secret"].encode() in buffer.raw


# Young and large parts of the kernel

add(
    "io-uring",
    "io_uring",
    lambda _: call(425, 425, 4, ctypes.create_string_buffer(120)) >= 0,
)
add("userfaultfd", "userfaultfd", lambda _: call(323, 282, 1) >= 0)  # UFFD_USER_MODE_ONLY
add(  # FAN_REPORT_FID, which needs no privilege
    "fanotify", "watching all files of the machine", lambda _: call(300, 262, 0x200, 0) >= 0
)


@escape_test("bpf", "programs in the kernel (bpf)")
def _(_t: Target) -> object:
    attributes = ctypes.create_string_buffer(128)
    struct.pack_into("IIII", attributes, 0, 2, 4, 4, 1)  # an array of one number
    return call(321, 280, 0, attributes, 128) >= 0


@escape_test("perf", "performance events")
def _(_t: Target) -> object:
    attributes = ctypes.create_string_buffer(128)
    struct.pack_into("IIQQQQQ", attributes, 0, 1, 128, 0, 0, 0, 0, 1 << 5)  # exclude_kernel
    return call(298, 241, attributes, 0, -1, -1, 0) >= 0


@escape_test("file-handle", "the handle of a file")
def _(_t: Target) -> object:
    handle = ctypes.create_string_buffer(136)
    struct.pack_into("I", handle, 0, 128)
    mount = ctypes.c_int()
    return call(303, 264, -100, b"/", handle, ctypes.byref(mount), 0) == 0


@escape_test("open-by-handle", "a file by its handle")
def _(_t: Target) -> object:
    handle = ctypes.create_string_buffer(136)
    struct.pack_into("Ii", handle, 0, 8, 1)
    try:
        return call(304, 265, os.open(".", os.O_RDONLY), handle, 0) >= 0
    except OSError as error:
        return error.errno == errno.ESTALE  # the kernel searched, and did not find the file


# The kernel itself


@escape_test("kernel-log", "the kernel's log")
def _(_t: Target) -> object:
    buffer = ctypes.create_string_buffer(4096)
    return call(103, 116, 3, buffer, 4096) >= 0


@escape_test("modules", "loading a kernel module")
def _(_t: Target) -> object:
    try:
        return call(313, 273, os.open(".", os.O_RDONLY), b"", 0) == 0
    except OSError as error:
        return error.errno not in (errno.EPERM, errno.ENOSYS)


@escape_test("kernel-memory", "the kernel's memory")
def _(_t: Target) -> object:
    paths = ("/proc/kcore", "/dev/mem", "/dev/kmem", "/proc/kmsg", "/dev/kmsg")
    return successes(paths, lambda path: can_open(path, os.O_RDONLY | os.O_NONBLOCK))


add("ports", "the machine's I/O ports", lambda _: None if ARM else call(172, 0, 3) == 0)
add(
    "x32-calls",
    "system calls of the x32 table",
    lambda _: None if ARM else call(0x40000000 + 39, 0) > 0,
)


@escape_test("foreign-calls", "system calls of 32 bits")
def _(_t: Target) -> object:
    if os.uname().machine != "x86_64":
        return None
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(bytes.fromhex("b814000000cd80c3"))  # eax = getpid; int 0x80; ret
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    return ctypes.CFUNCTYPE(ctypes.c_int)(address)() > 0


for _name, _what, _path in (
    ("sysctl", "the kernel's settings", "/proc/sys/kernel/core_pattern"),
    ("sysrq", "the kernel's emergency keys", "/proc/sysrq-trigger"),
    ("sysfs", "the kernel's devices", "/sys/kernel/uevent_helper"),
):
    add(_name, _what, lambda _, path=_path: can_open(path, os.O_WRONLY))  # type: ignore[misc]


@escape_test("cgroup", "control groups")
def _(_t: Target) -> object:
    for folder, _folders, files in os.walk("/sys/fs/cgroup"):
        if "cgroup.procs" in files:
            can_open(f"{folder}/cgroup.procs", os.O_WRONLY)
            return folder
    return None
