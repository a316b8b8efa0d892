"""The files, programs and sockets that the model's process reaches, tried in such a process."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("only Linux confines the process", allow_module_level=True)

from localagent.linux.syscalls import landlock_version
from localagent.models.llamacpp.process import backends

ATTEMPTS = """
import ctypes, json, os, pathlib, signal, socket, subprocess, sys
from localagent.models.llamacpp.worker import serve
home, cache, model, unix, parent = sys.argv[1:]
network = serve.confine([cache, model])
def connected():
    with socket.socket(socket.AF_UNIX) as each:
        each.connect(unix)
attempts = {
    "model": lambda: pathlib.Path(model).read_bytes(),
    "library": lambda: ctypes.CDLL("libm.so.6"),
    "module": lambda: __import__("jinja2"),
    "processor": lambda: pathlib.Path("/proc/cpuinfo").read_text(),
    "thread": lambda: __import__("threading").Thread(target=print, args=("",)).start(),
    "cache": lambda: pathlib.Path(cache, "a").mkdir() or pathlib.Path(cache, "a/b").write_text("x"),
    "rename": lambda: os.replace(f"{cache}/a/b", f"{cache}/c"),
    "nice": lambda: os.nice(1),
    "secret": lambda: pathlib.Path(home, "secret").read_text(),
    "listing": lambda: os.listdir(home),
    "write": lambda: pathlib.Path(home, "new").write_text("x"),
    "change of the model": lambda: open(model, "r+b"),
    "program": lambda: subprocess.run(["/bin/true"], check=True),
    "internet": lambda: socket.socket(socket.AF_INET),
    "unix socket": connected,
    "signal": lambda: os.kill(int(parent), 0),
    "memory": lambda: open(f"/proc/{parent}/mem", "rb"),
    "environment": lambda: open(f"/proc/{parent}/environ", "rb").read(),
}
results = {}
for name, attempt in attempts.items():
    try:
        attempt()
        results[name] = True
    except OSError as error:
        results[name] = False
status = pathlib.Path("/proc/self/status").read_text()
results["capabilities"] = "CapEff:\\t0000000000000000" not in status
print(json.dumps([network, results]))
"""
ALLOWED = {"model", "library", "module", "processor", "thread", "cache", "rename", "nice"}


def test_what_the_process_reaches(tmp_path: Path) -> None:
    if backends() or landlock_version() < 6:
        pytest.skip("files are open to libraries for GPUs, and without a new Landlock")
    (home := tmp_path / "home").mkdir()
    (home / "secret").write_text("x")
    (model := tmp_path / "model.gguf").write_bytes(b"GGUF")
    unix = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(unix)
        listener.listen()
        places = (home, tmp_path / "cache/kv", model, unix, os.getpid())
        done = subprocess.run(
            [sys.executable, "-c", ATTEMPTS, *map(str, places)], capture_output=True, text=True
        )
    network, results = json.loads(done.stdout.strip().rpartition("\n")[2])
    assert network == "none"
    assert {name for name, reached in results.items() if reached} == ALLOWED
    assert (tmp_path / "cache/kv/c").read_text() == "x"
