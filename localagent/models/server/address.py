"""Addresses of model servers: on this machine, or on a host that the administrator's policy names.

The egress lock reads addresses at every start, so this module imports no HTTP library.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from localagent.core.errors import NotLocal, UsageError
from localagent.core.loopback import is_loopback


@dataclass(frozen=True, slots=True)
class ServerKind:
    """How messages name a kind of server, and what a user can do.

    `setting` is where its address comes from, `port` the one of an address without a port. `start`
    says how to start the server, and `log` where its log is. With `paths`, an address may have one.
    """

    label: str
    setting: str
    port: int
    start: str
    log: str
    paths: bool = False


OLLAMA = ServerKind(
    "Ollama server",
    "ollama_host",
    11434,
    "start it with: ollama serve (another address: the setting ollama_host)",
    "its log says more (journalctl -u ollama, or where ollama serve runs)",
)
OPENAI = ServerKind(
    "model server",
    "the server's address",
    80,
    "start it, or pin its model at another address: localagent models add --server URL NAME",
    "its log says more",
    paths=True,
)


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A checked `url` of a server. `key` goes to this server only, in each request.

    `ca` is the file with the certificates to trust, or "" for the system's.
    """

    url: str
    kind: ServerKind
    key: str = field(default="", repr=False)
    ca: str = ""

    def __str__(self) -> str:
        """Return text such as "the Ollama server http://127.0.0.1:11434"."""
        return f"the {self.kind.label} {self.url}"


def checked_host(setting: str, allowed: Collection[str] = (), kind: ServerKind = OLLAMA) -> str:
    """The server's address as a URL, such as "http://127.0.0.1:11434".

    `setting` may lack the scheme and the port. `localhost` becomes 127.0.0.1, which needs no name
    service. Raises UsageError for a text that is no address. Raises NotLocal for an address that is
    neither on this machine nor among the `allowed` names and addresses.
    """
    text = setting if "://" in setting else f"http://{setting}"
    example = f"http://127.0.0.1:{kind.port}"
    wrong = UsageError(f"{kind.setting} is {setting!r}", f"it must be an address such as {example}")
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else kind.port)
    except ValueError:
        raise wrong from None
    path = parts.path.rstrip("/")
    extra = (path and not kind.paths) or parts.query or parts.fragment or parts.username
    if parts.scheme not in ("http", "https") or not host or extra or not path.isprintable():
        raise wrong
    if host == "localhost":
        host = "127.0.0.1"
    if not (is_loopback(host) or has_host(host, port, allowed)):
        raise NotLocal(
            f"the {kind.label} {host} is not on this machine, so nothing is sent there",
            f"set {kind.setting} to an address of this machine, such as {example}",
        )
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}{path}"


def has_host(host: str, port: int, names: Collection[str]) -> bool:
    """Whether `names` has the host, or the host with this port."""
    return bool({host, f"{host}:{port}"} & {name.lower() for name in names})
