"""The egress lock's part that the kernel keeps, on Linux.

First choice: a network namespace of this process's own, which has a loopback interface and nothing
else. Where servers may be dialled, a door process (door.py) stays outside. As an ordinary user
this takes a user namespace, in which ids stay what they are and every capability is given up.

Second choice, where the system allows no user namespaces: egress_rules.py.
"""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from localagent.egress import landlock
from localagent.egress.attempts import ATTEMPTS
from localagent.egress.proxy import Door
from localagent.egress.types import Destination, Outside, State
from localagent.linux import syscalls as sys_

_PROC = "/proc/self"


def confine(state: State) -> State:
    """Lock this process with what the kernel offers; `state` as it is where it offers nothing.

    The process must have one thread: what a thread does here holds for itself and its heirs.
    """
    why = _obstacle()
    if why:
        return by_rules(state, why)
    outside = Outside(os.readlink(f"{_PROC}/ns/user"), _unix_sockets())  # noqa: PTH115
    leads_out = state.destinations or state.ports
    doors = Door(state.destinations, state.ports) if leads_out else None
    try:
        _leave_network()
    except OSError as error:
        if doors is not None:
            doors.close()
        return by_rules(state, str(error))
    named = {}
    if doors is not None:
        named = {place: _listen(doors, place) for place in state.destinations}
        for port in state.ports:
            _listen_at(doors, port)
        doors.close()
        ATTEMPTS.take_from(doors.refused)
    return replace(state, level="namespace", doors=MappingProxyType(named), outside=outside)


def by_rules(state: State, why: str) -> State:
    """The second choice; `why` is what keeps from the first."""
    why = f"no network namespace ({why})"
    try:
        landlock.restrict([place.port for place in state.destinations], state.ports)
    except OSError as error:
        return replace(state, why=f"{why}, and {error.strerror}")
    return replace(state, level="landlock", why=why)


def _obstacle() -> str:
    """Why there can be no network namespace, or "". Tried in a child: a system may allow a user
    namespace and nothing in it, and there would be no way back."""
    asked, told = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _leave_network()
        except OSError as error:
            os.write(told, str(error).encode()[:500])
        except BaseException:  # noqa: BLE001 - the process ends here; its parent must hear why
            os.write(told, b"it failed")
        finally:
            os._exit(0)
    os.close(told)
    try:
        return os.read(asked, 500).decode(errors="replace")
    finally:
        os.close(asked)
        os.waitpid(child, 0)


def _leave_network() -> None:
    """Go into a network namespace of our own. Raises OSError."""
    if os.geteuid() == 0:
        try:
            sys_.unshare(sys_.CLONE_NEWNET)
        except OSError:
            _leave_as_user()  # root of a container, without the power to do so directly
        else:
            sys_.raise_loopback()
    else:
        _leave_as_user()


def _leave_as_user() -> None:
    uid, gid = os.geteuid(), os.getegid()
    sys_.unshare(sys_.CLONE_NEWUSER | sys_.CLONE_NEWNET)
    Path(f"{_PROC}/setgroups").write_text("deny")
    Path(f"{_PROC}/uid_map").write_text(f"{uid} {uid} 1")
    Path(f"{_PROC}/gid_map").write_text(f"{gid} {gid} 1")
    sys_.raise_loopback()
    sys_.keep_capabilities(())


def _unix_sockets() -> int:
    """A descriptor of the list of unix sockets in this network namespace; what it shows stays that
    of the namespace in which it was opened. -1 where there is none."""
    try:
        return os.open(f"{_PROC}/net/unix", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def _listen(doors: Door, place: Destination) -> str:
    """Hand the door a socket that listens in this namespace, and return its abstract name."""
    name = f"\0localagent-door-{os.getpid()}-{secrets.token_hex(8)}"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(name)
        listening.listen(64)
        doors.open(place, listening)
    return name


def _listen_at(doors: Door, port: int) -> None:
    """Have a port of this namespace's loopback interface lead to that of the machine's, for the
    commands in the sandbox."""
    place = Destination("127.0.0.1", port)
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((place.host, place.port))
        listening.listen(64)
        doors.open(place, listening)
