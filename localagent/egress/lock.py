"""The egress lock: this process connects only to the destinations that were fixed at its start.

    startup.prepare ─▶ lock ─▶ kernel_lock.py:  a network namespace or a seccomp filter,
                           │                    and an egress proxy
                           └─▶ an audit hook:   every socket and name look-up of Python

The hook checks the connections of Python code, records the caller of refused ones (blocked.py), and
works on every system. The kernel's part also confines native code and child processes, and nothing
undoes it. The hook stops careless code: `lock` works once, and Python removes no audit hook, but
code that searches the interpreter for the hook can empty it. docs/adr/0010-egress-lock.md gives the
reasons.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import FrameType, MappingProxyType
from typing import Any

from localagent.core.loopback import is_loopback
from localagent.egress import Destination, EgressState
from localagent.egress.blocked import BLOCKED, BlockedConnection, BlockedConnections
from localagent.linux import procfs

_INTERNET = (socket.AF_INET, socket.AF_INET6)
_UNIX = getattr(socket, "AF_UNIX", -1)
_FAMILIES = (*_INTERNET, _UNIX)


class EgressError(PermissionError):
    """A refused attempt to reach the network; an OSError, as a refusal by the kernel is."""


_state = EgressState()


def state() -> EgressState:
    """Return the state of this process's egress lock."""
    return _state


def outside_sockets() -> bytes:
    """Return the content of /proc/net/unix outside of this process's network namespace.

    Returns b"" if the process has no separate network namespace. Raises OSError.
    """
    descriptor = _state.outside.unix_sockets
    return procfs.read_descriptor(descriptor) if descriptor >= 0 else b""


def network_streams() -> list[str]:
    """Return the names of the standard streams that are sockets of the internet."""
    names = []
    for number, name in enumerate(("standard input", "standard output", "standard error")):
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(number)) as each:
            names += [name] if each.family in _INTERNET else []
    return names


def lock(
    destinations: tuple[Destination, ...] = (), ports: tuple[int, ...] = (), *, kernel: bool = True
) -> EgressState:
    """Lock this process and return its state.

    Call it once, in the main thread, before other threads start; a second call changes nothing.
    `ports` of this machine stay open only to commands in the sandbox. `kernel` is False only for
    `models fetch`, whose child processes may use the network.
    """
    global _state
    if _state.locked:
        return _state
    # An HTTP proxy on this machine would be a way out, so its variables leave the environment.
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    locked = EgressState("process", destinations, ports)
    if kernel and sys.platform == "linux":
        from localagent.egress import kernel_lock

        locked = kernel_lock.confine(locked)
    direct = () if locked.proxies else destinations
    # The kernel refuses these sockets too, but records nothing.
    filtered = locked.level in ("seccomp", "landlock")
    families = frozenset((_UNIX,) if filtered else _FAMILIES)
    sys.addaudithook(_audit_hook(direct, frozenset(locked.proxies.values()), families, BLOCKED))
    reason = "the children of this command may reach the network"
    _state = locked if kernel else replace(locked, reason=reason)
    return _state


def _audit_hook(
    direct: tuple[Destination, ...],
    proxies: frozenset[str],
    families: frozenset[int],
    blocked: BlockedConnections,
) -> Callable[[str, tuple[Any, ...]], None]:
    """Return the audit hook, whose closure keeps the allowed destinations from other code.

    `families` are the families of sockets that may be made.
    """
    addresses = _resolve(direct)
    names = frozenset(destination.host for destination in direct)

    def refuse(action: str, target: str) -> None:
        thread = threading.current_thread().name
        blocked.record(BlockedConnection(action, target, thread, _caller(), time.time()))
        raise EgressError(errno.EACCES, f"the egress lock refuses to {action} {target}")

    def check_address(action: str, sock: Any, address: Any) -> None:
        if address is None:
            return  # a datagram on an allowed connection
        family = getattr(sock, "family", None)
        if family == _UNIX:
            if _text(address) not in proxies:
                refuse(action, _text(address).replace("\0", "@"))
        elif family not in _INTERNET or address[:2] not in addresses:
            refuse(action, _address_text(address))

    def check_bind(sock: Any, address: Any) -> None:
        if getattr(sock, "family", None) in _INTERNET and not is_loopback(_text(address[0])):
            refuse("bind", _address_text(address))

    def check_socket(_sock: Any, family: int, kind: int, _protocol: int) -> None:
        raw = kind != -1 and kind & 0xF in (socket.SOCK_RAW, socket.SOCK_RDM)
        if family not in (-1, *families) or raw:
            refuse("open a socket of", f"family {int(family)}, type {int(kind)}")

    def check_name(host: Any, *_more: Any) -> None:
        name = _text(host[0] if isinstance(host, tuple) else host)
        if host is not None and _ip_address(name) is None and name not in names:
            refuse("look up", name)

    checks: Mapping[str, Callable[..., None]] = MappingProxyType(
        {
            "socket.connect": lambda sock, address: check_address("connect to", sock, address),
            "socket.sendto": lambda sock, address: check_address("send to", sock, address),
            "socket.sendmsg": lambda sock, address: check_address("send to", sock, address),
            "socket.bind": check_bind,
            "socket.__new__": check_socket,
            "socket.getaddrinfo": check_name,
            "socket.gethostbyname": check_name,
            "socket.gethostbyaddr": lambda host: refuse("look up", _text(host)),
            "socket.getnameinfo": lambda address: refuse("look up", _address_text(address)),
            "webbrowser.open": lambda url: refuse("open", _text(url)),
        }
    )
    find_check = checks.get

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        check = find_check(event)
        if check is not None:
            check(*arguments)

    return hook


def _resolve(direct: tuple[Destination, ...]) -> frozenset[tuple[str, int]]:
    """Return the destinations as written, and the present addresses of their names."""
    addresses = {(destination.host, destination.port) for destination in direct}
    for destination in direct:
        if _ip_address(destination.host) is None:
            with contextlib.suppress(OSError):
                answers = socket.getaddrinfo(
                    destination.host, destination.port, type=socket.SOCK_STREAM
                )
                addresses |= {(str(answer[4][0]), destination.port) for answer in answers}
    return frozenset(addresses)


def _text(value: Any) -> str:
    return os.fsdecode(value) if isinstance(value, str | bytes) else str(value)


def _address_text(address: Any) -> str:
    if isinstance(address, tuple) and len(address) >= 2:
        return f"{_text(address[0])}:{address[1]}"
    return _text(address)


def _ip_address(host: Any) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Parse an IP address, without its zone; None for a name."""
    try:
        return ipaddress.ip_address(_text(host).partition("%")[0])
    except ValueError:
        return None


def _caller() -> str:
    """Return the innermost place outside of this module and the standard library: "file.py:12"."""
    frame: FrameType | None = sys._getframe(2)
    library = os.path.dirname(os.__file__)  # noqa: PTH120  # frames have strings
    inner = frame
    while frame is not None:
        name = frame.f_code.co_filename
        packages = "site-packages" in name or "dist-packages" in name
        if name != __file__ and (packages or not name.startswith((library, "<frozen"))):
            inner = frame
            break
        frame = frame.f_back
    if inner is None:
        return "?"
    return f"{os.path.basename(inner.f_code.co_filename)}:{inner.f_lineno}"  # noqa: PTH119  # as above
