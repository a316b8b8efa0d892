"""What a worker's end means, in words for the user."""

from __future__ import annotations

import signal
from pathlib import Path

from localagent.core.errors import BackendError, ContextOverflow, ModelLoadError, WorkerDied
from localagent.models.llamacpp import protocol
from localagent.models.llamacpp.hardware import available_memory, gigabytes

# Windows has exit statuses of its own for what is a signal elsewhere (ntstatus.h).
_WINDOWS = {0xC0000005: signal.SIGSEGV, 0xC000001D: signal.SIGILL, 0xC0000409: signal.SIGABRT}
_CRASHES = ("SIGSEGV", "SIGILL", "SIGABRT", "SIGBUS", "SIGFPE", "SIGTRAP")


def signal_of(status: int) -> int:
    """The signal that an exit status stands for, or 0."""
    return -status if status < 0 else int(_WINDOWS.get(status & 0xFFFFFFFF, 0))


def is_crash(number: int) -> bool:
    """Whether a signal comes from the process's own code, not from someone who ended it."""
    return _signal_name(number) in _CRASHES


def died(status: int, model: Path, last_words: str, log: Path | None) -> WorkerDied:
    """The error for a worker that ended with `status` in mid-request."""
    number = signal_of(status)
    name = _signal_name(number)
    where = f"; its log is {log}" if log else ""
    if name == "SIGKILL":
        # Which of the two it was cannot be told: what the process held is free again by now.
        message = f"the model's process was killed: by someone, or out of memory ({_memory(model)})"
        hint = "where memory is short, close other programs, or choose a smaller model or window"
    elif name == "SIGILL":
        message = "the model's process met an instruction that this CPU does not have (SIGILL)"
        hint = (
            "llama-cpp-python was built for another CPU; build it here: pip install "
            "--force-reinstall --no-cache-dir --no-binary llama-cpp-python llama-cpp-python"
        )
    elif name == "SIGBUS":
        message = f"the model's process could no longer read {model.name} (SIGBUS)"
        hint = "was it cut short, or is its disk gone? `localagent models verify --deep`"
    elif number:
        message = f"the model's process crashed ({name})"
        hint = f"try again{where}"
    else:
        lines = [line for line in last_words.splitlines() if line.strip()]
        said = f": {lines[-1].strip()}" if lines else ""
        message = f"the model's process ended with status {status}{said}"
        hint = f"try again{where}"
    return WorkerDied(message, hint, signal=number)


def failed(reply: protocol.Failure) -> BackendError:
    """The error for a request that the worker could not carry out."""
    if reply.kind == "overflow":
        return ContextOverflow(reply.needed, reply.window)
    if reply.kind == "load":
        return ModelLoadError(reply.message, reply.hint)
    return BackendError(reply.message, reply.hint)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}" if number else ""


def _memory(model: Path) -> str:
    try:
        size = f"the model's file has {gigabytes(model.stat().st_size)}"
    except OSError:
        size = "the model's file is gone"
    free = available_memory()
    return size if free is None else f"{size}, {gigabytes(free)} of memory are free now"
