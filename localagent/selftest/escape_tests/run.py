# ruff: noqa: PTH100, PTH115, PTH118, PTH120, PTH123, BLE001, T201
# (a separate program that must start quickly and make the calls directly)
"""Run the escape tests inside a sandbox, as `python -I -S run.py`.

The program reads the targets from `targets.json` in the current folder, which ../targets.py made.
The program prints a line of JSON for each test: name, description, whether the attempt succeeded,
and details. Each test runs in a separate process, for a few seconds at most.
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

_SECONDS = 4.0  # time limit of each test

Target = dict[str, Any]
EscapeTest = Callable[[Target], object]


def _package() -> Any:
    """Load this folder as a package; no folder above it may be importable."""
    folder = os.path.dirname(os.path.abspath(__file__))
    spec = importlib.util.spec_from_file_location(
        "escape_tests", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    assert spec is not None and spec.loader is not None
    sys.modules["escape_tests"] = package = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)
    return package


_escape_tests = _package()


def _child(test: EscapeTest, targets: Target, answer: int) -> None:
    try:
        reached = test(targets)
        details = f"reached: {reached}" if reached not in (True, None) else ""
        result, details = bool(reached), (details if reached else "nothing reached")
    except OSError as error:
        result, details = False, error.strerror or str(error) or type(error).__name__
    except Exception as error:
        result, details = False, f"{type(error).__name__}: {error}"
    os.write(answer, json.dumps([result, details[:200]]).encode())
    os._exit(0)


def _run(test: EscapeTest, targets: Target) -> tuple[bool, str]:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        _child(test, targets, write)
    os.close(write)
    ready, _, _ = select.select([read], [], [], _SECONDS)
    data = os.read(read, 65536) if ready else b""
    os.close(read)
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass
    os.waitpid(pid, 0)
    if data:
        result, details = json.loads(data)
        return bool(result), str(details)
    return False, "no answer in time" if not ready else "ended by a signal"


def quick(agent: int, network: str, socket_path: str) -> None:
    """Run the few tests that precede the use of a sandbox; print a line for each success.

    `agent` is the process outside, `network` its network namespace, and `socket_path` a socket
    without a listener. No packet leaves the machine, even without a sandbox.
    """
    shared = os.readlink("/proc/self/ns/net") == network
    call = _escape_tests.call
    tests: dict[str, Callable[[], object]] = {
        "other machines can be reached": lambda: _connects(
            socket.AF_INET, socket.SOCK_DGRAM, ("192.0.2.1", 9)
        ),
        "servers of this machine can be reached": lambda: (
            shared and _connects(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 1))
        ),
        "sockets of other programs can be reached": lambda: (
            shared and _connects(socket.AF_UNIX, socket.SOCK_STREAM, socket_path)
        ),
        "localagent can receive signals": lambda: _escape_tests.succeeds(os.kill, agent, 0),
        "localagent's environment can be read": lambda: _escape_tests.can_open(
            f"/proc/{agent}/environ"
        ),
        "kernel interfaces are open": lambda: call(425, 425, 4, ctypes.create_string_buffer(120)),
    }
    for what, test in tests.items():
        if agent < 5 and "localagent" in what:
            continue  # inside, another process has this number; 0 means no test
        try:
            if test():
                print(what)
        except OSError:
            continue


def _connects(family: int, kind: int, address: tuple[str, int] | str) -> bool:
    """Report whether a connection reaches the server's machine, even if refused. Raises OSError."""
    with socket.socket(family, kind) as s:
        try:
            s.connect(address)
        except ConnectionRefusedError:
            return True
    return True


def main() -> None:
    if sys.argv[1:2] == ["quick"]:
        quick(int(sys.argv[2]), sys.argv[3], sys.argv[4])
        return
    with open("targets.json") as file:
        targets = json.load(file)
    for name, (what, test) in _escape_tests.load().items():
        if name in targets["skip"]:
            continue
        # Each test changes a different file, so that no test disturbs another.
        own = targets | {"outside": f"{targets['outside']}/{name}"}
        reached, details = _run(test, own)
        print(json.dumps({"name": name, "what": what, "reached": reached, "detail": details}))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
