# ruff: noqa: PTH110, PTH116, PTH123, PTH208
# (the launcher starts quickly, and pathlib is slow to import)
"""Read processes, memory and refused packets from /proc.

The launcher and the egress lock use this module, so it needs only the standard library.
"""

from __future__ import annotations

import os

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
_HAS_CHILDREN_FILE = os.path.exists("/proc/thread-self/children")  # CONFIG_PROC_CHILDREN


def read_descriptor(descriptor: int) -> bytes:
    """Return the present content of an open file of /proc. Raises OSError."""
    parts, offset = [], 0
    while part := os.pread(descriptor, 1 << 16, offset):
        parts.append(part)
        offset += len(part)
    return b"".join(parts)


def write(path: str, text: str) -> None:
    """Write a setting into a file of /proc. Raises OSError."""
    with open(path, "w") as file:
        file.write(text)


def descendants(root: int) -> list[int]:
    """Return the processes that descend from `root`, and `root` itself."""
    processes, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        try:
            threads = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        processes.append(pid)
        for thread in threads:
            waiting += _children(pid, thread)
    return processes


def _children(pid: int, thread: str) -> list[int]:
    if not _HAS_CHILDREN_FILE:
        return _children_by_search(pid) if thread == str(pid) else []
    try:
        with open(f"/proc/{pid}/task/{thread}/children") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []  # the thread has ended


def _children_by_search(parent: int) -> list[int]:
    children = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                # The fields after the name in parentheses are the state and the parent.
                if int(file.read().rpartition(b")")[2].split()[1]) == parent:
                    children.append(int(name))
        except (OSError, IndexError):
            continue
    return children


def count_tasks(root: int) -> int:
    """Count the processes and threads that descend from `root`, without `root` itself."""
    return sum(_count_threads(pid) for pid in descendants(root)) - 1


def count_user_tasks() -> int:
    """Count the processes and threads of this process's user."""
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return sum(_count_threads(pid) for pid in pids if _is_of_this_user(pid))


def _count_threads(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0  # the process has ended


def _is_of_this_user(pid: int) -> bool:
    try:
        return os.stat(f"/proc/{pid}").st_uid == os.geteuid()
    except OSError:
        return False


def process_of(thread: int) -> int:
    """Return the process to which a thread belongs. Raises OSError."""
    with open(f"/proc/{thread}/status") as file:
        for line in file:
            if line.startswith("Tgid:"):
                return int(line.split()[1])
    raise ProcessLookupError(thread)


def mount_points(pid: int) -> dict[str, int]:
    """Return the number of the topmost mount at each mount point that a process sees."""
    return {name: int(row[0]) for name, row in _mounts(f"/proc/{pid}/mountinfo")}


def mount_options(mountinfo: str) -> dict[str, tuple[str, ...]]:
    """Return the options of the topmost mount at each mount point; `mountinfo` is a path."""
    try:
        return {name: tuple(row[5].decode().split(",")) for name, row in _mounts(mountinfo)}
    except OSError:
        return {}


def _mounts(mountinfo: str) -> list[tuple[str, list[bytes]]]:
    """Return each mount point with the first columns of its row (proc_pid_mountinfo(5))."""
    with open(mountinfo, "rb") as file:
        rows = [line.split(None, 6) for line in file]
    # A blank in a name is an octal escape.
    names = (row[4].decode("unicode_escape").encode("latin-1") for row in rows)
    return [(os.fsdecode(name), row) for name, row in zip(names, rows, strict=True)]


def mount_of(descriptor: int) -> int:
    """Return the number of the mount on which an open file of this process lies."""
    with open(f"/proc/self/fdinfo/{descriptor}") as file:
        for line in file:
            if line.startswith("mnt_id:"):
                return int(line.split()[1])
    raise OSError(f"no mount of descriptor {descriptor}")


def private_memory(pid: int) -> int:
    """Return the bytes of memory that a process shares with no other process; 0 if it has ended."""
    try:
        with open(f"/proc/{pid}/statm") as file:
            _, resident, shared, *_ = map(int, file.read().split())
    except (OSError, ValueError):
        return 0
    return (resident - shared) * _PAGE


def available_memory() -> int | None:
    """Return the bytes of memory that programs can still get; None if the kernel reports none."""
    return memory_row("MemAvailable:")


def memory_row(name: str) -> int | None:
    """Return a row of /proc/meminfo in bytes; None if the kernel has no such row."""
    try:
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith(name):
                    return int(line.split()[1]) << 10
    except (OSError, ValueError):
        pass
    return None


def deleted_bytes(processes: list[int], device: int) -> int:
    """Return the bytes on the disk `device` of deleted files that the processes hold open."""
    sizes: dict[int, int] = {}
    for pid in processes:
        try:
            names = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        for name in names:
            try:
                status = os.stat(f"/proc/{pid}/fd/{name}")
            except OSError:
                continue
            if status.st_nlink == 0 and status.st_dev == device:
                sizes[status.st_ino] = status.st_blocks * 512
    return sum(sizes.values())


class NoRouteCounter:
    """Counts the packets that found no route in a network namespace.

    `folder` is the `net` folder in /proc of a process in that namespace. The process may end before
    the count, since the open files keep reporting on its namespace.
    """

    def __init__(self, folder: str) -> None:
        self._files = [_open(f"{folder}/{name}") for name in ("snmp", "snmp6")]
        self._start = self._total()

    def count(self) -> int:
        """Return the number of packets since the start; 0 if the kernel does not count them."""
        return max(self._total() - self._start, 0)

    def _total(self) -> int:
        ipv4, ipv6 = map(_rows, self._files)
        return _no_routes_ipv4(ipv4) + _no_routes_ipv6(ipv6)


def _no_routes_ipv4(rows: list[list[str]]) -> int:
    """Read pairs of rows: a protocol's field names, then its values (proc_net(5))."""
    names_and_values = [row for row in rows if row[:1] == ["Ip:"]]
    if len(names_and_values) != 2:
        return 0
    return int(dict(zip(*names_and_values, strict=False)).get("OutNoRoutes", 0))


def _no_routes_ipv6(rows: list[list[str]]) -> int:
    return sum(int(row[1]) for row in rows if row[:1] == ["Ip6OutNoRoutes"])


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def _rows(descriptor: int) -> list[list[str]]:
    try:
        return [line.split() for line in read_descriptor(descriptor).decode().splitlines()]
    except OSError:
        return []
