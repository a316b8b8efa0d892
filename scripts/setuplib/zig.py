"""zig as C and C++ compiler: the wheel ziglang, pinned by hash, for Linux with glibc.

Its clang compiles code that reads a prompt up to 1.5 times as fast as that of gcc 12, which also
has a fault with AMX (see `llama`). The machine needs no compiler. The result runs with glibc 2.28
or newer, and holds its C++ library.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import sys
from pathlib import Path

from setuplib import host, places, venv
from setuplib.console import Console
from setuplib.process import Runner

TARGETS = {"x86_64": "x86_64-linux-gnu.2.28", "aarch64": "aarch64-linux-gnu.2.28"}
"""zig's name of the system, for each machine."""

CMAKE = ("-DGGML_OPENMP=OFF",)
"""zig has no OpenMP. llama.cpp has threads of its own, which are as fast."""

_LOCK = places.LOCKS / "zig.txt"


def is_usable(kind: str) -> bool:
    """Whether zig can compile llama.cpp here for this kind of GPU (see `gpu`)."""
    glibc = sys.platform == "linux" and platform.libc_ver()[0] == "glibc"
    return glibc and platform.machine() in TARGETS and kind == "none"


def compiler(builds: Path) -> host.Compiler:
    """The compiler, as `install` puts it into the folder `builds`."""
    folder = builds / "zig"
    pinned = re.search(r"(?m)^ziglang==[^\s\\]+", _LOCK.read_text(encoding="utf-8"))
    assert pinned, "scripts/lock/zig.txt pins ziglang"
    return host.Compiler(str(folder / "cc"), str(folder / "c++"), pinned[0], folder)


def install(folder: Path, console: Console, runner: Runner) -> None:
    """Install zig into `folder`, with scripts, since CMake takes programs without arguments.

    The folder is removed after the compile: it has 0.5 GB. Raises SetupError.
    """
    if (folder / "c++").exists():  # an interrupted compile continues
        return
    with console.step("compiler", "downloading zig") as result:
        shutil.rmtree(folder, ignore_errors=True)
        command = [places.PYTHON, *venv.PIP, "install", "--require-hashes", "--no-deps"]
        command += ["--only-binary", ":all:", "--progress-bar", "off", "--no-cache-dir"]
        command += ["--target", folder / "site", "--requirement", _LOCK]
        hint = "or set CC and CXX to compilers of this machine"
        runner.must(command, places.environment(), "zig could not be installed", hint)
        program = str(folder / "site/ziglang/zig")
        target = ("-target", TARGETS[platform.machine()])
        for name, options in (("ar", ()), ("ranlib", ()), ("cc", target), ("c++", target)):
            script = folder / name
            words = shlex.join([program, name, *options])
            # zig's cache is removed with the folder.
            cache = shlex.quote(str(folder / "cache"))
            script.write_text(
                f"#!/bin/sh\nexport ZIG_GLOBAL_CACHE_DIR={cache} ZIG_LOCAL_CACHE_DIR={cache}\n"
                f'exec {words} "$@"\n',
                encoding="utf-8",
            )
            script.chmod(0o755)
        result.append(f"{compiler(folder.parent).version.replace('==', ' ')}, locked by hash")


def programs(folder: Path) -> tuple[str, ...]:
    """CMake's flags for the programs in `folder` besides the compilers."""
    return f"-DCMAKE_AR={folder / 'ar'}", f"-DCMAKE_RANLIB={folder / 'ranlib'}"


def is_replaced() -> bool:
    """Whether the user names other compilers."""
    return bool(os.environ.get("CC") or os.environ.get("CXX"))
