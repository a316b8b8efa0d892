"""The part of the egress lock that the Linux kernel enforces.

The first choice is a network namespace with only a loopback interface. If the process may connect
to servers, an egress proxy (proxy.py) stays outside. An ordinary user needs a user namespace for
the network namespace. User ids stay the same in the user namespace, and the process gives up every
capability.

The second choice, for systems without user namespaces, is Landlock (Linux 6.7, ABI 4) with seccomp.
Landlock allows TCP connections only to given ports, but cannot restrict addresses. The seccomp
filter refuses every socket except unix and netlink sockets, and TCP sockets if there is a port to
connect to. The filter also refuses TCP Fast Open, MPTCP, io_uring, and system calls of another
architecture.

In both cases a filter refuses families of sockets that no network namespace holds, such as vsock.
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
_ABI_NETWORK, _ABI_SCOPE = 4, 6  # versions of Landlock


def confine(state: EgressState) -> EgressState:
    """Lock this process by the kernel; return `state` unchanged if the kernel offers no lock.

    The process must have only one thread, since the lock applies to the calling thread and its
    descendants.
    """
    obstacle = _obstacle()
    if obstacle:
        return _use_rules(state, obstacle)
    outside = OuterNamespace(os.readlink(f"{_PROC}/ns/user"), _unix_sockets())  # noqa: PTH115
    needs_proxy = state.destinations or state.ports
    proxy = EgressProxy(state.destinations, state.ports) if needs_proxy else None
    try:
        _enter_network_namespace()
    except OSError as error:
        if proxy is not None:
            proxy.close()
        return _use_rules(state, str(error))
    sockets = {}
    if proxy is not None:
        sockets = {each: _listen_for_server(proxy, each) for each in state.destinations}
        for port in state.ports:
            _listen_on_port(proxy, port)
        proxy.close()
        BLOCKED.add_source(proxy.drain_blocked)
    seccomp.install(seccomp.namespace_program())
    return replace(state, level="namespace", proxies=MappingProxyType(sockets), outside=outside)


def _use_rules(state: EgressState, obstacle: str) -> EgressState:
    """Lock by Landlock and seccomp; `obstacle` says what prevents a network namespace."""
    reason = f"no network namespace ({obstacle})"
    try:
        restrict([destination.port for destination in state.destinations], state.ports)
    except OSError as error:
        return replace(state, reason=f"{reason}, and {error.strerror}")
    return replace(state, level="landlock", reason=reason)


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


# Landlock and seccomp


def restrict(connect_ports: Sequence[int], command_ports: Sequence[int] = ()) -> None:
    """Allow TCP connections to these ports, and refuse all other connections.

    Processes may also listen on `command_ports`, since sandboxes open these ports in their own
    networks. Raises OSError, before any change, if the kernel has no Landlock or this architecture
    has no filter.
    """
    code = seccomp.egress_program(tcp=bool(connect_ports or command_ports))
    if code is None:
        raise OSError(errno.ENOSYS, f"no seccomp filter for {os.uname().machine}")
    abi = sys_.landlock_version()
    if abi < _ABI_NETWORK:
        raise OSError(errno.ENOSYS, "this kernel's Landlock has no rules for TCP")
    # The rules also refuse connections to abstract unix sockets of other programs.
    scopes = sys_.LANDLOCK_SCOPE_ABSTRACT if abi >= _ABI_SCOPE else 0
    ruleset = sys_.landlock_ruleset(0, sys_.LANDLOCK_NET_ALL, scopes)
    try:
        for port in connect_ports:
            sys_.landlock_allow_port(ruleset, port, sys_.LANDLOCK_NET_CONNECT)
        for port in command_ports:
            sys_.landlock_allow_port(ruleset, port, sys_.LANDLOCK_NET_ALL)
        sys_.landlock_restrict(ruleset)
    finally:
        os.close(ruleset)
    seccomp.install(code)
