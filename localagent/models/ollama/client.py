"""Requests to an Ollama server; the one module that imports `ollama`.

The typed calls of the package lack fields that localagent needs: `truncate` and `shift` of a
request, `digest` and `remote_host` of an answer. So requests go through its `_request`, below those
calls, as plain dictionaries, and `ollama.protocol` checks the answers. Every failure becomes one of
localagent's errors. An answer may take any time; only a silence has a limit.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Collection, Iterator
from contextlib import aclosing, contextmanager
from typing import Any, TypeVar, cast

from localagent.models.ollama.protocol import Running, ServerStatus, Show, StreamLine, Tags, Version
from localagent.models.server.address import OLLAMA, ServerAddress, checked_host
from localagent.models.server.errors import connection_errors, refusal
from localagent.models.server.silence import SilenceTimeout
from localagent.models.server.transport import LoopbackTransport

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

_HINTS = {
    "not found": "ollama list shows what it has",
    "insert": "set fim = false in the model's profile in models.lock",
    "memory": "ollama ps shows others",
}

Shape = TypeVar("Shape", Version, Tags, Show, Running, StreamLine, ServerStatus)
_JsonLines = AsyncGenerator[dict[str, Any], None]


class Client:
    """A connection to the server at `host`, for one event loop only.

    Raises UsageError and NotLocal for an unusable or a forbidden host.
    """

    def __init__(self, host: str, allowed: Collection[str] = ()) -> None:
        self.server = ServerAddress(checked_host(host, allowed), OLLAMA)
        self._client = ollama.AsyncClient(
            host=self.server.url,
            transport=LoopbackTransport(self.server),
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
        with _local_errors(self.server):
            answer = self._client._request(dict, method, path, json=body)
            return shape.model_validate(await timeout.wait(answer, self.server))

    async def stream(
        self, path: str, timeout: SilenceTimeout, body: dict[str, Any]
    ) -> AsyncGenerator[StreamLine, None]:
        """Stream the lines of an answer.

        Raises ModelLoadError (no server answers), WorkerDied, WorkerHung, ContextOverflow,
        ModelNotInstalled, NotLocal and ServerError.
        """
        with _local_errors(self.server):
            answer = await self._client._request(dict, "POST", path, json=body, stream=True)
            async with aclosing(cast(_JsonLines, answer)) as lines:
                while True:
                    try:
                        line = await timeout.wait(anext(lines), self.server)
                    except StopAsyncIteration:
                        return
                    timeout.tick()
                    yield StreamLine.model_validate(line)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()  # type: ignore[no-untyped-call]


@contextmanager
def _local_errors(server: ServerAddress) -> Iterator[None]:
    """Turn the failures of the package and its HTTP library into localagent's errors."""
    with connection_errors(server):
        try:
            yield
        except ollama.ResponseError as error:
            said = str(error.error)
            hint = _HINTS.get(next((word for word in _HINTS if word in said.lower()), ""), "")
            raise refusal(server, error.status_code, said, hint) from None
