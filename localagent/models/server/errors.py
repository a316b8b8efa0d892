"""Turns the failures of a connection into localagent's errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from localagent.core.errors import (
    BackendError,
    ContextOverflow,
    ModelLoadError,
    ModelNotInstalled,
    ServerError,
    WorkerDied,
)
from localagent.models.server.address import ServerAddress

_TLS = ("CERTIFICATE", "SSL", "TLS")
_TOO_LONG = ("context length", "context size", "context window", "context_length_exceeded")
_NO_MEMORY = ("system memory", "out of memory", "cuda error", "failed to load model")
_DEAD = ("runner has", "runner process", "running the model", "unexpectedly stopped")


@contextmanager
def connection_errors(server: ServerAddress) -> Iterator[None]:
    """Turn failures of the HTTP library, and of answers that are not the protocol's, into errors.

    Raises ModelLoadError, WorkerDied and ServerError.
    """
    try:
        yield
    except (httpx.ConnectError, ConnectionError) as error:
        if any(word in str(error) for word in _TLS):
            raise ServerError(
                f"TLS with {server} failed: {one_line(str(error), server.key)}",
                "the setting server_ca names the file with the site's certificates",
            ) from None
        raise ModelLoadError(
            f"no {server.kind.label} answers at {server.url}", server.kind.start
        ) from None
    except httpx.TransportError as error:
        said = one_line(str(error), server.key) or type(error).__name__
        raise WorkerDied(
            f"{server} ended the connection in the middle of an answer ({said})", server.kind.log
        ) from None
    except (httpx.RequestError, ValueError, TypeError, AttributeError, RecursionError) as error:
        # The last ones come from an answer that is no JSON object, or has wrong fields.
        said = one_line(str(error), server.key)
        raise ServerError(
            f"{server} sent what is not its protocol ({said})",
            f"is something else listening there? {server.kind.setting} says where it is",
        ) from None


def refusal(
    server: ServerAddress, status: int, text: str, hint: str = ""
) -> BackendError | ModelNotInstalled:
    """The error for a failure that the server reports. `status` is -1 inside a stream.

    `text` is the server's, and `hint` replaces the hint on the log.
    """
    said = one_line(text, server.key)
    words, log = said.lower(), hint or server.kind.log
    if any(phrase in words for phrase in _TOO_LONG):
        return ContextOverflow(0, 0)
    if status == 404 and "model" in words:
        return ModelNotInstalled(f"{server} says: {said}", hint or "it has other models now")
    if any(phrase in words for phrase in _NO_MEMORY):
        return ModelLoadError(f"{server} could not load the model: {said}", log)
    if any(phrase in words for phrase in _DEAD):
        return WorkerDied(f"the server's own process for the model ended: {said}", log)
    when = "in the middle of a reply" if status < 0 else f"with status {status}"
    return ServerError(f"{server} failed {when}: {said or 'no reason given'}", log)


def one_line(text: str, key: str = "") -> str:
    """A foreign text as one short line that a terminal can show, without the server's key."""
    if key:
        text = text.replace(key, "[key]")
    plain = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(plain.split())[:300]
