"""Requests to a server that speaks OpenAI's API. Every failure becomes one of localagent's errors.

A stream consists of server-sent events: lines "data: {…}", and "data: [DONE]" at the end. Comments,
which some servers send while they read a prompt, are no sign of life: a server that hangs sends
them too.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, TypeVar

import httpx

from localagent.core.errors import (
    ContextOverflow,
    LocalAgentError,
    ModelLoadError,
    ModelNotInstalled,
    ServerError,
)
from localagent.models.openai.protocol import (
    ModelList,
    Props,
    StreamEvent,
    StudioList,
    TokenizeAnswer,
)
from localagent.models.server.address import ServerAddress
from localagent.models.server.errors import connection_errors, refusal
from localagent.models.server.silence import SilenceTimeout
from localagent.models.server.transport import LoopbackTransport

Shape = TypeVar("Shape", ModelList, Props, StudioList, TokenizeAnswer, StreamEvent)

# As in "This model's maximum context length is 4096 tokens".
_WINDOW = re.compile(r"context (?:length|size|window) (?:is |of )?(\d{1,9})", re.IGNORECASE)
_KEY_HINT = "the setting server_keys names the file with its key"


class RequestRejected(ServerError):
    """The server understood the request and does not take it (status 400 or 422)."""


class OpenAiClient:
    """A connection to one server, for one event loop only."""

    def __init__(self, server: ServerAddress) -> None:
        self.server = server
        self._http = httpx.AsyncClient(
            transport=LoopbackTransport(server),
            follow_redirects=False,
            trust_env=False,
            timeout=None,
        )

    @property
    def root(self) -> str:
        """The address without "/v1"."""
        return self.server.url.removesuffix("/v1")

    async def ask(
        self,
        shape: type[Shape],
        url: str,
        timeout: SilenceTimeout,
        body: dict[str, Any] | None = None,
    ) -> Shape:
        """Request one document: GET, or POST with a body. Raises as `stream`."""
        with connection_errors(self.server):
            response = await self._send(url, timeout, body)
            try:
                text = await timeout.wait(response.aread(), self.server)
            finally:
                await response.aclose()
            return shape.model_validate_json(text)

    async def find(
        self,
        shape: type[Shape],
        url: str,
        timeout: SilenceTimeout,
        body: dict[str, Any] | None = None,
    ) -> Shape | None:
        """As `ask`; None from a server that does not know the call."""
        try:
            return await self.ask(shape, url, timeout, body)
        except (ServerError, ModelNotInstalled):
            return None

    async def stream(
        self, path: str, timeout: SilenceTimeout, body: dict[str, Any]
    ) -> AsyncGenerator[StreamEvent, None]:
        """Stream the events of an answer. `path` begins at the address, "/infill" at the root.

        Raises ModelLoadError (no server answers), WorkerDied, WorkerHung, ContextOverflow,
        ModelNotInstalled, NotLocal and ServerError.
        """
        base = self.root if path == "/infill" else self.server.url
        with connection_errors(self.server):
            response = await self._send(base + path, timeout, body)
            try:
                async with aclosing(_data_lines(response)) as lines:
                    while True:
                        line = await timeout.wait(anext(lines, b""), self.server)
                        if line in (b"", b"[DONE]"):
                            return
                        timeout.tick()
                        yield self._event(line)
            finally:
                await response.aclose()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _send(
        self, url: str, timeout: SilenceTimeout, body: dict[str, Any] | None
    ) -> httpx.Response:
        """Send a request and return the begun answer. Raises the error that the server reports."""
        request = self._http.build_request("GET" if body is None else "POST", url, json=body)
        response = await timeout.wait(self._http.send(request, stream=True), self.server)
        if response.status_code == 200:
            return response
        try:
            text = (await timeout.wait(response.aread(), self.server)).decode(errors="replace")
        finally:
            await response.aclose()
        raise self._failure(response.status_code, text)

    def _event(self, line: bytes) -> StreamEvent:
        try:
            value = json.loads(line)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        if isinstance(value, dict) and value.get("error"):
            raise self._failure(-1, line.decode(errors="replace"))
        return StreamEvent.model_validate(value)

    def _failure(self, status: int, text: str) -> LocalAgentError:
        said, details = _message(text)
        if "loading model" in said.lower():
            return ModelLoadError(f"{self.server} is still loading its model", "try it again soon")
        needed, window = details.get("n_prompt_tokens"), details.get("n_ctx")
        if isinstance(needed, int) and isinstance(window, int):
            return ContextOverflow(needed, window)
        error = refusal(self.server, status, said, _KEY_HINT if status in (401, 403) else "")
        if isinstance(error, ContextOverflow) and (number := _WINDOW.search(said)):
            return ContextOverflow(0, int(number[1]))
        if type(error) is ServerError and status in (400, 422):
            return RequestRejected(error.message, error.hint)
        return error


def _message(text: str) -> tuple[str, dict[str, Any]]:
    """The message of an error's document, and its other fields."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text, {}
    if isinstance(value, dict):
        error = value.get("error", value)
        if isinstance(error, dict):
            said = error.get("message") or error.get("detail") or value.get("detail") or text
            return f"{said} {error.get('code') or ''}".strip(), error
        return str(error), {}
    return text, {}


async def _data_lines(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """The data of the events of a stream. A text with another line break stays whole."""
    rest = b""
    chunks: AsyncIterator[bytes] = response.aiter_raw()
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if data := _data(line):
                yield data
    if data := _data(rest):
        yield data


def _data(line: bytes) -> bytes:
    """The data of a line, b"" for another line. Raises ValueError for a line of no stream."""
    line = line.strip()
    if line.startswith(b"data:"):
        return line[len(b"data:") :].strip()
    if line and not line.startswith((b":", b"event:", b"id:", b"retry:")):
        if line.startswith(b"error:"):  # as llama.cpp's server did before 2025
            return b'{"error": ' + line[len(b"error:") :] + b"}"
        raise ValueError("it is no stream of events")
    return b""
