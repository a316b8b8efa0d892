"""The plan of a model file on this machine, as it is now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from localagent.models import gguf
from localagent.models.base import Profile
from localagent.models.llamacpp.hardware import Gpu, this_machine
from localagent.models.llamacpp.memory_plan import Plan, Wish, plan, shape


def planned(
    path: Path,
    profile: Profile,
    *,
    threads: int = 0,
    gpu_layers: int | None = None,
    memory: int | None = None,
    gpus: Sequence[Gpu] = (),
) -> Plan:
    """How to load the model file at `path`: `profile` says its window and its replies side by side,
    `memory` is the most bytes that it may take of the machine's.

    Raises ModelLoadError where it does not fit, GgufError or OSError for a file that is none.
    """
    machine = this_machine(gpus)
    if memory is not None:
        free = memory if machine.free is None else min(memory, machine.free)
        machine = replace(machine, free=free)
    wish = Wish(profile.window, profile.parallel, threads, gpu_layers)
    return plan(shape(gguf.read(path)), wish, machine)
