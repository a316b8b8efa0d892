"""A wheel of llama-cpp-python for any x86-64 machine with glibc 2.28 or newer.

llama.cpp is built with one plug-in for each level of processor, and chooses one when it starts. zig
is the compiler. The wheel is compiled once for each version of source and compiler.
"""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from setuplib import llama, places
from setuplib.console import Console, SetupError
from setuplib.process import Runner

from bundlelib import wheels

TAG = "manylinux_2_28_x86_64"
CMAKE = (
    *("-DGGML_NATIVE=OFF", "-DGGML_BACKEND_DL=ON", "-DGGML_CPU_ALL_VARIANTS=ON"),
    # Symbols for debuggers would make the plug-ins five times as large.
    *("-DCMAKE_SHARED_LINKER_FLAGS=-s", "-DCMAKE_MODULE_LINKER_FLAGS=-s"),
    # The plug-ins lie beside the libraries that they need. CMake would link them with the path of
    # the build folder, and then blank it: its length would change the bytes.
    *("-DCMAKE_INSTALL_RPATH=$ORIGIN", "-DCMAKE_BUILD_RPATH_USE_ORIGIN=ON"),
)


def wheel(console: Console, runner: Runner) -> Path:
    """The wheel, compiled first where none is kept. Raises SetupError.

    Its files have the oldest time that a zip file can have: later commits use it too.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        hint = "use such a machine with an index"
        raise SetupError("a bundle is made on Linux on an x86-64 processor", hint)
    builds = places.builds() / "portable"
    plan = llama.portable_recipe(builds, CMAKE)
    folder = builds / plan.key
    kept = next(folder.glob(f"*{TAG}.whl"), None)
    if kept is None:
        made = llama.compile_wheel(plan, folder, console, runner)
        kept = wheels.repack(made, folder, 0, TAG)
        made.unlink()
    return kept
