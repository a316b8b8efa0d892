"""The GPU that llama.cpp is compiled for: `--gpu cuda | vulkan | metal | none`.

The virtual environment records the choice, so that a later setup keeps it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuplib import venv
from setuplib.console import SetupError

KINDS: dict[str, tuple[str, ...]] = {
    "none": (),
    "cuda": ("-DGGML_CUDA=ON",),
    "vulkan": ("-DGGML_VULKAN=ON",),
    "metal": ("-DGGML_METAL=ON", "-DGGML_METAL_EMBED_LIBRARY=ON"),
}
"""CMake's flags for each kind. With "none" llama.cpp decides; on a Mac it uses Metal."""

_COMPILERS = {
    "cuda": (
        "nvcc",
        "install NVIDIA's CUDA toolkit, and put the folder of nvcc (often /usr/local/cuda/bin) "
        "into PATH",
    ),
    "vulkan": (
        "glslc",
        "Debian, Ubuntu: apt install glslc libvulkan-dev spirv-headers    Fedora: dnf install "
        "glslc vulkan-loader-devel spirv-headers-devel    or LunarG's Vulkan SDK",
    ),
}


def take(arguments: list[str]) -> tuple[str | None, list[str]]:
    """The kind that `--gpu` names, or None, and the other arguments. Raises SetupError."""
    rest = list(arguments)
    for place, argument in enumerate(rest):
        if argument == "--gpu":
            if place + 1 == len(rest):
                raise SetupError("--gpu needs a kind", _known())
            kind = rest[place + 1]
            del rest[place : place + 2]
        elif argument.startswith("--gpu="):
            kind = argument.partition("=")[2]
            del rest[place]
        else:
            continue
        if kind not in KINDS:
            raise SetupError(f"llama.cpp is not compiled for {kind!r} here", _known())
        return kind, rest
    return None, rest


def chosen() -> str:
    """The kind that the virtual environment records."""
    noted = venv.noted("gpu")
    return noted if isinstance(noted, str) and noted in KINDS else "none"


def needs() -> str:
    """What compiling for the chosen kind needs, as the end of a hint; "" for none."""
    kind = chosen()
    return f"\n  {kind} needs: {_COMPILERS[kind][1]}" if kind in _COMPILERS else ""


def compiler(kind: str) -> str:
    """The version text of a kind's compiler, or "" where none is needed.

    Raises SetupError where it is missing.
    """
    if kind == "metal" and sys.platform != "darwin":
        raise SetupError("Metal needs macOS; it cannot be compiled here", _known())
    if kind not in _COMPILERS:
        return ""
    name, hint = _COMPILERS[kind]
    found = shutil.which(os.environ.get("CUDACXX", name) if kind == "cuda" else name)
    if found is None:
        raise SetupError(f"{name} is not in PATH; --gpu {kind} needs it to compile", hint)
    said = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=60)
    if said.returncode != 0:
        raise SetupError(f"{Path(found)} does not run: {said.stderr[:200]}", hint)
    return said.stdout


def _known() -> str:
    return f"kinds: {', '.join(KINDS)}"
