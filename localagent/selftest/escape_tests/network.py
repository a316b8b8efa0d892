# ruff: noqa: PTH119, PTH120, PTH211
# (a separate program that must start quickly and make the calls directly)
"""Escape tests: reach other machines, servers of this one, and sockets of other programs."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys

from . import Target, add, escape_test, libc

_INET, _INET6, _UDP = socket.AF_INET, socket.AF_INET6, socket.SOCK_DGRAM
_PING = b"\x08\x00\xf7\xff\x00\x00\x00\x00"


def _tcp(family: int, address: tuple[str, int], protocol: int = 0) -> bool:
    with socket.socket(family, socket.SOCK_STREAM, protocol) as s:
        s.settimeout(2.0)
        s.connect(address)
    return True


def _send(family: int, address: tuple[str, int], protocol: int = 0) -> bool:
    with socket.socket(family, _UDP, protocol) as s:
        s.sendto(_PING, address)
    return True


# Servers of this machine. A sandbox's network may have its own loopback interface, so the target
# records the datagrams that arrive.

add("tcp", "TCP to a server of this machine", lambda t: _tcp(_INET, ("127.0.0.1", t["tcp"])))
add(
    "tcp6",
    "TCP over IPv6 to a server of this machine",
    lambda t: _tcp(_INET6, ("::1", t["tcp6"])),
)
add(
    "tcp-mapped",
    "TCP to an IPv4 address written as IPv6",
    lambda t: _tcp(_INET6, ("::ffff:127.0.0.1", t["tcp"])),
)
add("mptcp", "multipath TCP", lambda t: _tcp(_INET, ("127.0.0.1", t["tcp"]), 262))
add("sctp", "SCTP", lambda t: _tcp(_INET, ("127.0.0.1", t["tcp"]), 132))


@escape_test("fast-open", "TCP without connect (fast open)")
def _(t: Target) -> object:
    with socket.socket(_INET, socket.SOCK_STREAM) as s:
        return s.sendto(b"canary", 0x20000000, ("127.0.0.1", t["tcp"]))


@escape_test("udp", "UDP to a server of this machine")
def _(t: Target) -> None:
    _send(_INET, ("127.0.0.1", t["udp"]))


@escape_test("udp6", "UDP over IPv6 to a server of this machine")
def _(t: Target) -> None:
    _send(_INET6, ("::1", t["udp6"]))


# Other machines; the addresses are reserved for documentation and belong to nobody

add("tcp-out", "TCP to another machine", lambda _: _tcp(_INET, ("192.0.2.1", 80)))
add("tcp6-out", "TCP over IPv6 to another machine", lambda _: _tcp(_INET6, ("2001:db8::1", 80)))
add("tcp-port", "TCP to a port that is free to use", lambda _: _tcp(_INET, ("192.0.2.1", 443)))
add("udp-out", "UDP to another machine", lambda _: _send(_INET, ("192.0.2.1", 53)))
add("udp6-out", "UDP over IPv6 to another machine", lambda _: _send(_INET6, ("2001:db8::1", 53)))
add("icmp", "a ping", lambda _: _send(_INET, ("192.0.2.1", 0), 1))
add("icmp6", "a ping over IPv6", lambda _: _send(_INET6, ("2001:db8::1", 0), 58))
add(
    "dns",
    "looking up a host name",
    lambda _: socket.getaddrinfo("canary.example.com", 80)[0][4][0],
)


@escape_test("multicast", "a broadcast to the network")
def _(_t: Target) -> object:
    with socket.socket(_INET, _UDP) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        return s.sendto(b"canary", ("192.0.2.255", 9))


# Kinds of sockets


def _can_make_socket(family: int, kind: int, protocol: int = 0) -> bool:
    socket.socket(family, kind, protocol).close()
    return True


for _name, _what, _socket in (
    ("raw", "raw IP packets", (_INET, socket.SOCK_RAW, 1)),
    ("raw6", "raw IPv6 packets", (_INET6, socket.SOCK_RAW, 58)),
    ("packet", "raw frames of the network card", (socket.AF_PACKET, 3, socket.htons(3))),
    ("vsock", "a virtual machine's line to its host", (40, socket.SOCK_STREAM)),
    ("netlink-audit", "the kernel's audit channel", (socket.AF_NETLINK, socket.SOCK_RAW, 9)),
    ("netlink-events", "the kernel's device events", (socket.AF_NETLINK, _UDP, 15)),
    ("netlink-filter", "the packet filter", (socket.AF_NETLINK, socket.SOCK_RAW, 12)),
    ("alg", "the kernel's cipher sockets", (38, socket.SOCK_SEQPACKET)),
    ("xdp", "express sockets of the network card", (44, socket.SOCK_RAW)),
    ("key", "the kernel's IPsec keys", (15, socket.SOCK_RAW, 2)),
):
    add(_name, _what, lambda _, arguments=_socket: _can_make_socket(*arguments))  # type: ignore[misc]


@escape_test("netlink-route", "the machine's network interfaces")
def _(_t: Target) -> object:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as s:
        s.settimeout(2.0)
        # RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP
        s.send(struct.pack("=IHHIIBBHiII", 32, 18, 0x301, 1, 0, 0, 0, 0, 0, 0, 0))
        data = s.recv(65536)
    kinds = []
    while len(data) >= 32:
        length, kind = struct.unpack_from("=IH", data)
        if kind == 16:  # RTM_NEWLINK; 772 is the loopback
            kinds.append(struct.unpack_from("=H", data, 18)[0])
        data = data[max((length + 3) & ~3, 16) :]
    return [kind for kind in kinds if kind != 772] if kinds else None


# Sockets of other programs


def _unix(address: str | bytes, kind: int = socket.SOCK_STREAM) -> bool:
    with socket.socket(socket.AF_UNIX, kind) as s:
        s.settimeout(2.0)
        s.connect(address)
        s.send(b"canary")
    return True


for _name, _what, _kind in (
    ("unix", "a socket in the home", socket.SOCK_STREAM),
    ("unix-datagram", "a datagram socket in the home", _UDP),
    ("unix-relative", "a socket that has a relative path", socket.SOCK_STREAM),
    ("unix-relative-datagram", "a datagram socket that has a relative path", _UDP),
    ("unix-tmp", "a socket in /tmp", socket.SOCK_STREAM),
    ("unix-workspace", "a socket in the workspace", socket.SOCK_STREAM),
    ("unix-workspace-datagram", "a datagram socket in the workspace", _UDP),
    ("docker", "Docker's socket", socket.SOCK_STREAM),
    ("ssh-agent", "the ssh agent", socket.SOCK_STREAM),
    ("dbus", "the session's D-Bus", socket.SOCK_STREAM),
):
    add(_name, _what, lambda t, n=_name, k=_kind: _unix(t[n.replace("-", "_")], k))  # type: ignore[misc]
add("abstract", "an abstract socket", lambda t: _unix(b"\0" + t["abstract"].encode()))
add(
    "abstract-datagram",
    "an abstract datagram socket",
    lambda t: _unix(b"\0" + t["abstract_datagram"].encode(), _UDP),
)


@escape_test("unix-pair", "a datagram from a connected pair of sockets")
def _(t: Target) -> object:
    one, _other = socket.socketpair(socket.AF_UNIX, _UDP)
    return one.sendto(b"canary", t["unix_datagram"])


@escape_test("unix-link", "a socket by a link in the workspace")
def _(t: Target) -> object:
    os.symlink(t["unix"], "link.sock")
    return _unix("link.sock")


@escape_test("unix-proc", "a socket by a descriptor's path")
def _(t: Target) -> object:
    folder = os.open(os.path.dirname(t["unix"]), os.O_PATH)
    return _unix(f"/proc/self/fd/{folder}/{os.path.basename(t['unix'])}")


@escape_test("unix-race", "a socket's name changed while the call waits")
def _(t: Target) -> None:
    import threading

    address = ctypes.create_string_buffer(110)
    names = ("own.sock", t["unix_race"])
    good, bad = (struct.pack("H", 1) + os.fsencode(name) + b"\0" for name in names)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("own.sock")
        server.listen(500)
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


@escape_test("proxies", "proxies and agents named in the environment")
def _(_t: Target) -> object:
    words = ("_proxy", "ssh_auth", "dbus", "docker", "gpg_agent", "display", "xauthority")
    return [name for name in os.environ if any(word in name.lower() for word in words)]
