# ruff: noqa: PTH110, PTH118, PTH123, PTH208
# (runs in the launcher, where pathlib is slow to import)
"""Limits on all processes of a command together: memory, and what it writes to the disk.

The kernel's own limits count for a process or a file. Control groups would count for all, but an
ordinary user has none to give on many systems; so the launcher looks, ten times a second. Runs in
the launcher, standard library alone.
"""

from __future__ import annotations

import os
import time


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


_PAGE = os.sysconf("SC_PAGE_SIZE")
_TELLS_CHILDREN = os.path.exists("/proc/thread-self/children")  # CONFIG_PROC_CHILDREN
# A command is stopped before a disk or the memory is full to the brim, whoever filled it.
_LEAST_DISK = 256 << 20
_LEAST_MEMORY = 128 << 20
# Seconds between two looks at what was written, at least, and how much longer than one such look.
_LOOK = 0.3
_REST = 20


def descendants(root: int) -> list[int]:
    """The processes that come from `root`, itself included."""
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        found.append(pid)
        for thread in threads:
            waiting += _children(pid, thread)
    return found


def _children(pid: int, thread: str) -> list[int]:
    if not _TELLS_CHILDREN:
        return _children_by_search(pid) if thread == str(pid) else []
    try:
        with open(f"/proc/{pid}/task/{thread}/children") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []  # it ended


def _children_by_search(parent: int) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    # After the name in parentheses: state, parent.
                    if int(file.read().rpartition(b")")[2].split()[1]) == parent:
                        found.append(int(name))
            except (OSError, IndexError):
                continue
    return found


def count_tasks(root: int) -> int:
    """Processes and threads that come from `root`, without itself."""
    found = 0
    for pid in descendants(root):
        try:
            found += len(os.listdir(f"/proc/{pid}/task"))
        except OSError:
            continue
    return found - 1


class Watch:
    """Watches all that comes from the process `root`; bytes and a number of processes, 0 for no
    limit.

    `folders` lie on one disk; what the command writes goes there.
    """

    def __init__(
        self, root: int, memory: int, folders: list[str], disk: int, processes: int = 0
    ) -> None:
        self._root = root
        self._processes = processes
        self._memory = memory
        self._folders = folders
        self._disk = disk
        self._free = self._free_disk()
        self._enough = self._free - disk  # of free space: with more, it wrote less than its limit
        self._next = time.monotonic() + _LOOK

    def over(self) -> str:
        """What limit is passed, in words for the user; "" where none is."""
        found = descendants(self._root)
        if self._processes and len(found) > self._processes:
            return f"it had more than {self._processes} processes"
        if self._memory:
            if sum(map(_private_memory, found)) > self._memory:
                return f"its processes together took more than {self._memory >> 20} MiB of memory"
            if _available_memory() < _LEAST_MEMORY:
                return "the machine's memory was nearly full"
        if self._disk and self._folders:
            free = self._free_disk()
            # Looked at at once where the disk has so much less room that it can be this command.
            if free < self._enough or time.monotonic() >= self._next:
                written = self._written()
                if written > self._disk:
                    return f"it wrote more than {self._disk >> 20} MiB to the disk"
                self._enough = free - (self._disk - written)
            if free < _LEAST_DISK < self._free:
                return "the disk was nearly full"
        return ""

    def _free_disk(self) -> int:
        if not self._folders:
            return 0
        try:
            found = os.statvfs(self._folders[0])
        except OSError:
            return 0
        return found.f_bavail * found.f_frsize

    def _written(self) -> int:
        """The bytes in the folders; looked at now and then also where the disk has not less room,
        since others may make room meanwhile."""
        began = time.monotonic()
        total = sum(_size(folder) for folder in self._folders)
        ended = time.monotonic()
        self._next = ended + max(_LOOK, _REST * (ended - began))
        return total


def _size(folder: str) -> int:
    """The bytes on the disk of all below a folder."""
    total, waiting = 0, [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    total += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except OSError:
            continue
    return total


def _private_memory(pid: int) -> int:
    """What a process has in memory for itself; what it shares would be counted again and again."""
    try:
        with open(f"/proc/{pid}/statm") as file:
            _, resident, shared, *_ = map(int, file.read().split())
    except (OSError, ValueError):
        return 0
    return (resident - shared) * _PAGE


def _available_memory() -> int:
    try:
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) << 10
    except (OSError, ValueError):
        pass
    return _LEAST_MEMORY
