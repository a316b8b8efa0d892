# ruff: noqa: PTH118, PTH123
# (runs in the launcher, where pathlib is slow to import)
"""How often programs in a network namespace without a way out tried to reach another machine.

The kernel counts what it has no route for, each connection and datagram once. A library catches
the error and goes on; the number stays. Runs in the launcher, standard library alone.
"""

from __future__ import annotations

import os


def refused(folder: str) -> int:
    """The packets without a route; `folder` is the `net` folder in /proc of a process that is in
    the namespace. 0 where it cannot be read."""
    return _of_ipv4(_read(folder, "snmp")) + _of_ipv6(_read(folder, "snmp6"))


def _of_ipv4(lines: list[str]) -> int:
    """From pairs of lines, a protocol's names and its values (proc_net(5))."""
    rows = [line.split() for line in lines if line.startswith("Ip: ")]
    if len(rows) != 2:
        return 0
    return int(dict(zip(*rows, strict=False)).get("OutNoRoutes", 0))


def _of_ipv6(lines: list[str]) -> int:
    rows = [line.split() for line in lines]
    return sum(int(row[1]) for row in rows if row[:1] == ["Ip6OutNoRoutes"])


def _read(folder: str, name: str) -> list[str]:
    try:
        with open(os.path.join(folder, name)) as file:
            return file.read().splitlines()
    except OSError:
        return []
