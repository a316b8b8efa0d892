"""The worker's main loop: requests in, replies out, one after another.

The main thread does the work; a second thread reads, so that a cancellation is seen while the
native library is busy, and so that the worker ends the moment its parent is gone.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Protocol

from localagent.models.llamacpp import protocol
from localagent.models.llamacpp.worker.generate import Generator
from localagent.models.llamacpp.worker.interface import Llm, RequestFailed
from localagent.models.llamacpp.worker.isolation import confine, private_streams
from localagent.models.llamacpp.worker.kv_files import KvFiles
from localagent.models.llamacpp.worker.threads import Neighbour

_INSTALL = "install it again: pip install --force-reinstall --no-cache-dir llama-cpp-python"


class Loaded(Llm, Protocol):
    """A model that was loaded, and what of it was not known before."""

    @property
    def facts(self) -> protocol.Loaded:
        """The reply to the request that loaded it."""

    def close(self) -> None:
        """Free its memory."""


class Native(Protocol):
    """The native library."""

    @property
    def version(self) -> str:
        """Its name and version."""

    @property
    def devices(self) -> tuple[protocol.Device, ...]:
        """The graphics processors that it can use."""

    def load(
        self,
        request: protocol.Load,
        progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> Loaded:
        """Load a model. Raises RequestFailed, of kind "cancelled" where `cancelled` said so."""


class _Inbox:
    """The requests that have come in, in order, and which of them were cancelled."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._waiting: queue.SimpleQueue[protocol.Request] = queue.SimpleQueue()
        self._cancelled = -1
        self._cancelled_runs: set[tuple[int, int]] = set()
        threading.Thread(target=self._read, name="requests", daemon=True).start()

    def next(self) -> protocol.Request:
        return self._waiting.get()

    def is_cancelled(self, request_id: int, run: int = -1) -> bool:
        return request_id <= self._cancelled or (request_id, run) in self._cancelled_runs

    def _read(self) -> None:
        try:
            while (frame := protocol.read_frame(self._stream, protocol.MAX_REQUEST)) is not None:
                request = protocol.parse_request(frame)
                if isinstance(request, protocol.Cancel):
                    self._cancel(request)
                else:
                    self._waiting.put(request)
        except protocol.WireError as error:
            print(f"worker: {error}", file=sys.stderr, flush=True)  # noqa: T201 - its log
            os._exit(70)
        # The parent has closed the pipe, or is gone. The main thread may be inside the native
        # library for seconds; there is nothing to save, so end without asking it.
        os._exit(0)

    def _cancel(self, request: protocol.Cancel) -> None:
        if request.run is None:
            self._cancelled = max(self._cancelled, request.id)
            self._cancelled_runs = {c for c in self._cancelled_runs if c[0] > self._cancelled}
        else:
            self._cancelled_runs.add((request.id, request.run))


class _Worker:
    """Carries out requests."""

    def __init__(self, native: Native, inbox: _Inbox, replies: BinaryIO) -> None:
        self._native = native
        self._inbox = inbox
        self._replies = replies
        self._model: Loaded | None = None
        self._generator: Generator | None = None

    def send(self, reply: protocol.Reply) -> None:
        _write(self._replies, reply)

    def carry_out(self, request: protocol.Request) -> None:
        try:
            self.send(self._answer(request))
        except RequestFailed as failure:
            self.send(failure.reply(request.id))

    def _answer(self, request: protocol.Request) -> protocol.Reply:
        def cancelled() -> bool:
            return self._inbox.is_cancelled(request.id)

        if isinstance(request, protocol.Load):
            return self._load(request, cancelled)
        if self._generator is None:
            raise RequestFailed("backend", "no model is loaded")
        if isinstance(request, protocol.Generate):
            return self._generator.run(
                request, self.send, lambda run: self._inbox.is_cancelled(request.id, run)
            )
        if isinstance(request, protocol.Keep):
            return protocol.Kept(id=request.id, tokens=self._generator.keep())
        if isinstance(request, protocol.Render):
            return self._generator.render(request)
        if isinstance(request, protocol.Tokenise):
            return self._generator.tokenised(request)
        assert isinstance(request, protocol.CountText)
        tokens = self._generator.count(request.text)
        return protocol.Counted(id=request.id, tokens=tokens)

    def _load(self, request: protocol.Load, cancelled: Callable[[], bool]) -> protocol.Loaded:
        if self._model is not None:
            self._model.close()
            self._model = self._generator = None

        def progress(done: float) -> None:
            self.send(protocol.Loading(id=request.id, done=done))

        if hasattr(os, "nice"):
            os.nice(max(0, request.nice - os.nice(0)))
        self._model = self._native.load(request, progress, cancelled)
        kv = request.kv
        files = None
        if kv is not None:
            key = f"{kv.key} {self._native.version}"
            files = KvFiles(Path(os.fsdecode(kv.folder)), key, kv.limit)
        threads = Neighbour(self._model.facts.threads)
        self._generator = Generator(self._model, files, threads)
        return self._model.facts


def _write(stream: BinaryIO, reply: protocol.Reply) -> None:
    try:
        stream.write(protocol.encode(reply))
        stream.flush()
    except OSError:  # the parent is gone
        os._exit(0)


def serve(open_native: Callable[[], Native]) -> None:
    """Be the worker, until the parent closes the pipe. `open_native` loads the native library.

    Returns only where the library cannot be loaded, which it tells the parent. An error that is
    not the request's ends the process with a traceback.
    """
    requests, replies = private_streams()
    network = confine()
    inbox = _Inbox(requests)
    try:
        native = open_native()
    except (ImportError, OSError, RuntimeError) as error:  # RuntimeError: llama_cpp's own
        failure = RequestFailed("load", f"the native library cannot be loaded: {error}", _INSTALL)
        _write(replies, failure.reply(0))
        return
    worker = _Worker(native, inbox, replies)
    worker.send(protocol.Ready(library=native.version, network=network, devices=native.devices))
    while True:
        worker.carry_out(inbox.next())
