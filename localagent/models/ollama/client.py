"""Requests to an Ollama server; the one module that imports `ollama`.

The package's typed calls leave out fields that are needed here: `truncate` and `shift` of a
request, `digest` and `remote_host` of an answer. So requests go through its `_request`, below those
calls, as plain dictionaries, and `ollama_wire` checks the answers. Every failure becomes an error
of localagent's own; there is no limit on how long an answer takes, only on silence.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Collection, Iterator
from contextlib import aclosing, contextmanager
from typing import Any, TypeVar, cast

import httpx

from localagent.core.errors import (
    BackendError,
    ContextOverflow,
    ModelLoadError,
    ModelNotInstalled,
    ServerError,
    WorkerDied,
    WorkerHung,
)
from localagent.models.ollama.protocol import Piece, Running, ServerStatus, Show, Tags, Version
from localagent.models.ollama.transport import Border, checked_host

_NAMES = ("OLLAMA_HOST", "OLLAMA_API_KEY", "SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


@contextmanager
def untouched() -> Iterator[None]:
    """Take these variables away, and put them back afterwards."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _NAMES or name.lower().endswith("_proxy")
    }
    for name in kept:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(kept)


with untouched():
    import ollama

Shape = TypeVar("Shape", Version, Tags, Show, Running, Piece, ServerStatus)
Lines = AsyncGenerator[dict[str, Any], None]

_LOG = "its log says more (journalctl -u ollama, or where ollama serve runs)"
_TOO_LONG = ("context length", "context size", "context window")
_NO_MEMORY = ("system memory", "out of memory", "cuda error", "failed to load model")
_DEAD = ("runner has", "runner process", "running the model", "unexpectedly stopped")


class Group:
    """Requests that run side by side: a server that works on one of them is not silent."""

    def __init__(self) -> None:
        self.heard = time.monotonic()


class Patience:
    """How long a silence of one request may last: `first` seconds before it is answered at all,
    counted from the last sign of life of its group (it may be waiting for the others to end), and
    `later` seconds between two parts of its answer."""

    def __init__(self, first: float, later: float, group: Group | None = None) -> None:
        self._first, self._later = first, later
        self._group = group or Group()
        self._heard: float | None = None
        self._begun = time.monotonic()

    def left(self) -> float:
        """Seconds until the silence has lasted too long; may be negative."""
        if self._heard is not None:
            return self._heard + self._later - time.monotonic()
        return max(self._begun, self._group.heard) + self._first - time.monotonic()

    def tick(self) -> None:
        """Something was heard."""
        self._heard = self._group.heard = time.monotonic()

    def error(self, host: str) -> WorkerHung:
        """What to raise when the silence has lasted too long."""
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
    """A connection to the server at `host`, used in one event loop only.

    Raises UsageError and NotLocal for a host that cannot or must not be used.
    """

    def __init__(self, host: str, allowed: Collection[str] = ()) -> None:
        self.host = checked_host(host, allowed)
        self._client = ollama.AsyncClient(
            host=self.host,
            transport=Border(self.host),
            follow_redirects=False,
            trust_env=False,
            timeout=None,
        )

    async def ask(
        self,
        shape: type[Shape],
        path: str,
        patience: Patience,
        body: dict[str, Any] | None = None,
    ) -> Shape:
        """One document: GET, or POST where there is a body. Raises as `stream`."""
        method = "GET" if body is None else "POST"
        with _translated(self.host):
            answer = self._client._request(dict, method, path, json=body)
            return shape.model_validate(await self._within(patience, answer))

    async def stream(
        self, path: str, patience: Patience, body: dict[str, Any]
    ) -> AsyncGenerator[Piece, None]:
        """The lines of a streamed answer.

        Raises ModelLoadError (nobody answers there), WorkerDied, WorkerHung, ContextOverflow,
        ModelNotInstalled, NotLocal and ServerError.
        """
        with _translated(self.host):
            answer = await self._client._request(dict, "POST", path, json=body, stream=True)
            async with aclosing(cast(Lines, answer)) as lines:
                while True:
                    try:
                        line = await self._within(patience, anext(lines))
                    except StopAsyncIteration:
                        return
                    patience.tick()
                    yield Piece.model_validate(line)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()  # type: ignore[no-untyped-call]

    async def _within(self, patience: Patience, waiting: Any) -> Any:
        """What `waiting` comes to. Its connection is closed when this is cancelled or too late."""
        task = asyncio.ensure_future(waiting)
        try:
            while not task.done():
                left = patience.left()
                if left <= 0:
                    raise patience.error(self.host)
                await asyncio.wait({task}, timeout=left)
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})


@contextmanager
def _translated(host: str) -> Iterator[None]:
    """Turns the failures of the package and its HTTP library into localagent's errors."""
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
        # The last ones are what the package comes to over a line that is no JSON object.
        raise ServerError(
            f"the Ollama server {host} sent what is not its protocol ({_line(str(error))})",
            "is something else listening there? ollama_host says where Ollama is",
        ) from None


def _refusal(host: str, status: int, said: str) -> BackendError | ModelNotInstalled:
    """The error for an answer of the server's that is one. `status` is -1 in mid-stream."""
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
    """Somebody else's text as one short line that a terminal can show."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(plain.split())[:300]
