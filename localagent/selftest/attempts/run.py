# ruff: noqa: PTH100, PTH115, PTH118, PTH120
# ruff: noqa: PTH123, BLE001, T201
# (a program of its own that must start quickly and use the calls themselves)
"""The canaries: attempts to get out of a sandbox, each a real one.

Runs inside the sandbox as `python -I -S run.py`, with the standard library alone; reads what
there is to attack from `targets.json` in the current folder (see ../targets.py, which made it) and
prints a line of JSON for each attempt: its name, whether it got through, and what happened. Each
attempt has a process of its own and a few seconds. An attempt returns what it reached (a text, or
True) or something false; an OSError means that the kernel refused. Whether something arrived
outside is looked up by targets.py afterwards.

Nothing here harms a machine without a sandbox: programs and files attacked are made for it, others
are opened and closed again, and calls that change the system get arguments that change nothing.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any


def _package() -> Any:
    """The attempts, loaded from beside this file: of what is above it nothing may be in sight."""
    folder = os.path.dirname(os.path.abspath(__file__))
    where = os.path.join(folder, "__init__.py")
    found = importlib.util.spec_from_file_location(
        "attempts", where, submodule_search_locations=[folder]
    )
    assert found is not None and found.loader is not None
    sys.modules["attempts"] = package = importlib.util.module_from_spec(found)
    found.loader.exec_module(package)
    return package


_known = _package().known
ATTEMPTS, SECONDS, call = _known.ATTEMPTS, _known.SECONDS, _known.call
Target = dict[str, Any]
Attempt = Callable[[Target], object]


def _child(attempt: Attempt, targets: Target, answer: int) -> None:
    try:
        reached = attempt(targets)
        text = f"reached: {reached}" if reached not in (True, None) else ""
        got, detail = bool(reached), (text if reached else "nothing reached")
    except OSError as error:
        got, detail = False, error.strerror or str(error) or type(error).__name__
    except Exception as error:
        got, detail = False, f"{type(error).__name__}: {error}"
    os.write(answer, json.dumps([got, detail[:200]]).encode())
    os._exit(0)


def _run(attempt: Attempt, targets: Target) -> tuple[bool, str]:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        _child(attempt, targets, write)
    os.close(write)
    ready, _, _ = select.select([read], [], [], SECONDS)
    data = os.read(read, 65536) if ready else b""
    os.close(read)
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass
    os.waitpid(pid, 0)
    if data:
        got, detail = json.loads(data)
        return bool(got), str(detail)
    return False, "no answer in time" if not ready else "ended by a signal"


def quick(agent: int, network: str, place: str) -> None:
    """The few that a sandbox is tried with before it is used; a line for each that gets through.

    `agent` is the process outside, `network` its network namespace, and `place` a file that is a
    socket nobody listens on. No packet is sent, whatever the sandbox does.
    """
    shared = os.readlink("/proc/self/ns/net") == network
    attempts: dict[str, Callable[[], object]] = {
        "other machines can be reached": lambda: _connects(socket.SOCK_DGRAM, ("192.0.2.1", 9)),
        "servers of this machine can be reached": lambda: (
            shared and _connects(socket.SOCK_STREAM, ("127.0.0.1", 1))
        ),
        "sockets of other programs can be reached": lambda: shared and _answers(place),
        "localagent can be sent signals": lambda: _signalled(agent),
        "localagent's environment can be read": lambda: _readable(f"/proc/{agent}/environ"),
        "kernel interfaces are open": lambda: call(425, 425, 4, ctypes.create_string_buffer(120)),
    }
    for what, attempt in attempts.items():
        if agent < 5 and "localagent" in what:
            continue  # its number is one of the sandbox's own
        try:
            if attempt():
                print(what)
        except OSError:
            continue


def _signalled(pid: int) -> bool:
    os.kill(pid, 0)
    return True


def _readable(path: str) -> bool:
    os.close(os.open(path, os.O_RDONLY))
    return True


def _connects(kind: int, address: tuple[str, int]) -> bool:
    with socket.socket(socket.AF_INET, kind) as s:
        try:
            s.connect(address)
        except ConnectionRefusedError:
            return True
    return True


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.connect(path)
        except ConnectionRefusedError:
            return True
    return True


def main() -> None:
    if sys.argv[1:2] == ["quick"]:
        quick(int(sys.argv[2]), sys.argv[3], sys.argv[4])
        return
    with open("targets.json") as file:
        targets = json.load(file)
    for name, (what, attempt) in ATTEMPTS.items():
        if name in targets["skip"]:
            continue
        # A file of its own to change, so that no attempt stands in the way of another.
        own = targets | {"outside": f"{targets['outside']}/{name}"}
        reached, detail = _run(attempt, own)
        print(json.dumps({"name": name, "what": what, "reached": reached, "detail": detail}))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
