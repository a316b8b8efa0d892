# ruff: noqa: PTH115
# ruff: noqa: PTH119, PTH120, PTH123, PTH208, PTH211, ARG001
# (a program of its own that must start quickly and use the calls themselves)
"""Attempts: sockets of other programs, and what was left open or said. Each says what it tries."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys

from .known import Target, attempt, libc


def _local(address: str | bytes, kind: int = socket.SOCK_STREAM) -> bool:
    with socket.socket(socket.AF_UNIX, kind) as s:
        s.settimeout(2.0)
        s.connect(address)
        s.send(b"canary")
    return True


@attempt("unix", "a socket in the home")
def _(t: Target) -> object:
    return _local(t["unix"])


@attempt("unix-datagram", "a datagram socket in the home")
def _(t: Target) -> object:
    return _local(t["unix_datagram"], socket.SOCK_DGRAM)


@attempt("unix-pair", "a datagram from a connected pair of sockets")
def _(t: Target) -> object:
    one, _other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    return one.sendto(b"canary", t["unix_datagram"])


@attempt("unix-tmp", "a socket in /tmp")
def _(t: Target) -> object:
    return _local(t["unix_tmp"])


@attempt("unix-link", "a socket by a link in the workspace")
def _(t: Target) -> object:
    os.symlink(t["unix"], "link.sock")
    return _local("link.sock")


@attempt("unix-proc", "a socket by a descriptor's path")
def _(t: Target) -> object:
    found = os.open(os.path.dirname(t["unix"]), os.O_PATH)
    return _local(f"/proc/self/fd/{found}/{os.path.basename(t['unix'])}")


@attempt("unix-race", "a socket's name changed while the call waits")
def _(t: Target) -> object:
    import threading

    address = ctypes.create_string_buffer(110)
    names = ("own.sock", t["unix_race"])
    good, bad = (struct.pack("H", 1) + os.fsencode(name) + b"\0" for name in names)
    with socket.socket(socket.AF_UNIX) as own:
        own.bind("own.sock")
        own.listen(500)
        stop = threading.Event()
        sys.setswitchinterval(1e-6)

        def swap() -> None:
            while not stop.is_set():
                address.raw = good.ljust(110, b"\0")
                address.raw = bad.ljust(110, b"\0")

        threading.Thread(target=swap, daemon=True).start()
        for _ in range(200):
            with socket.socket(socket.AF_UNIX) as s:
                s.setblocking(False)
                libc.connect(s.fileno(), address, 110)
        stop.set()
    return None  # what arrives is seen outside


@attempt("abstract", "an abstract socket")
def _(t: Target) -> object:
    return _local(b"\0" + t["abstract"].encode())


@attempt("docker", "Docker's socket")
def _(t: Target) -> object:
    return _local(t["docker"])


@attempt("ssh-agent", "the ssh agent")
def _(t: Target) -> object:
    return _local(t["ssh_agent"])


@attempt("dbus", "the session's D-Bus")
def _(t: Target) -> object:
    return _local(t["dbus"])


# What was left open or said in passing


@attempt("descriptors", "files that localagent has open")
def _(t: Target) -> object:
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            path = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the listing's own
        if int(name) > 2 and not path.startswith(("pipe:", "/dev/null", "/proc/")):
            found.append(path)
    return found


@attempt("environment", "secrets in the environment")
def _(t: Target) -> object:
    return [name for name, value in os.environ.items() if t["secret"] in value]


@attempt("cmdline", "secrets on the command line of this command's parents")
def _(t: Target) -> object:
    with open(f"/proc/{os.getppid()}/cmdline") as file:
        return t["secret"] in file.read()
