"""What this machine has for a model: processor cores, memory, graphics processors.

psutil answers for every system. This module itself reads only the facts that psutil lacks: the
limits of a container, the abilities of the processor, and which hyper-threads share a core.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")
_CGROUP = Path("/sys/fs/cgroup")

# The abilities that make llama.cpp's arithmetic fast, by the names that Linux has for them.
_FLAGS = (
    *("avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16"),
    *("amx_tile", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "i8mm", "sve", "sve2"),
)

PERIOD = 0.5
"""Seconds between two measurements of the load. Kernels count processor time in hundredths."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """A graphics processor that llama.cpp can use; sizes in bytes.

    `unified` says that its memory is the machine's own, as with Apple's.
    """

    name: str
    free: int
    total: int
    unified: bool = False


@dataclass(frozen=True, slots=True)
class Machine:
    """The resources for a model: `free` bytes of memory (None: unknown), physical `cores`, `gpus`.

    `tiles` says that the processor multiplies matrices by tiles (AMX).
    """

    free: int | None
    cores: int
    gpus: tuple[Gpu, ...] = ()
    tiles: bool = False


def this_machine(gpus: Sequence[Gpu] = ()) -> Machine:
    """Measure this machine; the `gpus` come from llama.cpp."""
    tiles = "amx_int8" in processor()[1]
    return Machine(available_memory(), physical_cores(), tuple(gpus), tiles)


def processor() -> tuple[str, tuple[str, ...]]:
    """The processor's name and those of its abilities that matter here; "" and none if unknown."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "", ()
    values: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        values.setdefault(key.strip(), value.strip())
    words = set((values.get("flags") or values.get("Features") or "").split())
    return values.get("model name", ""), tuple(flag for flag in _FLAGS if flag in words)


def processors() -> list[int]:
    """The numbers of the processors (hyper-threads) that this process may run on."""
    if hasattr(os, "sched_getaffinity"):  # cheaper than an import of psutil
        return sorted(os.sched_getaffinity(0))
    import psutil

    try:
        return list(psutil.Process().cpu_affinity() or [])
    except (AttributeError, psutil.Error):  # macOS has no affinity
        return list(range(all_processors()))


def all_processors() -> int:
    """How many processors (hyper-threads) the machine has."""
    import psutil

    return psutil.cpu_count() or 1


def physical_cores() -> int:
    """The cores that this process may run on; the hyper-threads of one core count once.

    Token generation waits for memory, so a second thread on a core only adds to the waiting. A
    container's quota lowers the number. Without knowledge of cores, processors are counted.
    """
    import psutil

    allowed = processors()
    if len(allowed) < all_processors():
        cores = len({_siblings(number) for number in allowed})
    else:
        cores = psutil.cpu_count(logical=False) or len(allowed)
    return max(1, min(cores, _quota(len(allowed))))


def _siblings(number: int) -> str:
    """A text that names the core of a processor: the list of its hyper-threads."""
    try:
        return (_CPUS / f"cpu{number}/topology/thread_siblings_list").read_text().strip()
    except OSError:
        return str(number)


def _quota(most: int) -> int:
    """The processors that a container's quota is worth, at most `most`."""
    try:
        quota, period = (_CGROUP / "cpu.max").read_text().split()
        return min(most, max(1, int(quota) // int(period)))
    except (OSError, ValueError, ZeroDivisionError):  # no container, or "max"
        return most


def available_memory() -> int | None:
    """Bytes that can be taken without swapping; None if unknown."""
    import psutil

    try:
        available = int(psutil.virtual_memory().available)
    except (OSError, RuntimeError, ValueError):
        return None
    return min(available, _container_memory(available))


def total_memory() -> int | None:
    """Bytes of memory that the machine has; None if unknown."""
    import psutil

    try:
        return int(psutil.virtual_memory().total)
    except (OSError, RuntimeError, ValueError):
        return None


def _container_memory(most: int) -> int:
    """The bytes that a container's limit leaves, at most `most`; its page cache counts as free."""
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


def busy_seconds() -> float | None:
    """Seconds that this process's processors have worked since the system started.

    Waiting for the disk does not count. Processes with a positive nice value count only if this
    process has one, too: otherwise the kernel gives them the time that this process leaves. None if
    unknown.
    """
    import psutil

    try:
        times = psutil.cpu_times(percpu=True)
    except (OSError, RuntimeError, ValueError):
        return None
    idle = {"idle", "iowait", "guest", "guest_nice"}  # Linux counts guests in `user` too
    if hasattr(os, "nice") and os.nice(0) <= 0:
        idle.add("nice")
    rows = [times[number]._asdict() for number in processors() if number < len(times)]
    return sum(value for row in rows for name, value in row.items() if name not in idle) or None


def process_seconds() -> float:
    """Processor time that this process has used, in seconds."""
    times = os.times()
    return times.user + times.system


class ThreadGovernor:
    """Chooses how many threads to use now, `most` on an idle machine of `cores` processors.

    The library's threads wait for each other after every operation of a step. With more threads
    than free cores, a step takes many times as long as with one thread fewer. So the governor
    leaves those cores to other processes that they kept busy since its last measurement.
    """

    def __init__(
        self,
        most: int,
        cores: int | None = None,
        *,
        busy: Callable[[], float | None] = busy_seconds,
        used: Callable[[], float] = process_seconds,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = self._now = most
        self._cores = cores or len(processors())
        self._busy, self._used, self._clock = busy, used, clock
        self._last: tuple[float, float, float] | None = None

    def __call__(self) -> int:
        """The number of threads to use from now on; cheap between two measurements."""
        now = self._clock()
        if self._last is not None and now - self._last[0] < PERIOD:
            return self._now
        busy = self._busy()
        if busy is None:
            return self._now
        sample = (now, busy, self._used())
        if self._last is not None:
            passed = now - self._last[0]
            others = (busy - self._last[1] - (sample[2] - self._last[2])) / passed
            # More than half of a core: then a thread there would wait more than it works.
            taken = int(others + 0.5)
            self._now = max(1, min(self._most, self._cores - taken))
        self._last = sample
        return self._now


_LIBRARIES = {"darwin": "libggml.dylib", "win32": "ggml.dll"}
_GPU_KINDS = {1: False, 2: True}
"""`enum ggml_backend_dev_type`: a GPU with memory of its own, and one that shares the machine's."""


def find_gpus(folder: Path) -> tuple[Gpu, ...]:
    """The graphics processors that the llama.cpp library in `folder` can use.

    Returns none if the library is too old for the question.
    """
    try:
        ggml = ctypes.CDLL(str(folder / _LIBRARIES.get(sys.platform, "libggml.so")))
        return _listed(ggml)
    except (OSError, AttributeError):
        return ()


def load_plugins(folder: Path) -> None:
    """Load the plug-ins in `folder`; of those for processors, llama.cpp takes the fastest here.

    A library that was compiled for one processor has no plug-ins. Raises OSError.
    """
    if any(folder.glob("libggml-cpu-*.so")):
        ggml = ctypes.CDLL(str(folder / _LIBRARIES.get(sys.platform, "libggml.so")))
        ggml.ggml_backend_load_all_from_path(os.fsencode(folder))


def cpu_buffer_type(folder: Path) -> int:
    """The llama.cpp library's handle of the machine's memory, for weights to be kept there.

    Raises OSError or AttributeError if the library in `folder` lacks it.
    """
    ggml = ctypes.CDLL(str(folder / _LIBRARIES.get(sys.platform, "libggml.so")))
    ggml.ggml_backend_cpu_buffer_type.restype = ctypes.c_void_p
    return int(ggml.ggml_backend_cpu_buffer_type())


def _listed(ggml: ctypes.CDLL) -> tuple[Gpu, ...]:
    ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    ggml.ggml_backend_dev_get.restype = ctypes.c_void_p
    ggml.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
    ggml.ggml_backend_dev_type.argtypes = [ctypes.c_void_p]
    ggml.ggml_backend_dev_memory.restype = None
    ggml.ggml_backend_dev_memory.argtypes = [
        ctypes.c_void_p,
        ctypes.POINTER(ctypes.c_size_t),
        ctypes.POINTER(ctypes.c_size_t),
    ]
    for function in (ggml.ggml_backend_dev_name, ggml.ggml_backend_dev_description):
        function.restype = ctypes.c_char_p
        function.argtypes = [ctypes.c_void_p]
    kind = ggml.ggml_backend_dev_type
    pointers = [ggml.ggml_backend_dev_get(n) for n in range(ggml.ggml_backend_dev_count())]
    return tuple(_device(ggml, device) for device in pointers if kind(device) in _GPU_KINDS)


def _device(ggml: ctypes.CDLL, pointer: int) -> Gpu:
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    ggml.ggml_backend_dev_memory(pointer, ctypes.byref(free), ctypes.byref(total))
    name: bytes = ggml.ggml_backend_dev_name(pointer) or b""
    label: bytes = ggml.ggml_backend_dev_description(pointer) or name
    # Metal calls its GPU one of the first kind, though its memory is the machine's.
    unified = _GPU_KINDS[ggml.ggml_backend_dev_type(pointer)] or name.startswith((b"Metal", b"MTL"))
    return Gpu(
        name=label.decode("utf-8", "replace"),
        free=free.value,
        total=total.value,
        unified=unified,
    )
