"""Asking for the native library: what it says, and every way in which it fails to."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from localagent.core.errors import ModelLoadError
from localagent.models.llamacpp import protocol
from localagent.models.llamacpp.hardware import Gpu
from localagent.models.llamacpp.process import backends, library


def worker(code: str) -> list[str]:
    """A process that begins as a worker does, and then does something else."""
    return [sys.executable, "-c", code]


def says(message: protocol.Reply) -> list[str]:
    return worker(f"import sys; sys.stdout.buffer.write({protocol.encode(message)!r})")


def test_what_the_worker_says() -> None:
    card = Gpu("NVIDIA H100", 79, 80)
    ready = protocol.Ready(library="llama-cpp-python 9.9", network="none", gpus=(card,))
    found = library(says(ready))
    assert (found.version, found.network) == ("llama-cpp-python 9.9", "none")
    assert found.gpus == (Gpu("NVIDIA H100", 79, 80),)


@pytest.mark.skipif(not importlib.util.find_spec("llama_cpp"), reason="needs llama-cpp-python")
def test_the_real_one() -> None:
    assert library().version.startswith("llama-cpp-python 0.")


@pytest.mark.parametrize(
    ("command", "silence", "message"),
    [
        (["/nowhere/python"], 9.0, "cannot be started"),
        (worker("import os; os.abort()"), 60.0, r"ends its process when it is loaded \(status -6"),
        (worker("import sys; sys.stdin.read()"), 0.2, "did not load in time"),
        (says(protocol.Failure(id=0, kind="load", message="no symbol")), 60.0, "no symbol"),
        (says(protocol.TokenCount(id=0, tokens=1)), 60.0, "gave no answer"),
    ],
)
def test_a_library_that_does_not_work(command: list[str], silence: float, message: str) -> None:
    with pytest.raises(ModelLoadError, match=message):
        library(command, silence)


def test_what_it_was_built_for(tmp_path: Path) -> None:
    for name in ("libggml-base.so", "libggml-cpu.so", "libggml-cuda.so", "libggml-cuda.so.0"):
        (tmp_path / name).write_bytes(b"")
    assert backends(tmp_path) == ("CUDA",)
    (tmp_path / "ggml-vulkan.dll").write_bytes(b"")
    (tmp_path / "libggml-metal.dylib").write_bytes(b"")
    assert backends(tmp_path) == ("Vulkan", "CUDA", "Metal")
    assert backends(tmp_path / "nothing") == ()
