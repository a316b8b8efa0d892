"""The address of the Ollama server: what a setting may say, and that it is on this machine."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from localagent.core.errors import NotLocal, UsageError

PORT = 11434
"""Where Ollama listens unless told otherwise."""


def checked_host(setting: str, allowed: Collection[str] = ()) -> str:
    """The server's address as a URL, such as "http://127.0.0.1:11434".

    `setting` may leave out the scheme and the port. `localhost` becomes 127.0.0.1, so that no name
    service is asked. Raises UsageError for what is no address, and NotLocal for one that is neither
    on this machine nor among the `allowed` names and addresses.
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
    if not (_loopback(host) or {host, f"{host}:{port}"} & {name.lower() for name in allowed}):
        raise NotLocal(
            f"the Ollama server {host} is not on this machine, so nothing is sent there",
            "set ollama_host to an address of this machine, such as http://127.0.0.1:11434",
        )
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
