"""The part of the egress lock that the Linux kernel enforces.

The first choice is a network namespace with only a loopback interface. If the process may connect
to servers, an egress proxy (proxy.py) stays outside. An ordinary user needs a user namespace for
the network namespace. User ids stay the same in the user namespace, and the process gives up every
capability.

The second choice, for systems without user namespaces, is a seccomp filter that refuses every
socket except unix sockets. The egress proxy stays outside of the filter. The filter also refuses
io_uring and system calls of another architecture.

Landlock strengthens the filter: with any version, this process cannot
control other processes; from version 4 (Linux 6.7), commands can get TCP to given ports; from
version 6, abstract sockets of other programs are refused. Landlock cannot restrict addresses, so
the filter also refuses TCP Fast Open and MPTCP there. Without Landlock, the filter refuses calls
that control other processes.

In a network namespace a filter refuses families of sockets that no namespace holds, such as vsock.
"""

from __future__ import annotations

import errno
import os
import secrets
import socket
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from localagent.egress import Destination, EgressState, OuterNamespace
from localagent.egress.blocked import BLOCKED
from localagent.egress.proxy import EgressProxy
from localagent.linux import seccomp
from localagent.linux import syscalls as sys_

_PROC = "/proc/self"
_ABI_REFER, _ABI_NETWORK, _ABI_SCOPE = 2, 4, 6  # versions of Landlock


def confine(state: EgressState) -> EgressState:
    """Lock this process by the kernel; return `state` unchanged if the kernel offers no lock.

    The process must have only one thread, since the lock applies to the calling thread and its
    descendants.
    """
    obstacle = _obstacle()
    if obstacle:
        return _use_filter(state, obstacle)
    outside = OuterNamespace(os.readlink(f"{_PROC}/ns/user"), _unix_sockets())  # noqa: PTH115
    proxy = _proxy(state.destinations, state.ports)
    try:
        _enter_network_namespace()
    except OSError as error:
        if proxy is not None:
            proxy.close()
        return _use_filter(state, str(error))
    sockets = _sockets(proxy, state.destinations, state.ports)
    seccomp.install(seccomp.namespace_program())
    return replace(state, level="namespace", proxies=MappingProxyType(sockets), outside=outside)


def _use_filter(state: EgressState, obstacle: str) -> EgressState:
    """Lock by seccomp and Landlock; `obstacle` says what prevents a network namespace."""
    reason = f"no network namespace ({obstacle})"
    proxy = _proxy(state.destinations, ())
    try:
        version = restrict(state.ports)
    except OSError as error:
        if proxy is not None:
            proxy.close()
        return replace(state, reason=f"{reason}, and {error.strerror}")
    # Landlock allows only abstract sockets that were made after its rules.
    sockets = MappingProxyType(_sockets(proxy, state.destinations, ()))
    if version >= _ABI_NETWORK:
        return replace(state, level="landlock", proxies=sockets, reason=reason)
    if state.ports:
        reason += "; sandbox_ports stay closed, because this kernel's Landlock has no rules for TCP"
    return replace(state, level="seccomp", ports=(), proxies=sockets, reason=reason)


# The egress proxy


def _proxy(destinations: Sequence[Destination], ports: Sequence[int]) -> EgressProxy | None:
    """Start the egress proxy; None if nothing may be reached."""
    return EgressProxy(destinations, ports) if destinations or ports else None


def _sockets(
    proxy: EgressProxy | None, destinations: Sequence[Destination], ports: Sequence[int]
) -> dict[Destination, str]:
    """Give the proxy its listening sockets, and return the name of each destination's socket."""
    if proxy is None:
        return {}
    sockets = {each: _listen_for_server(proxy, each) for each in destinations}
    for port in ports:
        _listen_on_port(proxy, port)
    proxy.close()
    BLOCKED.add_source(proxy.drain_blocked)
    return sockets


# Network namespace


def _obstacle() -> str:
    """Return the reason why no network namespace can be made, or "" if one can.

    A child process tries to make a network namespace. Some systems allow a user namespace without
    rights in it, and a process cannot leave that namespace again.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _enter_network_namespace()
        except OSError as error:
            os.write(writer, str(error).encode()[:500])
        except BaseException:  # noqa: BLE001 - the process ends here; its parent must hear why
            os.write(writer, b"it failed")
        finally:
            os._exit(0)
    os.close(writer)
    try:
        return os.read(reader, 500).decode(errors="replace")
    finally:
        os.close(reader)
        os.waitpid(child, 0)


def _enter_network_namespace() -> None:
    if os.geteuid() == 0:
        try:
            sys_.unshare(sys_.CLONE_NEWNET)
        except OSError:
            pass  # root in a container may need a user namespace too
        else:
            sys_.raise_loopback()
            return
    uid, gid = os.geteuid(), os.getegid()
    sys_.unshare(sys_.CLONE_NEWUSER | sys_.CLONE_NEWNET)
    Path(f"{_PROC}/setgroups").write_text("deny")
    Path(f"{_PROC}/uid_map").write_text(f"{uid} {uid} 1")
    Path(f"{_PROC}/gid_map").write_text(f"{gid} {gid} 1")
    sys_.raise_loopback()
    sys_.keep_capabilities(())


def _unix_sockets() -> int:
    """Open the list of unix sockets in this network namespace; return -1 if there is none.

    The descriptor always lists the sockets of the namespace in which it was opened.
    """
    try:
        return os.open(f"{_PROC}/net/unix", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def _listen_for_server(proxy: EgressProxy, destination: Destination) -> str:
    """Give the proxy a socket that listens in this namespace; return the socket's abstract name."""
    name = f"\0localagent-proxy-{os.getpid()}-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen(64)
        proxy.forward(listener, destination)
    return name


def _listen_on_port(proxy: EgressProxy, port: int) -> None:
    """Forward a port of this namespace's loopback interface to the same port of the machine."""
    destination = Destination("127.0.0.1", port)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((destination.host, destination.port))
        listener.listen(64)
        proxy.forward(listener, destination)


# Seccomp and Landlock


def restrict(ports: Sequence[int] = ()) -> int:
    """Refuse every socket except unix sockets, and return the version of Landlock, 0 for none.

    Processes get TCP to `ports` and may listen on them, if Landlock has rules for TCP: sandboxes
    open these ports to commands. Raises OSError, before any change, if this architecture has no
    filter.
    """
    try:
        version = sys_.landlock_version()
    except OSError:
        version = 0
    tcp = bool(ports) and version >= _ABI_NETWORK
    code = seccomp.egress_program(tcp, alone=not version)
    if code is None:
        raise OSError(errno.ENOSYS, f"no seccomp filter for {os.uname().machine}")
    if version:
        _use_landlock(version, ports)
    seccomp.install(code)
    return version


def _use_landlock(version: int, ports: Sequence[int]) -> None:
    """Leave other processes alone, and use the rules on the network that `version` has."""
    network = sys_.LANDLOCK_NET_ALL if version >= _ABI_NETWORK else 0
    # The rules also refuse connections to abstract unix sockets of other programs.
    scopes = sys_.LANDLOCK_SCOPE_ABSTRACT if version >= _ABI_SCOPE else 0
    # A ruleset needs a right. Without rules on the network, take one that localagent never uses.
    files = 0 if network else sys_.LANDLOCK_MAKE_BLOCK
    if files and version >= _ABI_REFER:
        files |= sys_.LANDLOCK_REFER
    ruleset = sys_.landlock_ruleset(files, network, scopes)
    try:
        if files & sys_.LANDLOCK_REFER:
            _allow_moves(ruleset)
        for port in ports if network else ():
            sys_.landlock_allow_port(ruleset, port, sys_.LANDLOCK_NET_ALL)
        sys_.landlock_restrict(ruleset)
    finally:
        os.close(ruleset)


def _allow_moves(ruleset: int) -> None:
    """Allow moves between folders, which every ruleset on files refuses by default."""
    root = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        sys_.landlock_allow(ruleset, root, sys_.LANDLOCK_REFER)
    finally:
        os.close(root)
