# ruff: noqa: ARG001
# (a program of its own that must start quickly and use the calls themselves)
"""Attempts: parts of the kernel that all share. Each says what it tries."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import struct

from .known import ARM, Target, attempt, call


@attempt("io-uring", "io_uring")
def _(t: Target) -> object:
    return call(425, 425, 4, ctypes.create_string_buffer(120)) >= 0


@attempt("keyring", "the user's kernel keys")
def _(t: Target) -> object:
    return call(250, 219, 0, -4, 0) > 0  # KEYCTL_GET_KEYRING_ID, the user's


@attempt("session-keyring", "the session's kernel keys")
def _(t: Target) -> object:
    if not t["key"]:
        return None
    buffer = ctypes.create_string_buffer(64)
    call(250, 219, 11, t["key"], buffer, 64, 0)  # KEYCTL_READ
    return t["secret"].encode() in buffer.raw


@attempt("add-key", "a new kernel key")
def _(t: Target) -> object:
    return call(248, 217, b"user", b"canary", b"x", 1, -2) > 0  # the process keyring


@attempt("bpf", "programs in the kernel (bpf)")
def _(t: Target) -> object:
    attributes = ctypes.create_string_buffer(128)
    struct.pack_into("IIII", attributes, 0, 2, 4, 4, 1)  # an array of one number
    return call(321, 280, 0, attributes, 128) >= 0


@attempt("userfaultfd", "userfaultfd")
def _(t: Target) -> object:
    return call(323, 282, 1) >= 0  # UFFD_USER_MODE_ONLY, which needs no privilege


@attempt("perf", "performance events")
def _(t: Target) -> object:
    attributes = ctypes.create_string_buffer(128)
    struct.pack_into("IIQQQQQ", attributes, 0, 1, 128, 0, 0, 0, 0, 1 << 5)  # user code only
    return call(298, 241, attributes, 0, -1, -1, 0) >= 0


@attempt("fanotify", "watching all files of the machine")
def _(t: Target) -> object:
    return call(300, 262, 0x200, 0) >= 0  # FAN_REPORT_FID, which needs no privilege


@attempt("file-handle", "the handle of a file")
def _(t: Target) -> object:
    handle = ctypes.create_string_buffer(136)
    struct.pack_into("I", handle, 0, 128)
    mount = ctypes.c_int()
    return call(303, 264, -100, b"/", handle, ctypes.byref(mount), 0) == 0


@attempt("open-by-handle", "a file by its handle")
def _(t: Target) -> object:
    handle = ctypes.create_string_buffer(136)
    struct.pack_into("Ii", handle, 0, 8, 1)
    found = os.open(".", os.O_RDONLY)
    try:
        return call(304, 265, found, handle, 0) >= 0
    except OSError as error:
        return error.errno == errno.ESTALE  # asked for, and not found


@attempt("kernel-log", "the kernel's log")
def _(t: Target) -> object:
    buffer = ctypes.create_string_buffer(4096)
    return call(103, 116, 3, buffer, 4096) >= 0


@attempt("modules", "loading a kernel module")
def _(t: Target) -> object:
    try:
        return call(313, 273, os.open(".", os.O_RDONLY), b"", 0) == 0
    except OSError as error:
        return error.errno not in (errno.EPERM, errno.ENOSYS)


@attempt("kernel-memory", "the kernel's memory")
def _(t: Target) -> object:
    for name in ("/proc/kcore", "/dev/mem", "/dev/kmem", "/proc/kmsg", "/dev/kmsg"):
        try:
            os.close(os.open(name, os.O_RDONLY | os.O_NONBLOCK))
        except OSError:
            continue
        return name
    return None


@attempt("ports", "the machine's I/O ports")
def _(t: Target) -> object:
    return None if ARM else call(172, 0, 3) == 0


@attempt("foreign-calls", "system calls of 32 bits")
def _(t: Target) -> object:
    if os.uname().machine != "x86_64":
        return None
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(bytes.fromhex("b814000000cd80c3"))  # eax = getpid; int 0x80; ret
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    return ctypes.CFUNCTYPE(ctypes.c_int)(address)() > 0


@attempt("x32-calls", "system calls of the x32 table")
def _(t: Target) -> object:
    return None if ARM else call(0x40000000 + 39, 0) > 0


@attempt("sysctl", "the kernel's settings")
def _(t: Target) -> object:
    os.close(os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))
    return True


@attempt("sysrq", "the kernel's emergency keys")
def _(t: Target) -> object:
    os.close(os.open("/proc/sysrq-trigger", os.O_WRONLY))
    return True


@attempt("cgroup", "control groups")
def _(t: Target) -> object:
    for folder, _folders, files in os.walk("/sys/fs/cgroup"):
        for name in files:
            if name == "cgroup.procs":
                os.close(os.open(f"{folder}/{name}", os.O_WRONLY))
                return folder
    return None


@attempt("sysfs", "the kernel's devices")
def _(t: Target) -> object:
    os.close(os.open("/sys/kernel/uevent_helper", os.O_WRONLY))
    return True
