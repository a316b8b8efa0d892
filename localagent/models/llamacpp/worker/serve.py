"""The worker's main loop: it isolates its process, and carries out requests one after another.

The main thread works; a second thread reads. So a cancellation arrives while the native library is
busy, and the worker ends at once when its parent is gone. The isolation is best effort: if the
system refuses a measure, the worker runs without it.
"""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, Literal

from localagent.models.llamacpp import protocol
from localagent.models.llamacpp.hardware import ThreadGovernor
from localagent.models.llamacpp.process import backends
from localagent.models.llamacpp.worker.generate import Generator
from localagent.models.llamacpp.worker.interface import LoadedLlm, NativeLibrary, RequestFailed
from localagent.models.llamacpp.worker.kv_files import KvFiles

_CLONE_NEWUSER = 0x10000000  # linux/sched.h
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
# Where systems keep libraries, facts about the machine, and what resolves users and the time zone.
_SYSTEM = (
    *("/usr", "/lib", "/lib64", "/opt", "/nix", "/run/current-system", "/proc", "/sys"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime"),
    *("/etc/nsswitch.conf", "/etc/passwd", "/etc/group"),
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_INSTALL = "install it again: pip install --force-reinstall --no-cache-dir llama-cpp-python"


class _Inbox:
    """The incoming requests in order, and the cancelled ones among them."""

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
        # library for seconds. There is nothing to save, so the process just ends.
        os._exit(0)

    def _cancel(self, request: protocol.Cancel) -> None:
        if request.run is None:
            self._cancelled = max(self._cancelled, request.id)
            self._cancelled_runs = {c for c in self._cancelled_runs if c[0] > self._cancelled}
        else:
            self._cancelled_runs.add((request.id, request.run))


class _Worker:
    """Carries out requests."""

    def __init__(self, native: NativeLibrary, inbox: _Inbox, replies: BinaryIO) -> None:
        self._native = native
        self._inbox = inbox
        self._replies = replies
        self._model: LoadedLlm | None = None
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
        if isinstance(request, protocol.SaveKv):
            return protocol.TokenCount(id=request.id, tokens=self._generator.keep())
        if isinstance(request, protocol.Tokenize):
            prompt = self._generator.tokenize(request.request)
            return protocol.TokenizeReply(id=request.id, prompt=prompt)
        assert isinstance(request, protocol.CountText)
        tokens = self._generator.count(request.text)
        return protocol.TokenCount(id=request.id, tokens=tokens)

    def _load(self, request: protocol.Load, cancelled: Callable[[], bool]) -> protocol.LoadReply:
        if self._model is not None:
            self._model.close()
            self._model = self._generator = None

        def progress(done: float) -> None:
            self.send(protocol.LoadProgress(id=request.id, done=done))

        if hasattr(os, "nice"):
            os.nice(max(0, request.nice - os.nice(0)))
        self._model = self._native.load(request, progress, cancelled)
        kv = request.kv
        files = None
        if kv is not None:
            key = f"{kv.key} {self._native.version}"
            files = KvFiles(Path(os.fsdecode(kv.folder)), key, kv.limit)
        threads = ThreadGovernor(self._model.facts.threads)
        self._generator = Generator(self._model, files, threads)
        return self._model.facts


def _write(stream: BinaryIO, reply: protocol.Reply) -> None:
    try:
        stream.write(protocol.encode(reply))
        stream.flush()
    except OSError:  # the parent is gone
        os._exit(0)


def serve(open_native: Callable[[], NativeLibrary], places: Sequence[str] | None = None) -> None:
    """Run the worker until the parent closes the pipe. `open_native` loads the native library.

    `places`: see `confine`. Returns only if the library cannot be loaded, after a message to the
    parent. An error that is not the request's ends the process with a traceback.
    """
    requests, replies = private_streams()
    network = confine(places)
    inbox = _Inbox(requests)
    try:
        native = open_native()
    except (ImportError, OSError, RuntimeError) as error:  # RuntimeError: llama_cpp's own
        failure = RequestFailed("load", f"the native library cannot be loaded: {error}", _INSTALL)
        _write(replies, failure.reply(0))
        return
    worker = _Worker(native, inbox, replies)
    worker.send(protocol.Ready(library=native.version, network=network, gpus=native.gpus))
    while True:
        worker.carry_out(inbox.next())


def private_streams() -> tuple[BinaryIO, BinaryIO]:
    """Move descriptors 0 and 1 to private streams.

    The native library prints to descriptor 1, which is standard error from now on. A reader of
    descriptor 0 finds its end.
    """
    requests, replies = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(requests, os.O_BINARY)
        msvcrt.setmode(replies, os.O_BINARY)
    return os.fdopen(requests, "rb"), os.fdopen(replies, "wb")


def confine(places: Sequence[str] | None = None) -> Literal["none", "open"]:
    """Isolate the process and return its network. Must run while there is one thread.

    The parent handles Ctrl-C. A crash leaves no core file, which would be as large as the model.
    If memory runs out, the kernel ends this process before the session. A new network namespace, or
    a filter that refuses sockets, leaves no way out: even a hostile model file could not make the
    native library send anything.

    `places` are the folder of the KV cache ("" for none), which the process may change, and the
    files of the model. Besides them it then reads only programs and libraries, and starts no
    program. None leaves all files open, as a library for GPUs does: drivers need many files.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.umask(0o077)
    _no_core_file()
    if sys.platform != "linux":
        return "open"
    try:
        Path("/proc/self/oom_score_adj").write_text("500")
    except OSError:
        pass
    from localagent.linux import seccomp

    libc = ctypes.CDLL(None, use_errno=True)
    alone = libc.unshare(_CLONE_NEWNET) == 0 or libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0
    if places is None or backends():
        filtered = not alone and _install(seccomp.egress_program(tcp=False, alone=True))
    else:
        _limit_files(places)
        filtered = _install(seccomp.model_program())
    # After all changes of credentials, because they clear it. The signal comes when the thread ends
    # that started the worker, so that thread of the parent lives as long as the worker.
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return "none" if alone or filtered else "open"


def _install(code: bytes | None) -> bool:
    """Install a filter on system calls; return whether the kernel took it."""
    from localagent.linux import seccomp

    try:
        return seccomp.install(code) == 0
    except OSError:
        return False


def _limit_files(places: Sequence[str]) -> None:
    """Give up capabilities and, where the kernel has Landlock, access to all other files."""
    from localagent.linux import landlock, syscalls

    folder, *files = places or [""]
    rules = [("read", path) for path in (*_SYSTEM, *sys.path, sys.prefix, sys.base_prefix, *files)]
    rules += [("read", path) for path in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)]
    rules += [("device", path) for path in _DEVICES]
    try:
        if folder:
            Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
            rules.append(("write", folder))
        syscalls.keep_capabilities(())
        descriptor = landlock.prepare((kind, path) for kind, path in rules if path)
        try:
            syscalls.landlock_restrict(descriptor)
        finally:
            os.close(descriptor)
    except OSError:
        pass  # no Landlock here


def _no_core_file() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError):
        pass
