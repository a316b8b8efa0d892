"""Requests to an Ollama server; the one module that imports `ollama`.

The typed calls of the package lack fields that localagent needs: `truncate` and `shift` of a
request, `digest` and `remote_host` of an answer. So requests go through its `_request`, below those
calls, as plain dictionaries, and `ollama.protocol` checks the answers. Every failure becomes one of
localagent's errors. An answer may take any time; only a silence has a limit.

The core is synchronous, but a blocking client cannot be stopped from outside. So requests run in
the event loop of an anyio portal, in a thread of its own. A `BackgroundRun` hands over what they
emit; its cancellation closes the connection within milliseconds.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterator
from contextlib import aclosing, contextmanager
from typing import Any, Generic, TypeVar, cast

import httpx
from anyio import CancelScope
from anyio.from_thread import BlockingPortal, start_blocking_portal

from localagent.core.errors import (
    BackendError,
    ContextOverflow,
    ModelLoadError,
    ModelNotInstalled,
    ServerError,
    WorkerDied,
    WorkerHung,
)
from localagent.models.ollama.protocol import Running, ServerStatus, Show, StreamLine, Tags, Version
from localagent.models.ollama.transport import LoopbackTransport, checked_host

_VARIABLES = ("OLLAMA_HOST", "OLLAMA_API_KEY", "SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


@contextmanager
def _clean_environment() -> Iterator[None]:
    """Remove the variables that the package reads, and restore them afterwards."""
    removed = {
        name: value
        for name, value in os.environ.items()
        if name in _VARIABLES or name.lower().endswith("_proxy")
    }
    for name in removed:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(removed)


with _clean_environment():
    import ollama

T = TypeVar("T")
Shape = TypeVar("Shape", Version, Tags, Show, Running, StreamLine, ServerStatus)
_JsonLines = AsyncGenerator[dict[str, Any], None]

_POLL = 0.5  # seconds; a wait without limit could not be interrupted by Ctrl-C on Windows
_CLOSE = 5.0  # seconds that cancelled work has to close its connections
_LOG = "its log says more (journalctl -u ollama, or where ollama serve runs)"
_TOO_LONG = ("context length", "context size", "context window")
_NO_MEMORY = ("system memory", "out of memory", "cuda error", "failed to load model")
_DEAD = ("runner has", "runner process", "running the model", "unexpectedly stopped")


class RequestGroup:
    """Requests that run side by side: a server that works on one of them is not silent."""

    def __init__(self) -> None:
        self.heard = time.monotonic()
        self.members: set[SilenceTimeout] = set()


class SilenceTimeout:
    """How long a silence of one request may last, in seconds.

    `first` counts until the answer begins, from the last sign of life of the `group`: the request
    may be waiting for the others to end. `later` counts between two parts of the answer.
    """

    def __init__(self, first: float, later: float, group: RequestGroup | None = None) -> None:
        self._first, self._later = first, later
        self._group = group or RequestGroup()
        self._heard: float | None = None
        self._begin = time.monotonic()
        self._scope = CancelScope()

    async def wait(self, answer: Awaitable[T], host: str) -> T:
        """Return what `answer` comes to. Raises WorkerHung after too long a silence.

        Cancellation and silence close the connection of `answer`.
        """
        with CancelScope(deadline=self._deadline()) as self._scope:
            self._group.members.add(self)
            try:
                return await answer
            finally:
                self._group.members.discard(self)
        raise self.error(host)

    def tick(self) -> None:
        """Record a sign of life, which extends the time of the whole group."""
        self._heard = self._group.heard = time.monotonic()
        for member in self._group.members:
            member._scope.deadline = member._deadline()

    def _deadline(self) -> float:
        """When the silence has lasted too long, by the clock of the event loop."""
        if self._heard is not None:
            return self._heard + self._later
        return max(self._begin, self._group.heard) + self._first

    def error(self, host: str) -> WorkerHung:
        """The error for too long a silence."""
        if self._heard is None:
            return WorkerHung(
                f"the Ollama server {host} has not begun to answer for {self._first:.0f} s",
                "it may still be reading the prompt (raise silence_seconds), or hang (restart it)",
            )
        return WorkerHung(
            f"the Ollama server {host} stopped in the middle of a reply for {self._later:.0f} s",
            "restart it if that happens again",
        )


class Client:
    """A connection to the server at `host`, for one event loop only.

    Raises UsageError and NotLocal for an unusable or a forbidden host.
    """

    def __init__(self, host: str, allowed: Collection[str] = ()) -> None:
        self.host = checked_host(host, allowed)
        self._client = ollama.AsyncClient(
            host=self.host,
            transport=LoopbackTransport(self.host),
            follow_redirects=False,
            trust_env=False,
            timeout=None,
        )

    async def ask(
        self,
        shape: type[Shape],
        path: str,
        timeout: SilenceTimeout,
        body: dict[str, Any] | None = None,
    ) -> Shape:
        """Request one document: GET, or POST with a body. Raises as `stream`."""
        method = "GET" if body is None else "POST"
        with _local_errors(self.host):
            answer = self._client._request(dict, method, path, json=body)
            return shape.model_validate(await timeout.wait(answer, self.host))

    async def stream(
        self, path: str, timeout: SilenceTimeout, body: dict[str, Any]
    ) -> AsyncGenerator[StreamLine, None]:
        """Stream the lines of an answer.

        Raises ModelLoadError (no server answers), WorkerDied, WorkerHung, ContextOverflow,
        ModelNotInstalled, NotLocal and ServerError.
        """
        with _local_errors(self.host):
            answer = await self._client._request(dict, "POST", path, json=body, stream=True)
            async with aclosing(cast(_JsonLines, answer)) as lines:
                while True:
                    try:
                        line = await timeout.wait(anext(lines), self.host)
                    except StopAsyncIteration:
                        return
                    timeout.tick()
                    yield StreamLine.model_validate(line)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()  # type: ignore[no-untyped-call]


def call_once(host: str, allowed: Collection[str], work: Callable[[Client], Awaitable[T]]) -> T:
    """Run `work` with a client for the server at `host`, and close the client.

    Raises UsageError and NotLocal for `host`, and the errors of `work`.
    """
    client = Client(host, allowed)

    async def run(emit: Callable[[T], None]) -> None:
        try:
            emit(await work(client))
        finally:
            with CancelScope(shield=True):
                await client.close()

    with start_blocking_portal() as portal:
        (result,) = BackgroundRun[T](portal, run)
    return result


class BackgroundRun(Generic[T]):
    """The values that `work` emits in the thread of `portal`, as an iterator for another thread.

    `work` gets the function that emits. The iterator raises the error of `work`; it just ends if
    `work` was cancelled.
    """

    def __init__(
        self, portal: BlockingPortal, work: Callable[[Callable[[T], None]], Awaitable[None]]
    ) -> None:
        self._items: queue.SimpleQueue[T | _End] = queue.SimpleQueue()
        self._error: Exception | None = None
        self._ended = threading.Event()
        self._future = portal.start_task_soon(self._run, work)

    def __iter__(self) -> Iterator[T]:
        while True:
            try:
                item = self._items.get(timeout=_POLL)
            except queue.Empty:
                continue
            if isinstance(item, _End):
                break
            yield item
        if self._error is not None:
            raise self._error

    def cancel(self) -> None:
        """End the work soon. May be called from any thread, more than once."""
        self._future.cancel()

    def close(self) -> None:
        """Cancel the work, and wait until its connections are closed."""
        self.cancel()
        self._ended.wait(_CLOSE)

    async def _run(self, work: Callable[[Callable[[T], None]], Awaitable[None]]) -> None:
        try:
            await work(self._items.put)
        except Exception as error:  # noqa: BLE001 - the iterator raises it
            self._error = error
        finally:
            self._ended.set()
            self._items.put(_End())


class _End:
    """Stands in the queue for the end of the work."""


@contextmanager
def _local_errors(host: str) -> Iterator[None]:
    """Turn the failures of the package and its HTTP library into localagent's errors."""
    try:
        yield
    except ollama.ResponseError as error:
        raise _refusal(host, error.status_code, _line(str(error.error))) from None
    except (httpx.ConnectError, ConnectionError):
        raise ModelLoadError(
            f"no Ollama server answers at {host}",
            "start it with: ollama serve (another address: the setting ollama_host)",
        ) from None
    except httpx.TransportError as error:
        raise WorkerDied(
            f"the Ollama server {host} ended the connection in the middle of an answer "
            f"({_line(str(error)) or type(error).__name__})",
            _LOG,
        ) from None
    except (httpx.RequestError, ValueError, TypeError, AttributeError, RecursionError) as error:
        # The last ones come from the package, for a line that is no JSON object.
        raise ServerError(
            f"the Ollama server {host} sent what is not its protocol ({_line(str(error))})",
            "is something else listening there? ollama_host says where Ollama is",
        ) from None


def _refusal(host: str, status: int, said: str) -> BackendError | ModelNotInstalled:
    """The error for a failure that the server reports. `status` is -1 inside a stream."""
    words = said.lower()
    if any(phrase in words for phrase in _TOO_LONG):
        return ContextOverflow(0, 0)
    if status == 404 and "model" in words:
        return ModelNotInstalled(
            f"the Ollama server {host} says: {said}", "ollama list shows what it has"
        )
    if any(phrase in words for phrase in _NO_MEMORY):
        return ModelLoadError(f"Ollama could not load the model: {said}", "ollama ps shows others")
    if any(phrase in words for phrase in _DEAD):
        return WorkerDied(f"Ollama's own process for the model ended: {said}", _LOG)
    when = "in the middle of a reply" if status < 0 else f"with status {status}"
    hint = "set fim = false in the model's profile in models.lock" if "insert" in words else _LOG
    return ServerError(f"the Ollama server {host} failed {when}: {said or 'no reason given'}", hint)


def _line(text: str) -> str:
    """A foreign text as one short line that a terminal can show."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(plain.split())[:300]
