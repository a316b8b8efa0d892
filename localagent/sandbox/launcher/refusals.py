# ruff: noqa: PTH118
# (runs in the launcher, where pathlib is slow to import)
"""How often programs in a network namespace without a way out tried to reach another machine.

The kernel counts what it has no route for, each connection and datagram once. A library catches
the error and goes on; the number stays. Runs in the launcher, standard library alone.
"""

from __future__ import annotations

import os


class Refusals:
    """Counts from now on. `folder` is the `net` folder in /proc of a process in the namespace,
    which may end before the count: the open files stay those of its namespace."""

    def __init__(self, folder: str) -> None:
        self._files = [_opened(os.path.join(folder, name)) for name in ("snmp", "snmp6")]
        self._before = self._all()

    def count(self) -> int:
        """The packets without a route; 0 where that cannot be read."""
        return max(self._all() - self._before, 0)

    def _all(self) -> int:
        ipv4, ipv6 = map(_lines, self._files)
        return _of_ipv4(ipv4) + _of_ipv6(ipv6)


def _of_ipv4(lines: list[str]) -> int:
    """From pairs of lines, a protocol's names and its values (proc_net(5))."""
    rows = [line.split() for line in lines if line.startswith("Ip: ")]
    if len(rows) != 2:
        return 0
    return int(dict(zip(*rows, strict=False)).get("OutNoRoutes", 0))


def _of_ipv6(lines: list[str]) -> int:
    rows = [line.split() for line in lines]
    return sum(int(row[1]) for row in rows if row[:1] == ["Ip6OutNoRoutes"])


def _opened(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def _lines(descriptor: int) -> list[str]:
    """The file as it is now."""
    parts, at = [], 0
    try:
        while part := os.pread(descriptor, 1 << 14, at):
            parts.append(part)
            at += len(part)
    except OSError:
        return []
    return b"".join(parts).decode().splitlines()
