"""A Ray cluster of two workers on this machine, and the death of a worker.

Each worker is a node of the cluster with one CPU, as another machine would be. The head has none.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

_ADDRESS = "127.0.0.1"
_NODE = ("--disable-usage-stats", "--node-ip-address", _ADDRESS)


@contextmanager
def ray_cluster() -> Iterator[str]:
    """Start a head and two workers; yield the address of the cluster, and stop it at the end."""
    with socket.socket() as free:
        free.bind((_ADDRESS, 0))
        port = free.getsockname()[1]
    address = f"{_ADDRESS}:{port}"
    try:
        _ray("start", "--head", "--port", str(port), "--num-cpus", "0", *_NODE)
        for _ in range(2):
            _ray("start", "--address", address, "--num-cpus", "1", *_NODE)
        yield address
    finally:
        _ray("stop", "--force")


def kill_worker(batch: subprocess.Popen[bytes], chance: random.Random) -> list[str]:
    """Kill a process that carries out a task, and the node of another one, with all its processes.

    Waits until both workers carry out a task. Returns what was killed: nothing if the batch ended.
    """
    while len(tasks := _processes("ray::_run_remote")) < 2:
        if batch.poll() is not None:
            return []
        time.sleep(0.2)
    time.sleep(chance.uniform(0.0, 5.0))
    first, second = chance.sample(tasks, 2)
    node = second.parent()
    killed = [first] if node is None else [first, node, *node.children(recursive=True)]
    for process in killed:
        with suppress(psutil.Error):
            process.send_signal(signal.SIGKILL)
    return ["the process of a task", "a worker's node with its task"]


def _processes(name: str) -> list[psutil.Process]:
    """The running processes whose command line begins with `name`."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if " ".join(process.cmdline()).startswith(name):
                found.append(process)
    return found


def _ray(*words: str) -> None:
    """Run Ray's command beside this Python."""
    program = Path(sys.executable).parent / "ray"
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    subprocess.run([program, *words], check=True, capture_output=True, env=environment)
