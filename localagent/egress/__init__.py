"""The egress lock: this process can connect only to the destinations that the policy names.

This module defines the types that the folder's modules share: destinations, levels, and the state
of the lock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Level = Literal["open", "process", "seccomp", "landlock", "namespace"]


@dataclass(frozen=True, slots=True)
class Destination:
    """A server that this process may connect to: a host's name or address, and a port.

    `models` are the names of the models that requests through the egress proxy may use. `bases` are
    the base paths of a server with OpenAI's API; without one, it is an Ollama server. With `tls`
    the egress proxy speaks TLS to it, and trusts the certificates in `ca` ("": the system's).
    """

    host: str
    port: int
    models: tuple[str, ...] = field(default=(), compare=False)
    bases: tuple[str, ...] = field(default=(), compare=False)
    tls: bool = field(default=False, compare=False)
    ca: str = field(default="", compare=False)

    def __str__(self) -> str:
        """Return text such as "127.0.0.1:11434"."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class OuterNamespace:
    """References that a process in its own network namespace keeps to the outer namespaces.

    `user_namespace` is the user namespace in which the process started. `unix_sockets` is a
    descriptor of the outer list of unix sockets, or -1.
    """

    user_namespace: str = ""
    unix_sockets: int = -1


@dataclass(frozen=True, slots=True)
class EgressState:
    """The state of this process's egress lock.

    `proxies` maps destinations to the abstract unix sockets of the egress proxy; the process
    connects directly to a destination without an entry. `ports` of this machine are open to
    commands in the sandbox, but not to this process. `reason` says why the level is not higher.
    """

    level: Level = "open"
    destinations: tuple[Destination, ...] = ()
    ports: tuple[int, ...] = ()
    proxies: Mapping[Destination, str] = field(default_factory=lambda: MappingProxyType({}))
    reason: str = ""
    outside: OuterNamespace = OuterNamespace()

    @property
    def locked(self) -> bool:
        """True at every level but "open"."""
        return self.level != "open"

    @property
    def by_kernel(self) -> bool:
        """True if the lock also confines native code and child processes."""
        return self.level in ("seccomp", "landlock", "namespace")

    def __str__(self) -> str:
        """Return text such as "kernel: network namespace, but for 127.0.0.1:11434"."""
        ports = [f"127.0.0.1:{port} for commands" for port in self.ports]
        exceptions = ", ".join([*map(str, self.destinations), *ports])
        level = _LEVEL_TEXT[self.level]
        return f"{level}, but for {exceptions}" if exceptions and self.locked else level


_LEVEL_TEXT: dict[Level, str] = {
    "open": "not locked",
    "process": "in this process only",
    "seccomp": "kernel: seccomp",
    "landlock": "kernel: Landlock and seccomp",
    "namespace": "kernel: network namespace",
}
