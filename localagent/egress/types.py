"""What the parts of the egress lock share: destinations, levels, and the state of the lock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Level = Literal["open", "process", "landlock", "namespace"]


@dataclass(frozen=True, slots=True)
class Destination:
    """A server that may be dialled: a host's name or address as settings have it, and a port.
    `models` are the names of its models that may be asked through a door."""

    host: str
    port: int
    models: tuple[str, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        """ "127.0.0.1:11434"."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Outside:
    """What is remembered of the world outside a network namespace: the user namespace that the
    process was started in, and a descriptor of its list of unix sockets (-1: none)."""

    user_namespace: str = ""
    unix_sockets: int = -1


@dataclass(frozen=True, slots=True)
class State:
    """How this process is locked. `doors` maps the destinations to the abstract unix sockets that
    lead to them; where there is none, a destination is dialled directly. `ports` are those of this
    machine that commands in the sandbox may reach; this process's own code may not."""

    level: Level = "open"
    destinations: tuple[Destination, ...] = ()
    ports: tuple[int, ...] = ()
    doors: Mapping[Destination, str] = field(default_factory=lambda: MappingProxyType({}))
    why: str = ""
    outside: Outside = Outside()

    @property
    def locked(self) -> bool:
        """Whether anything is locked at all."""
        return self.level != "open"

    @property
    def by_kernel(self) -> bool:
        """Whether native code and child processes are held as well."""
        return self.level in ("landlock", "namespace")

    def __str__(self) -> str:
        """ "kernel: network namespace, but for 127.0.0.1:11434"."""
        ports = [f"127.0.0.1:{port} for commands" for port in self.ports]
        doors = ", ".join([*map(str, self.destinations), *ports])
        return _WORDS[self.level] + (f", but for {doors}" if doors and self.locked else "")


_WORDS: dict[Level, str] = {
    "open": "not locked",
    "process": "in this process only",
    "landlock": "kernel: Landlock and seccomp",
    "namespace": "kernel: network namespace",
}
