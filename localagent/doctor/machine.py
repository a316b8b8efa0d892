"""The machine: versions, processor, memory."""

from __future__ import annotations

import os
import platform
import sys

from localagent import __version__
from localagent.doctor.report import Part
from localagent.models.llamacpp.hardware import (
    available_memory,
    gigabytes,
    physical_cores,
    processor,
    total_memory,
)


def machine() -> Part:
    """Versions, processor, memory."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    name, flags = processor()
    cores, free, total = physical_cores(), available_memory(), total_memory()
    amx = " (AMX: yes)" if "amx_int8" in flags else ""
    lines = [
        f"localagent {__version__}, {python} ({sys.executable})",
        f"{system}",
        f"{name or 'processor'}: {cores} cores for localagent, {os.cpu_count() or '?'} processors",
        f"instructions of interest: {' '.join(flags)}{amx}" if flags else "",
        f"memory: {gigabytes(free)} free" if free is not None else "memory: not told how much",
    ]
    if free is not None and total is not None:
        lines[-1] += f" of {gigabytes(total)}"
    data = {
        "localagent": __version__,
        "python": python,
        "platform": system,
        "processor": name,
        "flags": flags,
        "cores": cores,
        "memory_free": free,
        "memory_total": total,
    }
    return Part("machine", tuple(line for line in lines if line), (), data)
