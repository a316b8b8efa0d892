"""The limits of the connection to a model server: one host, directly, and bounded answers.

HTTP libraries would follow redirects, take proxies and keys from the environment and read a line of
any length. The transport prevents that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx

from localagent.core.errors import NotLocal, ServerError
from localagent.egress import Destination, lock
from localagent.egress.proxy import UNREACHABLE
from localagent.egress.tls import tls_context
from localagent.models.server.address import ServerAddress
from localagent.models.server.errors import one_line

LINE = 16 << 20
"""Most bytes of one line or document. The longest honest one ends `/api/generate`: the prompt's
tokens as numbers, about 7 bytes each."""

TOTAL = 256 << 20
"""Most bytes of one answer: an honest one has about 130 for each token, and stays far below."""


class LoopbackTransport(httpx.AsyncBaseTransport):
    """Carries requests to one `server` and nowhere else: directly, or through the egress proxy
    where there is one. The proxy speaks TLS with the server.

    Raises NotLocal if the server points elsewhere, ServerError if it sends too much.
    """

    def __init__(self, server: ServerAddress) -> None:
        self._server = server
        self._host = httpx.URL(server.url)
        self._proxy = _proxy_socket(self._host)
        # Certificates are not loaded for a connection that has none.
        encrypts = self._host.scheme == "https" and self._proxy is None
        self._inner = httpx.AsyncHTTPTransport(
            verify=tls_context(server.ca) if encrypts else False,
            trust_env=False,
            uds=self._proxy,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; see the class."""
        if _place(request.url) != _place(self._host):
            raise NotLocal(
                f"a request to {request.url.host} was refused: the server is {self._server.url}",
                f"set {self._server.kind.setting} to the server itself",
            )
        # The package takes a key for its maker's cloud from the environment.
        request.headers.pop("authorization", None)
        if self._server.key:
            request.headers["authorization"] = f"Bearer {self._server.key}"
        request.headers["accept-encoding"] = "identity"
        if self._proxy is not None:
            request.url = request.url.copy_with(scheme="http")
        response = await self._inner.handle_async_request(request)
        try:
            self._check(response)
        except BaseException:
            await response.aclose()
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Bounded(response.stream, self._server)
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()

    def _check(self, response: httpx.Response) -> None:
        if UNREACHABLE in response.headers:
            raise httpx.ConnectError(response.headers[UNREACHABLE])
        if 300 <= response.status_code < 400:
            target = one_line(response.headers.get("location", ""), self._server.key)
            raise NotLocal(
                f"{self._server} redirects to {target[:200] or 'nowhere'}; nothing was sent there",
                f"set {self._server.kind.setting} to the server itself",
            )
        if response.headers.get("content-encoding", "identity") != "identity":
            raise ServerError(
                f"{self._server} answers in an encoding that was not asked for",
                "is something else listening there?",
            )


class _Bounded(httpx.AsyncByteStream):
    """A body that raises ServerError if a line or the whole is too long."""

    def __init__(self, inner: httpx.AsyncByteStream, server: ServerAddress) -> None:
        self._inner, self._server = inner, server

    async def __aiter__(self) -> AsyncIterator[bytes]:
        line = total = 0
        async for data in self._inner:
            total += len(data)
            end = data.rfind(b"\n")
            line = len(data) - end - 1 if end >= 0 else line + len(data)
            if line > LINE or total > TOTAL:
                raise ServerError(
                    f"{self._server} sent more than {max(line, total) >> 20} MiB in one answer",
                    "restart it, or look at its log",
                )
            yield data

    async def aclose(self) -> None:
        await self._inner.aclose()


def _proxy_socket(url: httpx.URL) -> str | None:
    """Return the egress proxy's unix socket for the server; None to connect directly."""
    port = url.port or {"http": 80, "https": 443}[url.scheme]
    return lock.state().proxies.get(Destination(url.host, port))


def _place(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
