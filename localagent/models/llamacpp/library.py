"""The installed llama-cpp-python: whether it is there, works, and what it was built for.

It is asked in a process of its own, the worker's: to import it here could end this one.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from localagent.core.errors import ModelLoadError
from localagent.models.llamacpp import protocol
from localagent.models.llamacpp.hardware import Gpu
from localagent.models.llamacpp.process import Ended, Silent, WorkerProcess, worker_command

_PACKAGE = "llama_cpp"
_INSTALL = "install it: pip install llama-cpp-python (it compiles for some minutes)"
# Names of ggml's backends in those of its libraries, and what people call them.
_BACKENDS = {
    "cuda": "CUDA",
    "hip": "ROCm",
    "metal": "Metal",
    "vulkan": "Vulkan",
    "sycl": "SYCL",
    "opencl": "OpenCL",
    "musa": "MUSA",
    "cann": "CANN",
}


@dataclass(frozen=True, slots=True)
class Library:
    """llama-cpp-python as the worker has it. `network` is what the worker is left with ("none",
    "open"). `backends` are the kinds of GPU that it was built for, `gpus` those that it found."""

    version: str
    network: str
    backends: tuple[str, ...]
    gpus: tuple[Gpu, ...]


def library(command: Sequence[str] | None = None, silence: float = 60.0) -> Library:
    """Start the worker, which loads the library, and ask it. `silence` is in seconds.

    Raises ModelLoadError where there is no library that works.
    """
    if command is None and importlib.util.find_spec(_PACKAGE) is None:
        raise ModelLoadError("llama-cpp-python, which runs the models, is not installed", _INSTALL)
    try:
        worker = WorkerProcess(command or worker_command())
    except OSError as error:
        raise ModelLoadError(f"the model's process cannot be started: {error}") from None
    try:
        reply = worker.receive(silence)
    except Silent:
        raise ModelLoadError("the native library did not load in time", _INSTALL) from None
    except Ended:
        status = worker.end()
        raise ModelLoadError(
            f"the native library ends its process when it is loaded (status {status})",
            "it was probably built for another processor: "
            "pip install --force-reinstall --no-cache-dir llama-cpp-python",
        ) from None
    finally:
        worker.kill()
    if isinstance(reply, protocol.Failure):
        raise ModelLoadError(reply.message, reply.hint)
    if not isinstance(reply, protocol.Ready):
        raise ModelLoadError("the model's process gave no answer", _INSTALL)
    return Library(reply.library, reply.network, backends(), gpus(reply))


def gpus(ready: protocol.Ready) -> tuple[Gpu, ...]:
    """The GPUs that the worker found."""
    return tuple(Gpu(d.name, d.free, d.total, d.unified) for d in ready.devices)


def usable_gpus() -> tuple[Gpu, ...]:
    """The GPUs, where the library was built for any; it is asked only then, as that takes half a
    second. Raises ModelLoadError as `library`."""
    return library().gpus if backends() else ()


def backends(folder: Path | None = None) -> tuple[str, ...]:
    """The kinds of GPU that the library was built for, by the names of the files in its folder;
    the package is looked up and not imported."""
    if folder is None:
        found = importlib.util.find_spec(_PACKAGE)
        if found is None or found.origin is None:
            return ()
        folder = Path(found.origin).parent / "lib"
    pattern = re.compile(r"ggml-(" + "|".join(_BACKENDS) + r")\b")
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError:
        return ()
    kinds = [match[1] for name in names if (match := pattern.search(name))]
    return tuple(_BACKENDS[kind] for kind in dict.fromkeys(kinds))
