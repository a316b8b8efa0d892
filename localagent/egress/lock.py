"""The egress lock: this process dials nothing but the doors that were named when it started.

    start.prepare ─▶ lock ─▶ the kernel (egress_linux): a network namespace with a door process,
                         │                              or Landlock and seccomp
                         └─▶ this module's audit hook:  every socket and name look-up of Python

The hook sees what Python code and its libraries do, tells who asked (attempts.py), and works on
every system. The kernel's part holds for native code and child processes as well. Both are
latched: `lock` works once, what it was given lies in a closure, and Python has no way to remove an
audit hook. docs/adr/0010-egress-lock.md has the reasons.
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

from localagent.egress.attempts import ATTEMPTS, Attempt, Attempts
from localagent.egress.types import Destination, State

_INTERNET = (socket.AF_INET, socket.AF_INET6)


class Blocked(PermissionError):
    """What code gets that reaches for the network; an OSError, as from a kernel that refuses."""


_state = State()


def state() -> State:
    """How this process is locked."""
    return _state


def outside_sockets() -> bytes:
    """What /proc/net/unix now shows outside of this process's network namespace; b"" where it has
    none of its own. Raises OSError."""
    descriptor = _state.outside.unix_sockets
    if descriptor < 0:
        return b""
    parts = []
    at = 0
    while part := os.pread(descriptor, 1 << 16, at):
        parts.append(part)
        at += len(part)
    return b"".join(parts)


def lock(
    destinations: tuple[Destination, ...] = (), ports: tuple[int, ...] = (), *, kernel: bool = True
) -> State:
    """Lock this process and return how. Called once, in the main thread, before there are others.

    `ports` of this machine are left open for the commands in the sandbox, and for them alone.
    `kernel` is False for the one command whose children may reach out (`models fetch`). A second
    call changes nothing.
    """
    global _state
    if _state.locked:
        return _state
    _forget_proxies()
    locked = State("process", destinations, ports)
    if kernel and sys.platform == "linux":
        from localagent.egress import namespace

        locked = namespace.confine(locked)
    direct = () if locked.doors else destinations
    sys.addaudithook(_hook(direct, frozenset(locked.doors.values()), ATTEMPTS))
    _state = locked if kernel else replace(locked, why="this command's children may reach out")
    return _state


def _forget_proxies() -> None:
    """A proxy on this machine would be a way out, and no library needs to know of one."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]


def _hook(
    direct: tuple[Destination, ...], doors: frozenset[str], attempts: Attempts
) -> Callable[[str, tuple[Any, ...]], None]:
    """The audit hook. What it knows is in its closure, so that no module's variable widens it."""
    addresses = _addresses(direct)
    names = frozenset(place.host for place in direct)

    def refuse(what: str, where: str) -> None:
        attempts.record(
            Attempt(what, where, threading.current_thread().name, _caller(), time.time())
        )
        raise Blocked(errno.EACCES, f"the egress lock refuses to {what} {where}")

    def reach(what: str, sock: Any, address: Any) -> None:
        if address is None:
            return  # a datagram on a connection that was allowed
        family = getattr(sock, "family", None)
        if family == getattr(socket, "AF_UNIX", -1):
            if _text(address) not in doors:
                refuse(what, _text(address).replace("\0", "@"))
        elif family not in _INTERNET or address[:2] not in addresses:
            refuse(what, _shown(address))

    def bind(sock: Any, address: Any) -> None:
        if getattr(sock, "family", None) in _INTERNET and not _loopback(_plain(address[0])):
            refuse("bind", _shown(address))

    def create(_sock: Any, family: int, kind: int, _protocol: int) -> None:
        known = (-1, *_INTERNET, getattr(socket, "AF_UNIX", -1))
        raw = kind != -1 and kind & 0xF in (socket.SOCK_RAW, socket.SOCK_RDM)
        if family not in known or raw:
            refuse("open a socket of", f"family {int(family)}, type {int(kind)}")

    def look_up(host: Any, *_more: Any) -> None:
        name = _text(host[0] if isinstance(host, tuple) else host)
        if host is not None and _plain(name) == "" and name not in names:
            refuse("look up", name)

    checks: Mapping[str, Callable[..., None]] = MappingProxyType(
        {
            "socket.connect": lambda sock, address: reach("connect to", sock, address),
            "socket.sendto": lambda sock, address: reach("send to", sock, address),
            "socket.sendmsg": lambda sock, address: reach("send to", sock, address),
            "socket.bind": bind,
            "socket.__new__": create,
            "socket.getaddrinfo": look_up,
            "socket.gethostbyname": look_up,
            "socket.gethostbyaddr": lambda host: refuse("look up", _text(host)),
            "socket.getnameinfo": lambda address: refuse("look up", _shown(address)),
            "webbrowser.open": lambda url: refuse("open", _text(url)),
        }
    )
    found = checks.get

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        check = found(event)
        if check is not None:
            check(*arguments)

    return hook


def _addresses(direct: tuple[Destination, ...]) -> frozenset[tuple[str, int]]:
    """What may be dialled: the destinations as they are written, and the addresses that their
    names have now."""
    found = {(place.host, place.port) for place in direct}
    for place in direct:
        if not _plain(place.host):
            with contextlib.suppress(OSError):
                answers = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
                found |= {(str(answer[4][0]), place.port) for answer in answers}
    return frozenset(found)


def _text(value: Any) -> str:
    return os.fsdecode(value) if isinstance(value, str | bytes) else str(value)


def _shown(address: Any) -> str:
    if isinstance(address, tuple) and len(address) >= 2:
        return f"{_text(address[0])}:{address[1]}"
    return _text(address)


def _plain(host: Any) -> str:
    """An address in its one form, or "" for what is a name."""
    try:
        return str(ipaddress.ip_address(_text(host).partition("%")[0]))
    except ValueError:
        return ""


def _loopback(address: str) -> bool:
    return bool(address) and ipaddress.ip_address(address).is_loopback


def _caller() -> str:
    """The innermost place outside of the standard library and this module, as "file.py:12"."""
    frame: FrameType | None = sys._getframe(2)
    library = os.path.dirname(os.__file__)  # noqa: PTH120  # a string is what frames have
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
    return f"{os.path.basename(inner.f_code.co_filename)}:{inner.f_lineno}"  # noqa: PTH119  # see above
