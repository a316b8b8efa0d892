"""The worker with its model: started at the first request, discarded when it fails.

A `WorkerLink` carries out one request at a time. It sends the request and takes its replies one by
one. An error, or a caller that stops listening, cancels the request in the worker. A request may
take any time; only a silence has a limit.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from localagent.core.errors import (
    BackendError,
    ContextOverflow,
    ModelLoadError,
    WorkerDied,
    WorkerHung,
)
from localagent.core.paths import private
from localagent.models.base import Chunk, Reading, Text
from localagent.models.llamacpp import protocol
from localagent.models.llamacpp.hardware import available_memory, gigabytes
from localagent.models.llamacpp.process import Ended, Silent, WorkerProcess

# Windows has exit statuses in place of signals (ntstatus.h).
_WINDOWS = {0xC0000005: signal.SIGSEGV, 0xC000001D: signal.SIGILL, 0xC0000409: signal.SIGABRT}
_CRASHES = ("SIGSEGV", "SIGILL", "SIGABRT", "SIGBUS", "SIGFPE", "SIGTRAP")


def signal_of(status: int) -> int:
    """The signal that an exit status stands for, or 0."""
    return -status if status < 0 else int(_WINDOWS.get(status & 0xFFFFFFFF, 0))


def is_crash(number: int) -> bool:
    """Whether a signal comes from the process's own code, and not from another process."""
    return _signal_name(number) in _CRASHES


def died(status: int, model: Path, last_words: str, log: Path | None) -> WorkerDied:
    """The error for a worker that ended with `status` during a request."""
    number = signal_of(status)
    name = _signal_name(number)
    where = f"; its log is {log}" if log else ""
    if name == "SIGKILL":
        # The memory of the process is free again by now, so the cause is unknown.
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


def _proves_a_step(chunk: Chunk) -> bool:
    """Whether a chunk shows that the worker has finished a step."""
    return isinstance(chunk, Text) or (isinstance(chunk, Reading) and chunk.done > chunk.reused)


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


CANCEL = 1.0
"""Seconds for the worker's answer to a cancellation; then it is killed."""

_KEPT_LOGS = 8

SAFER = (
    "the model's process crashed at its first step; it was restarted with safer settings "
    "(without weights repacked for this CPU), which may be slower"
)


class Stopped(Exception):
    """The request was cancelled before it had a result."""


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How the worker is started, and what it loads.

    `load` is the request that loads the model, without id and KV store. `check` is called before
    each load, and raises if the file must not be loaded (any more). `sha256` is the model file's,
    or "" if it is not known. `kv_bytes` limits the KV caches in `kv_folder`; 0 stores none.
    `silence` is in seconds. `command` starts the worker; `logs` is the folder of its logs.
    """

    load: protocol.Load
    check: Callable[[], None]
    sha256: str
    kv_bytes: int
    kv_folder: Path
    silence: float
    command: tuple[str, ...]
    logs: Path

    @property
    def path(self) -> Path:
        """The model file."""
        return Path(os.fsdecode(self.load.path))


class WorkerLink:
    """One worker at a time, and the request that it carries out.

    `warnings` are for the user; the reader of the list empties it. `extra_bufts` is turned off
    when a process crashes before it has finished a step.
    """

    def __init__(self, options: WorkerOptions) -> None:
        self.warnings: list[str] = []
        self.extra_bufts = options.load.extra_bufts
        self.facts: protocol.LoadReply | None = None
        self.network = ""
        """What network the worker has, "none" or "open"; "" before one has started."""
        self._options = options
        self._worker: WorkerProcess | None = None
        self._kill: weakref.finalize[..., WorkerLink] | None = None
        self._log: Path | None = None
        self._proven = False  # whether the process has finished a step
        self._load_id = 0  # the request that loads the model, until it is answered
        self._current = 0  # the request that is not answered to its end yet
        self._last_id = 0
        self._turn = threading.Lock()
        self._guard = threading.RLock()  # the fields that `cancel`, `close` and `start` touch
        self._cancel_at: float | None = None  # when a cancellation must have been answered
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The worker's process id, or None while there is none."""
        worker = self._worker
        return None if worker is None else worker.pid

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the link for one request; an unfinished request is cancelled at the end."""
        if not self._turn.acquire(blocking=False):
            raise RuntimeError("the model is busy: one request at a time")
        try:
            yield
        finally:
            try:
                self._abandon()
            finally:
                self._cancel_at = None
                self._turn.release()

    def start(self) -> None:
        """Start the worker and have it load the model, without waiting for either.

        Raises ModelLoadError if the process cannot be started, and the errors of `check`.
        """
        if self.facts is None and not self._load_id:
            self._options.check()  # this may read all of the file, and `cancel` must not wait
        with self._guard:
            if self._closed:
                raise BackendError("the model was closed")
            if self._worker is None:
                self._spawn()
            if self.facts is None and not self._load_id:
                self._load_id = self._new_id()
                self._send(self._load_message(self._load_id))

    def request(self, make: Callable[[int], protocol.Request]) -> None:
        """Load the model if needed, and send the request that `make` makes of its id.

        Raises ModelLoadError, WorkerDied, WorkerHung, or Stopped.
        """
        self.start()
        if self._load_id:
            self._await_model()
        with self._guard:
            if self._cancel_at is not None:
                raise Stopped
            self._current = self._new_id()
            self._send(make(self._current))

    def reply(self) -> protocol.Reply:
        """Wait for the next reply to the request.

        Raises WorkerDied, WorkerHung or Stopped, and the error of a failed request.
        """
        worker = self._worker
        while True:
            if worker is None or worker is not self._worker:
                raise BackendError("the model was closed")
            try:
                reply = worker.receive(self._seconds_to_wait())
            except Silent:
                if self._cancel_at is not None:
                    continue  # `_seconds_to_wait` ends it
                raise self._hung() from None
            except Ended as end:
                raise self._dead(end) from None
            if isinstance(reply, protocol.Ready):
                self.network = reply.network
            elif reply is not None:
                self._check(reply)
                return reply

    def give_up(self, reason: str) -> WorkerDied:
        """End a worker that breaks the protocol; return the error to raise."""
        self._discard(keep_log=True)
        return WorkerDied(f"the model's process was ended: {reason}", self._log_hint())

    def cancel(self) -> None:
        """End the running request soon. May be called from any thread."""
        if not self._turn.locked():
            return
        with self._guard:
            if self._cancel_at is None:
                self._cancel_at = time.monotonic() + CANCEL
            if self._worker is not None:
                if self._current:
                    self._worker.send(protocol.Cancel(id=self._current))
                self._worker.wake()

    def cancel_run(self, run: int) -> None:
        """End one run of the running request soon, if a request runs."""
        with self._guard:
            if self._worker is not None and self._current:
                self._worker.send(protocol.Cancel(id=self._current, run=run))

    @property
    def busy(self) -> bool:
        """Whether a request runs."""
        return self._turn.locked()

    def hurry(self, seconds: float) -> None:
        """Limit the running request to so many seconds; after that the worker is ended."""
        self._cancel_at = time.monotonic() + seconds

    def close(self) -> None:
        """End the worker for good."""
        with self._guard:
            self._closed = True
            self._discard()

    def _spawn(self) -> None:
        self._log = self._new_log()
        try:
            worker = WorkerProcess(self._options.command, self._log)
        except OSError as error:
            raise ModelLoadError(f"the model's process cannot be started: {error}") from None
        self._worker = worker
        # Also without a call of `close`: at the end of this object, or of the interpreter.
        self._kill = weakref.finalize(self, worker.kill)
        self._proven = False
        self.facts = None
        self._load_id = self._current = 0

    def _discard(self, keep_log: bool = False) -> None:
        """Kill the worker, if there is one; the next request starts another."""
        with self._guard:
            worker, self._worker = self._worker, None
            self.facts = None
            self._load_id = self._current = 0
            if self._kill is not None:
                self._kill.detach()
                self._kill = None
        if worker is not None:
            worker.kill()
            worker.wake()
            if not keep_log and self._log is not None:
                with contextlib.suppress(OSError):
                    self._log.unlink()

    def _await_model(self) -> None:
        self._current = self._load_id
        try:
            while not isinstance(reply := self.reply(), protocol.LoadReply):
                pass
        except ModelLoadError:
            self._discard()
            raise
        self._load_id = 0
        self.facts = reply
        if 0 < reply.trained_window < reply.window:
            self.warnings.append(
                f"the window of {reply.window} tokens is larger than the {reply.trained_window} "
                "that the model was trained for"
            )

    def _seconds_to_wait(self) -> float:
        """Seconds to wait for the next reply. Raises Stopped after a cancellation's time."""
        if self._cancel_at is None:
            return self._options.silence
        left = self._cancel_at - time.monotonic()
        if left <= 0:
            self._discard()
            raise Stopped
        return min(left, self._options.silence)

    def _check(self, reply: protocol.Reply) -> None:
        """Update the state by a reply; raise its error, if it has one."""
        assert not isinstance(reply, protocol.Ready)
        if isinstance(reply, protocol.Failure) and reply.id == 0:  # the library cannot be loaded
            self._discard()
            raise failed(reply)
        if reply.id != self._current:
            raise self.give_up("it answered what it was not asked")
        if isinstance(reply, protocol.ChunkReply):
            self._proven = self._proven or _proves_a_step(reply.chunk)
        elif isinstance(reply, protocol.Last):
            if self._current == self._load_id:
                self._load_id = 0
            self._current = 0
        if isinstance(reply, protocol.Failure):
            raise Stopped if reply.kind == "cancelled" else failed(reply)

    def _hung(self) -> WorkerHung:
        self._discard(keep_log=True)
        return WorkerHung(
            f"the model's process has said nothing for {self._options.silence:.0f} s",
            f"it was ended and starts again with the next request{self._log_hint('; ')}",
        )

    def _dead(self, end: Ended) -> BackendError:
        """The error for a worker that has ended, or sent bytes that are no message."""
        worker = self._worker
        if worker is None:
            return BackendError("the model was closed")
        if end.reason:
            return self.give_up(end.reason)
        status = worker.end()
        error = died(status, self._options.path, worker.last_words(), self._log)
        if is_crash(error.signal) and not self._proven and self.extra_bufts:
            self.extra_bufts = False
            self.warnings.append(SAFER)
        self._discard(keep_log=True)
        return error

    def _abandon(self) -> None:
        """Cancel a request without a listener, and take its last replies."""
        if not self._current:
            return
        self.cancel()
        with contextlib.suppress(BackendError, Stopped):
            while self._current:
                self.reply()

    def _new_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _send(self, message: protocol.Request) -> None:
        assert self._worker is not None
        try:
            self._worker.send(message)
        except protocol.WireError as error:
            self._current = 0
            raise BackendError(f"the prompt is too long for any model: {error}") from None

    def _load_message(self, request_id: int) -> protocol.Load:
        changes = {"id": request_id, "extra_bufts": self.extra_bufts, "kv": self._kv_store()}
        return self._options.load.model_copy(update=changes)

    def _kv_store(self) -> protocol.KvStore | None:
        """Where the KV cache is stored on disk; None for a model without a known hash."""
        options, load = self._options, self._options.load
        if not options.kv_bytes or not options.sha256:
            return None
        try:
            folder = private(options.kv_folder)
        except OSError:
            return None
        # A state depends on all of this and its tokens. The worker adds the library's version.
        key: tuple[object, ...] = (
            *(options.sha256, load.kv_type, load.flash, self.extra_bufts, load.gpu_layers),
            *(() if load.swa_full else ("short sliding windows",)),
        )
        return protocol.KvStore(folder=os.fsencode(folder), key=repr(key), limit=options.kv_bytes)

    def _log_hint(self, before: str = "") -> str:
        return f"{before}its log is {self._log}" if self._log else ""

    def _new_log(self) -> Path | None:
        """The path of a new log file; the oldest logs are removed."""
        folder = self._options.logs
        try:
            old = sorted(private(folder).glob("worker-*.log"), key=lambda p: p.stat().st_mtime)
            for path in old[: -_KEPT_LOGS + 1]:
                path.unlink()
        except OSError:  # no logs, then, or another session has just removed one
            pass
        return folder / f"worker-{os.getpid()}-{time.time_ns() // 1_000_000}.log"
