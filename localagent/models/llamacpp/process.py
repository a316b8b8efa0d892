"""The worker's process as its parent sees it, and what the llama-cpp-python in it can do.

Three threads serve the pipes, so that a worker that does not read, does not write or writes
without end blocks nobody. One sends, and one receives into a bounded queue. The third starts the
process, drains its standard error and reaps it. It lives as long as the process, because Linux
sends the parent-death signal when the thread ends that started the process.

Only the worker imports the library: an import here could end this process.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import queue
import re
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import localagent
from localagent.core.errors import ModelLoadError
from localagent.core.interpreter import environment, python
from localagent.models.llamacpp import protocol
from localagent.models.llamacpp.hardware import Gpu

WORKER = "localagent.models.llamacpp.worker.llama"
_PACKAGE = "llama_cpp"
_INSTALL = "install it: pip install llama-cpp-python (it compiles for some minutes)"
# The names of ggml's backends in its file names, and their usual names.
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
_QUEUE = 256  # replies; a worker that writes faster than they are taken waits
_TAIL = 64  # last lines of standard error that are kept
_LOG_BYTES = 1 << 20
_LINE_BYTES = 4096
_GRACE = 2.0  # seconds for a process that has closed its pipe to end


class Silent(Exception):
    """The worker sent nothing in the time it had."""


class Ended(Exception):
    """The worker closed its pipe (`reason` is ""), or sent bytes that are no message."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def worker_command(*places: str) -> list[str]:
    """The command that starts the worker; `places`: see `worker.serve.confine`."""
    return python("-m", WORKER, *places)


class WorkerProcess:
    """One process of the worker. Raises OSError where it cannot be started."""

    def __init__(self, command: Sequence[str], log: Path | None = None) -> None:
        self._inbox: queue.Queue[protocol.Reply | Ended | None] = queue.Queue(_QUEUE)
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._lines: deque[str] = deque(maxlen=_TAIL)
        self._over = threading.Event()
        started: queue.SimpleQueue[subprocess.Popen[bytes] | OSError] = queue.SimpleQueue()
        self._runner = _thread("worker", self._run, list(command), log, started)
        result = started.get()
        if isinstance(result, OSError):
            raise result
        self._process = result
        assert result.stdin is not None and result.stdout is not None
        _thread("worker-send", self._send, result.stdin)
        _thread("worker-receive", self._receive, result.stdout)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def send(self, message: protocol.Request) -> None:
        """Send a request; returns at once."""
        self._outbox.put(protocol.encode(message))

    def receive(self, seconds: float) -> protocol.Reply | None:
        """The next reply, or None after `wake`. Raises Silent or Ended."""
        try:
            item = self._inbox.get(timeout=max(0.0, seconds))
        except queue.Empty:
            raise Silent from None
        if isinstance(item, Ended):
            raise item
        return item

    def wake(self) -> None:
        """Make a `receive` that waits in another thread return None."""
        with contextlib.suppress(queue.Full):  # then it does not wait
            self._inbox.put_nowait(None)

    def end(self) -> int:
        """Wait a moment for the process to end, or kill it; return the exit status.

        A negative status is a signal, as in `subprocess`.
        """
        try:
            status = self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self.kill()
            status = self._process.wait()
        self._over.set()
        self._runner.join(_GRACE)  # it may still read the last lines of standard error
        return status

    def kill(self) -> None:
        """End the process at once, and reap it."""
        self._over.set()
        self._outbox.put(None)
        self._process.kill()
        # A process in an uninterruptible wait (a disk that does not answer) stays until that
        # ends; its thread reaps it then.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE)

    def last_words(self) -> str:
        """The last lines of its standard error."""
        return "\n".join(self._lines)

    def _run(
        self,
        command: list[str],
        log: Path | None,
        started: queue.SimpleQueue[subprocess.Popen[bytes] | OSError],
    ) -> None:
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=_environment(),
                cwd=_root(),
                # The terminal's signals are for the parent, which tells the worker what to do.
                start_new_session=sys.platform != "win32",
            )
        except OSError as error:
            started.put(error)
            return
        started.put(process)
        assert process.stderr is not None
        with _open_log(log) as file:
            self._drain(cast(BinaryIO, process.stderr), file)
        process.wait()

    def _drain(self, errors: BinaryIO, log: BinaryIO) -> None:
        """Read standard error to its end; keep the last lines, and the first bytes in the log."""
        written = 0
        while line := errors.readline(_LINE_BYTES):
            self._lines.append(line.decode("utf-8", "replace").rstrip())
            if written < _LOG_BYTES:
                written += len(line)
                with contextlib.suppress(OSError):  # a full disk is no reason to stop
                    log.write(line)
                    log.flush()

    def _send(self, stream: BinaryIO) -> None:
        while (frame := self._outbox.get()) is not None:
            try:
                stream.write(frame)
                stream.flush()
            except OSError:  # it is gone; the receiving side says so
                break
        with contextlib.suppress(OSError):
            stream.close()

    def _receive(self, stream: BinaryIO) -> None:
        reason = ""
        try:
            while (frame := protocol.read_frame(stream, protocol.MAX_REPLY)) is not None:
                if not self._deliver(protocol.parse_reply(frame)):
                    return
        except protocol.WireError as error:
            reason = str(error)
        except OSError as error:
            reason = error.strerror or str(error)
        self._deliver(Ended(reason))

    def _deliver(self, item: protocol.Reply | Ended) -> bool:
        """Put an item into the inbox when there is room; return False if nobody waits any more."""
        while not self._over.is_set():
            with contextlib.suppress(queue.Full):
                self._inbox.put(item, timeout=0.2)
                return True
        return False


def _thread(name: str, target: object, *args: object) -> threading.Thread:
    thread = threading.Thread(target=target, args=args, name=name, daemon=True)  # type: ignore[arg-type]
    thread.start()
    return thread


def _root() -> Path:
    """The folder that holds the package: never the user's workspace."""
    return Path(localagent.__file__).resolve().parent.parent


def _environment() -> dict[str, str]:
    """An environment in which the worker finds the same package as its parent.

    numpy's OpenBLAS would start threads when it is imported, and a process with threads cannot go
    into a user namespace (`serve.confine`); nothing here multiplies matrices with numpy.
    """
    inherited = environment() | {"OPENBLAS_NUM_THREADS": "1"}
    places = [str(_root()), inherited.get("PYTHONPATH", "")]
    return {**inherited, "PYTHONPATH": os.pathsep.join(filter(None, places))}


def _open_log(path: Path | None) -> BinaryIO:
    """Open the log, or the null device if that fails."""
    if path is not None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            return path.open("wb")
        except OSError:
            pass
    return Path(os.devnull).open("wb")


@dataclass(frozen=True, slots=True)
class Library:
    """llama-cpp-python as the worker sees it. `network` is the worker's ("none", "open").

    `backends` are the kinds of GPU that it was built for; `gpus` are the ones that it found.
    """

    version: str
    network: str
    backends: tuple[str, ...]
    gpus: tuple[Gpu, ...]


def library(command: Sequence[str] | None = None, silence: float = 60.0) -> Library:
    """Start the worker, which loads the library, and ask it. `silence` is in seconds.

    Raises ModelLoadError if no library works.
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
    return Library(reply.library, reply.network, backends(), reply.gpus)


def usable_gpus() -> tuple[Gpu, ...]:
    """The GPUs of the library; none if it was built for none, which spares half a second.

    Raises ModelLoadError as `library`.
    """
    return library().gpus if backends() else ()


def backends(folder: Path | None = None) -> tuple[str, ...]:
    """The kinds of GPU that the library was built for, by the names of the files in its folder.

    The package is not imported.
    """
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
