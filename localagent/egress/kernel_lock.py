"""The kernel's part of the egress lock, on Linux.

First choice: a network namespace that has a loopback interface and nothing else. Where the process
may connect to servers, an egress proxy (proxy.py) stays outside. An ordinary user needs a user
namespace for this; user ids stay the same in it, and the process gives up every capability.

Second choice, for systems without user namespaces: Landlock (Linux 6.7, ABI 4) and seccomp.
Landlock allows TCP connections to named ports and no others; it knows no addresses. The seccomp
filter closes the rest: every kind of socket but TCP, unix and netlink sockets; TCP that connects
while it sends; MPTCP; io_uring; and system calls of another architecture.
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
_ABI_NETWORK, _ABI_SCOPE = 4, 6  # of Landlock


def confine(state: EgressState) -> EgressState:
    """Lock this process with what the kernel offers; return `state` as it is without an offer.

    The process must have one thread: the lock holds for the calling thread and its descendants.
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
    return replace(state, level="namespace", proxies=MappingProxyType(sockets), outside=outside)


def _use_rules(state: EgressState, obstacle: str) -> EgressState:
    """Take the second choice; `obstacle` says what prevents the first."""
    reason = f"no network namespace ({obstacle})"
    try:
        restrict([destination.port for destination in state.destinations], state.ports)
    except OSError as error:
        return replace(state, reason=f"{reason}, and {error.strerror}")
    return replace(state, level="landlock", reason=reason)


# Network namespace


def _obstacle() -> str:
    """Say why there can be no network namespace, "" where there can.

    A child tries it: some systems allow a user namespace with no rights in it, and a process
    cannot leave that namespace again.
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
            pass  # root of a container may need a user namespace too
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
    """Open the list of unix sockets in this network namespace; -1 where there is none.

    The descriptor keeps showing the namespace in which it was opened.
    """
    try:
        return os.open(f"{_PROC}/net/unix", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def _listen_for_server(proxy: EgressProxy, destination: Destination) -> str:
    """Hand the proxy a socket that listens in this namespace, and return its abstract name."""
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
    """Allow TCP connections to these ports, and nothing else.

    Processes may also listen on `command_ports`, since sandboxes open them in their own networks.
    Raises OSError, with nothing changed, where Landlock or this architecture is unknown.
    """
    code = seccomp.egress_program()
    if code is None:
        raise OSError(errno.ENOSYS, f"no seccomp filter for {os.uname().machine}")
    abi = sys_.landlock_version()
    if abi < _ABI_NETWORK:
        raise OSError(errno.ENOSYS, "this kernel's Landlock has no rules for TCP")
    # Abstract unix sockets of programs outside are out of reach as well.
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
