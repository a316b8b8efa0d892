# ruff: noqa: ARG001
# (a program of its own that must start quickly and use the calls themselves)
"""Attempts: other machines, and servers of this one. Each says what it tries."""

from __future__ import annotations

import os
import socket
import struct

from .known import Target, attempt


def _tcp(family: int, address: tuple[str, int], protocol: int = 0) -> bool:
    with socket.socket(family, socket.SOCK_STREAM, protocol) as s:
        s.settimeout(2.0)
        s.connect(address)
    return True


def _sent(family: int, kind: int, protocol: int, address: tuple[str, int]) -> bool:
    with socket.socket(family, kind, protocol) as s:
        s.sendto(b"\x08\x00\xf7\xff\x00\x00\x00\x00", address)
    return True


@attempt("tcp", "TCP to a server of this machine")
def _(t: Target) -> object:
    return _tcp(socket.AF_INET, ("127.0.0.1", t["tcp"]))


@attempt("tcp6", "TCP over IPv6 to a server of this machine")
def _(t: Target) -> object:
    return _tcp(socket.AF_INET6, ("::1", t["tcp6"]))


@attempt("tcp-mapped", "TCP to an IPv4 address written as IPv6")
def _(t: Target) -> object:
    return _tcp(socket.AF_INET6, ("::ffff:127.0.0.1", t["tcp"]))


@attempt("tcp-out", "TCP to another machine")
def _(t: Target) -> object:
    return _tcp(socket.AF_INET, ("192.0.2.1", 80))


@attempt("tcp6-out", "TCP over IPv6 to another machine")
def _(t: Target) -> object:
    return _tcp(socket.AF_INET6, ("2001:db8::1", 80))


@attempt("tcp-port", "TCP to a port that is free to use")
def _(t: Target) -> object:
    return _tcp(socket.AF_INET, ("192.0.2.1", 443))


@attempt("fast-open", "TCP without connect (fast open)")
def _(t: Target) -> object:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
        return s.sendto(b"canary", 0x20000000, ("127.0.0.1", t["tcp"]))


@attempt("mptcp", "multipath TCP")
def _(t: Target) -> object:
    return _tcp(socket.AF_INET, ("127.0.0.1", t["tcp"]), 262)


@attempt("udp", "UDP to a server of this machine")
def _(t: Target) -> object:
    _sent(socket.AF_INET, socket.SOCK_DGRAM, 0, ("127.0.0.1", t["udp"]))
    return None  # what arrives is seen there: a network of its own has a loopback too


@attempt("udp6", "UDP over IPv6 to a server of this machine")
def _(t: Target) -> object:
    _sent(socket.AF_INET6, socket.SOCK_DGRAM, 0, ("::1", t["udp6"]))
    return None


@attempt("udp-out", "UDP to another machine")
def _(t: Target) -> object:
    return _sent(socket.AF_INET, socket.SOCK_DGRAM, 0, ("192.0.2.1", 53))


@attempt("udp6-out", "UDP over IPv6 to another machine")
def _(t: Target) -> object:
    return _sent(socket.AF_INET6, socket.SOCK_DGRAM, 0, ("2001:db8::1", 53))


@attempt("dns", "looking up a name")
def _(t: Target) -> object:
    return socket.getaddrinfo("canary.example.com", 80)[0][4][0]


@attempt("icmp", "a ping")
def _(t: Target) -> object:
    return _sent(socket.AF_INET, socket.SOCK_DGRAM, 1, ("192.0.2.1", 0))


@attempt("icmp6", "a ping over IPv6")
def _(t: Target) -> object:
    return _sent(socket.AF_INET6, socket.SOCK_DGRAM, 58, ("2001:db8::1", 0))


@attempt("multicast", "a message to all in the network")
def _(t: Target) -> object:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        return s.sendto(b"canary", ("192.0.2.255", 9))


def _opens(family: int, kind: int, protocol: int = 0) -> bool:
    socket.socket(family, kind, protocol).close()
    return True


@attempt("raw", "raw IP packets")
def _(t: Target) -> object:
    return _opens(socket.AF_INET, socket.SOCK_RAW, 1)


@attempt("raw6", "raw IPv6 packets")
def _(t: Target) -> object:
    return _opens(socket.AF_INET6, socket.SOCK_RAW, 58)


@attempt("packet", "raw frames of the network card")
def _(t: Target) -> object:
    return _opens(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))


@attempt("vsock", "a virtual machine's line to its host")
def _(t: Target) -> object:
    return _opens(40, socket.SOCK_STREAM)


@attempt("sctp", "SCTP")
def _(t: Target) -> object:
    return _tcp(socket.AF_INET, ("127.0.0.1", t["tcp"]), 132)


@attempt("netlink-audit", "the kernel's audit channel")
def _(t: Target) -> object:
    return _opens(socket.AF_NETLINK, socket.SOCK_RAW, 9)


@attempt("netlink-events", "the kernel's device events")
def _(t: Target) -> object:
    return _opens(socket.AF_NETLINK, socket.SOCK_DGRAM, 15)


@attempt("netlink-filter", "the packet filter")
def _(t: Target) -> object:
    return _opens(socket.AF_NETLINK, socket.SOCK_RAW, 12)


@attempt("netlink-route", "the machine's network interfaces")
def _(t: Target) -> object:
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


@attempt("alg", "the kernel's cipher sockets")
def _(t: Target) -> object:
    return _opens(38, socket.SOCK_SEQPACKET)


@attempt("xdp", "express sockets of the network card")
def _(t: Target) -> object:
    return _opens(44, socket.SOCK_RAW)


@attempt("key", "the kernel's IPsec keys")
def _(t: Target) -> object:
    return _opens(15, socket.SOCK_RAW, 2)


@attempt("proxies", "proxies and agents named in the environment")
def _(t: Target) -> object:
    words = ("_proxy", "ssh_auth", "dbus", "docker", "gpg_agent", "display", "xauthority")
    return [name for name in os.environ if any(word in name.lower() for word in words)]
