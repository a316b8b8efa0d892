# ruff: noqa: PTH102, PTH109
# ruff: noqa: PTH123, ARG001
# (a program of its own that must start quickly and use the calls themselves)
"""Attempts: mounts, namespaces, privileges. Each says what it tries."""

from __future__ import annotations

import ctypes
import errno
import os
import signal

from .known import Target, attempt, call, libc, opened


@attempt("mount", "mounting")
def _(t: Target) -> object:
    os.mkdir("mnt")
    if libc.mount(b"none", b"mnt", b"tmpfs", 0, None) < 0:
        raise OSError(ctypes.get_errno(), "mount")
    return libc.umount2(b"mnt", 2) == 0


@attempt("bind-mount", "mounting a folder a second time")
def _(t: Target) -> object:
    os.mkdir("bound")
    if libc.mount(t["home"].encode(), b"bound", None, 4096, None) < 0:
        raise OSError(ctypes.get_errno(), "mount")
    return libc.umount2(b"bound", 2) == 0


@attempt("remount", "making everything writable")
def _(t: Target) -> object:
    if libc.mount(b"", t["home"].encode(), None, 0x20 | 0x1000, None) < 0:
        raise OSError(ctypes.get_errno(), "mount")
    return True


@attempt("umount", "unmounting what hides a folder")
def _(t: Target) -> object:
    places = (t["hidden"], "/tmp", os.getcwd(), "/proc", "/dev/shm")
    return [p for p in places if t["sandboxed"] and libc.umount2(os.fsencode(p), 2) == 0]


@attempt("new-mount", "mounting by descriptors")
def _(t: Target) -> object:
    return call(428, 428, -100, b"/", 1) >= 0  # open_tree, OPEN_TREE_CLONE


@attempt("fsopen", "a new file system")
def _(t: Target) -> object:
    return call(430, 430, b"tmpfs", 0) >= 0


@attempt("mount-attributes", "changing how things are mounted")
def _(t: Target) -> object:
    attributes = (ctypes.c_uint64 * 4)(0, 1, 0, 0)  # clear MOUNT_ATTR_RDONLY
    return call(442, 442, -100, t["home"].encode(), 0, attributes, 32) == 0


@attempt("pivot-root", "another root by pivot_root")
def _(t: Target) -> object:
    os.mkdir("newroot")
    try:
        return call(155, 41, b"newroot", b"newroot") == 0
    except OSError as error:
        return error.errno not in (errno.EPERM, errno.ENOSYS, errno.EACCES)


@attempt("chroot", "another root by chroot")
def _(t: Target) -> object:
    os.mkdir("jail")
    os.chroot("jail")
    return True


def _unshares(flag: int) -> bool:
    if libc.unshare(flag) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return True


@attempt("new-users", "a user namespace")
def _(t: Target) -> object:
    return _unshares(0x10000000)


@attempt("new-mounts", "a mount namespace")
def _(t: Target) -> object:
    return _unshares(0x00020000)


@attempt("new-network", "a network namespace")
def _(t: Target) -> object:
    return _unshares(0x40000000)


@attempt("clone-users", "a user namespace by clone")
def _(t: Target) -> object:
    pid = call(56, 220, 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return True


@attempt("clone3-users", "a user namespace by clone3")
def _(t: Target) -> object:
    arguments = (ctypes.c_uint64 * 11)(0x10000000, 0, 0, 0, signal.SIGCHLD)
    pid = call(435, 435, arguments, 88)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return True


@attempt("device", "making the device file of a disk")
def _(t: Target) -> object:
    os.mknod("disk", 0o60600, os.makedev(254, 0))
    os.close(os.open("disk", os.O_RDONLY))
    return True


@attempt("disk", "the machine's disks")
def _(t: Target) -> object:
    for name in ("vda", "sda", "nvme0n1", "dm-0", "loop0", "kvm", "fuse"):
        try:
            os.close(os.open(f"/dev/{name}", os.O_RDONLY))
        except OSError:
            continue
        return name
    return None


@attempt("set-user-id", "rights from programs that run as root")
def _(t: Target) -> object:
    return libc.prctl(39, 0, 0, 0, 0) == 0  # PR_GET_NO_NEW_PRIVS


@attempt("capabilities", "root's privileges")
def _(t: Target) -> object:
    with open("/proc/self/status") as file:
        rows = dict(line.split(":", 1) for line in file if ":" in line)
    files = 0b11011  # CHOWN, DAC_OVERRIDE, FOWNER, FSETID, by which root reaches files
    names = ["CapEff", "CapPrm", "CapInh", "CapAmb"]
    if not int(rows["NoNewPrivs"]):
        names.append("CapBnd")  # what a program could still be given
    return [name for name in names if int(rows[name], 16) & ~files]


@attempt("terminal", "the terminal that localagent runs in")
def _(t: Target) -> object:
    os.close(os.open("/dev/tty", os.O_RDWR))
    return True


@attempt("typing", "typing into a terminal")
def _(t: Target) -> object:
    import fcntl

    _leader, follower = os.openpty()
    os.setsid()
    fcntl.ioctl(follower, 0x540E, 0)  # TIOCSCTTY
    fcntl.ioctl(follower, 0x5412, b"x")  # TIOCSTI
    return True


@attempt("terminals", "other terminals of this user")
def _(t: Target) -> object:
    return opened([f"/dev/pts/{n}" for n in range(20)] if t["sandboxed"] else [])


@attempt("core", "core dumps")
def _(t: Target) -> object:
    import resource

    return resource.getrlimit(resource.RLIMIT_CORE)[1] != 0
