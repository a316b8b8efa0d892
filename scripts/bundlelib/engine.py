"""A wheel of llama-cpp-python for any x86-64 machine with glibc 2.28 or newer.

llama.cpp is built with one plug-in for each level of processor, and chooses one when it starts. zig
(the wheel ziglang) is the compiler: it has the symbols of old glibc versions, links its own C++
library statically, and has no fault with AMX as gcc 12 has. The wheel is compiled once for each
version of source and compiler.
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

from setuplib import host, llama, places
from setuplib.console import Console, SetupError
from setuplib.process import Runner

from bundlelib import wheels

TARGET = "x86_64-linux-gnu.2.28"
TAG = "manylinux_2_28_x86_64"
CMAKE = (
    *("-DGGML_NATIVE=OFF", "-DGGML_BACKEND_DL=ON", "-DGGML_CPU_ALL_VARIANTS=ON"),
    # Symbols for debuggers would make the plug-ins five times as large.
    *("-DCMAKE_SHARED_LINKER_FLAGS=-s", "-DCMAKE_MODULE_LINKER_FLAGS=-s"),
    "-DGGML_OPENMP=OFF",  # not every system has libgomp, and llama.cpp has threads of its own
)


def wheel(console: Console, runner: Runner, tools: Path) -> Path:
    """The wheel, compiled first where none is kept; `tools` has zig. Raises SetupError.

    Its files have the oldest time that a zip file can have: later commits use it too.
    """
    if sys.platform != "linux":
        raise SetupError("a bundle is made on Linux", "use a Linux machine with an index")
    plan = llama.portable_recipe(_compilers(tools), CMAKE)
    folder = places.builds() / "portable" / plan.key
    kept = next(folder.glob(f"*{TAG}.whl"), None)
    if kept is None:
        made = llama.compile_wheel(plan, folder, console, runner)
        kept = wheels.repack(made, folder, 0, TAG)
        made.unlink()
    return kept


def locked_version() -> str:
    """The version of llama-cpp-python in the lock."""
    return llama.locked()[0]


def _compilers(tools: Path) -> host.Compiler:
    """zig as C and C++ compiler: two scripts, since CMake takes a program and no arguments."""
    folder = places.builds() / "zig"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in ("cc", "c++"):
        script = folder / f"zig-{name.replace('+', 'x')}"
        words = shlex.join([str(tools), "-m", "ziglang", name, "-target", TARGET])
        script.write_text(f'#!/bin/sh\nexec {words} "$@"\n', encoding="utf-8")
        script.chmod(0o755)
    version = re.search(r"(?m)^ziglang==\S+", (places.LOCKS / "bundle.txt").read_text("utf-8"))
    assert version, "scripts/lock/bundle.txt pins ziglang"
    return host.Compiler(str(folder / "zig-cc"), str(folder / "zig-cxx"), version[0])
