"""What this machine has for a model: processor cores, memory, graphics processors."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")
_CGROUP = Path("/sys/fs/cgroup")


# What makes llama.cpp's arithmetic fast, by the names that Linux has for it.
_FLAGS = (
    *("avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16"),
    *("amx_tile", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "i8mm", "sve", "sve2"),
)


@dataclass(frozen=True, slots=True)
class Gpu:
    """A graphics processor that llama.cpp can use; sizes in bytes. `unified` where its memory is
    the machine's own, as with Apple's."""

    name: str
    free: int
    total: int
    unified: bool = False


@dataclass(frozen=True, slots=True)
class Machine:
    """What a model can have: `free` bytes of memory (None: not known), physical `cores`, `gpus`.
    `tiles` where the processor multiplies matrices by tiles (AMX)."""

    free: int | None
    cores: int
    gpus: tuple[Gpu, ...] = ()
    tiles: bool = False


def this_machine(gpus: Sequence[Gpu] = ()) -> Machine:
    """This machine as it is now; only llama.cpp can tell the `gpus`."""
    tiles = "amx_int8" in processor()[1]
    return Machine(available_memory(), physical_cores(), tuple(gpus), tiles)


def processor() -> tuple[str, tuple[str, ...]]:
    """The processor's name, and those of its abilities that matter here; "" and none where the
    system does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "", ()
    found: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    words = set((found.get("flags") or found.get("Features") or "").split())
    return found.get("model name", ""), tuple(flag for flag in _FLAGS if flag in words)


def physical_cores() -> int:
    """The cores that this process may run on, hyper-threads of one core counted once.

    Token generation waits for memory, so a second thread on a core only adds to the waiting.
    Where the system does not tell, all of its processors are counted.
    """
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    allowed = os.sched_getaffinity(0)
    cores = {_siblings(cpu) for cpu in allowed}
    return max(1, min(len(cores), _quota(len(allowed))))


def _siblings(cpu: int) -> str:
    """A text that names the core of `cpu`: the list of its hyper-threads."""
    try:
        return (_CPUS / f"cpu{cpu}/topology/thread_siblings_list").read_text().strip()
    except OSError:
        return str(cpu)


def _quota(most: int) -> int:
    """The processors that a container's quota is worth, at most `most`."""
    try:
        quota, period = (_CGROUP / "cpu.max").read_text().split()
        return min(most, max(1, int(quota) // int(period)))
    except (OSError, ValueError, ZeroDivisionError):  # no container, or "max"
        return most


def available_memory() -> int | None:
    """Bytes that can be taken without swapping, or None where the system does not tell."""
    if sys.platform != "linux":
        return None
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")]
    return min(found[0], _container_memory(found[0])) if found else None


def total_memory() -> int | None:
    """Bytes that the machine has, or None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return None


def _container_memory(most: int) -> int:
    """What a container's limit leaves, in bytes, at most `most`; its page cache counts as free."""
    try:
        limit = int((_CGROUP / "memory.max").read_text())
        used = int((_CGROUP / "memory.current").read_text())
        stat = (_CGROUP / "memory.stat").read_text().splitlines()
        cache = sum(int(line.split()[1]) for line in stat if line.startswith("inactive_file "))
        return max(0, min(most, limit - used + cache))
    except (OSError, ValueError, IndexError):  # no container, or "max"
        return most


def gigabytes(count: int) -> str:
    """A number of bytes as people read it: "1.1 GB"."""
    return f"{count / 1e9:.1f} GB"
