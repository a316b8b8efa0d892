"""The limits of the connection to an Ollama server: one host, directly, and bounded answers.

The package and its HTTP library would follow redirects, take proxies and keys from the environment
and read a line of any length. The transport prevents that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from urllib.parse import urlsplit

import httpx

from localagent.core.errors import NotLocal, ServerError, UsageError
from localagent.core.loopback import is_loopback
from localagent.egress import Destination, lock
from localagent.egress.proxy import UNREACHABLE

PORT = 11434
"""The port of Ollama by default."""


def checked_host(setting: str, allowed: Collection[str] = ()) -> str:
    """The server's address as a URL, such as "http://127.0.0.1:11434".

    `setting` may lack the scheme and the port. `localhost` becomes 127.0.0.1, which needs no name
    service. Raises UsageError for a text that is no address. Raises NotLocal for an address that is
    neither on this machine nor among the `allowed` names and addresses.
    """
    text = setting if "://" in setting else f"http://{setting}"
    wrong = UsageError(
        f"ollama_host is {setting!r}", "it must be an address such as http://127.0.0.1:11434"
    )
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else PORT)
    except ValueError:
        raise wrong from None
    extra = parts.path.strip("/") or parts.query or parts.fragment or parts.username
    if parts.scheme not in ("http", "https") or not host or extra:
        raise wrong
    if host == "localhost":
        host = "127.0.0.1"
    if not (is_loopback(host) or {host, f"{host}:{port}"} & {name.lower() for name in allowed}):
        raise NotLocal(
            f"the Ollama server {host} is not on this machine, so nothing is sent there",
            "set ollama_host to an address of this machine, such as http://127.0.0.1:11434",
        )
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


LINE = 16 << 20
"""Most bytes of one line or document. The longest honest one ends `/api/generate`: the prompt's
tokens as numbers, about 7 bytes each."""

TOTAL = 256 << 20
"""Most bytes of one answer: an honest one has about 130 for each token, and stays far below."""


class LoopbackTransport(httpx.AsyncBaseTransport):
    """Carries requests to `host` (of `ollama_host.checked_host`) and nowhere else: directly, or
    through the egress proxy where there is one.

    Raises NotLocal if the server points elsewhere, ServerError if it sends too much.
    """

    def __init__(self, host: str) -> None:
        self._host = httpx.URL(host)
        # Certificates are not loaded for a connection that has none.
        self._inner = httpx.AsyncHTTPTransport(
            verify=self._host.scheme == "https", trust_env=False, uds=_proxy_socket(self._host)
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; see the class."""
        if _place(request.url) != _place(self._host):
            raise NotLocal(
                f"a request to {request.url.host} was refused: the server is {self._host}",
                "set ollama_host to the server itself",
            )
        # The package takes a key for its maker's cloud from the environment.
        request.headers.pop("authorization", None)
        request.headers["accept-encoding"] = "identity"
        response = await self._inner.handle_async_request(request)
        try:
            self._check(response)
        except BaseException:
            await response.aclose()
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Bounded(response.stream)
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()

    def _check(self, response: httpx.Response) -> None:
        if UNREACHABLE in response.headers:
            raise httpx.ConnectError("no server answers behind the egress proxy")
        if 300 <= response.status_code < 400:
            target = "".join(c for c in response.headers.get("location", "") if c.isprintable())
            raise NotLocal(
                f"the Ollama server {self._host} redirects to {target[:200] or 'nowhere'}; "
                "nothing was sent there",
                "set ollama_host to the server itself",
            )
        if response.headers.get("content-encoding", "identity") != "identity":
            raise ServerError(
                f"the Ollama server {self._host} answers in an encoding that was not asked for",
                "is something else listening there?",
            )


class _Bounded(httpx.AsyncByteStream):
    """A body that raises ServerError if a line or the whole is too long."""

    def __init__(self, inner: httpx.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        line = total = 0
        async for data in self._inner:
            total += len(data)
            end = data.rfind(b"\n")
            line = len(data) - end - 1 if end >= 0 else line + len(data)
            if line > LINE or total > TOTAL:
                raise ServerError(
                    f"the Ollama server sent more than {max(line, total) >> 20} MiB in one answer",
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
