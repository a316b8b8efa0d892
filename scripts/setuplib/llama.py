"""llama-cpp-python, compiled once for each version, set of flags, processor and compiler.

The source comes from its hash-locked sdist, is unpacked into the cache once and compiled there in
a folder that stays until the wheel is done: ninja then goes on where an interrupted compile
stopped. The wheel is kept, so another checkout or environment installs it in a second.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shlex
import shutil
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

from setuplib import gpu, host, places, venv, zig
from setuplib.console import Console, SetupError, duration, size
from setuplib.process import Runner

_LOCK = places.LOCKS / "llama.txt"
# gcc 12 drops most of the stores that set up AMX's tile configuration, since its own header says
# that the instruction reads 8 bytes of it (it reads 64): a crash at the first matrix product.
# Without dead-store elimination the stores stay. That costs an eighth of the speed of reading, so
# it is done only where the processor has AMX.
_KEEP_STORES = ["-fno-tree-dse", "-fno-dse"]
_CMAKE = [
    "-DLLAVA_BUILD=OFF",
    "-DLLAMA_BUILD_TOOLS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_SERVER=OFF",
]
_STEP = re.compile(r"\s*\[(\d+)/(\d+)\]")
BUILD_BYTES = 1_500_000_000  # sdist, unpacked source, objects and zig; measured 1.1 GB


@dataclass(frozen=True)
class Recipe:
    """Everything that determines the compiled library."""

    version: str
    sdist: str
    compiler: host.Compiler
    flags: tuple[str, ...]
    cmake: tuple[str, ...]
    gpu_compiler: str = ""
    portable: bool = False

    @property
    def key(self) -> str:
        """A folder name: the version and a hash of the rest.

        Python's version is not part of it: the wheel has no extension module (py3-none-PLATFORM).
        """
        compiler = self.compiler
        facts = [self.version, self.sdist, compiler.version]
        facts += [] if compiler.zig else [compiler.c]
        facts += [*self.flags, *self.cmake, *(["portable"] if self.portable else machine())]
        facts += [self.gpu_compiler] if self.gpu_compiler else []
        digest = hashlib.sha256("\n".join(facts).encode()).hexdigest()
        return f"{self.version}-{digest[:16]}"


def recipe() -> Recipe:
    """The recipe for this machine and the chosen kind of GPU.

    Raises SetupError where a compiler is missing.
    """
    kind = gpu.chosen()
    found = compiler(kind)
    flags = host.accepted_flags(found, _processor_flags()) if found.gnu else []
    cmake = (*_CMAKE, *gpu.KINDS[kind], *(zig.CMAKE if found.zig else ()))
    return Recipe(*locked(), found, tuple(flags), cmake, gpu.compiler(kind))


def compiler(kind: str) -> host.Compiler:
    """The compiler for a kind of GPU: zig's, unless CC and CXX name another or zig has none.

    Raises SetupError where the machine has to have a compiler, and has none.
    """
    if zig.is_usable(kind) and not zig.is_replaced():
        return zig.compiler(places.builds())
    return host.compiler()


def portable_recipe(builds: Path, cmake: tuple[str, ...]) -> Recipe:
    """The recipe for other machines: nothing of this processor, and more flags for CMake.

    zig is installed into `builds`.
    """
    flags = (*_CMAKE, *zig.CMAKE, *cmake)
    return Recipe(*locked(), zig.compiler(builds), (), flags, portable=True)


def locked() -> tuple[str, str]:
    """The pinned version, and the SHA-256 of its source."""
    text = _LOCK.read_text(encoding="utf-8")
    version = re.search(r"llama-cpp-python==(\S+)", text)
    sdist = re.search(r"--hash=sha256:([0-9a-f]{64})", text)
    assert version and sdist, "scripts/lock/llama.txt pins a version and a hash"
    return version[1], sdist[1]


def _processor_flags() -> list[str]:
    """The flags for gcc on this processor; an unknown processor counts as one with AMX."""
    known = [line for line in machine() if line.startswith("flags")]
    without = bool(known) and all(" amx_tile" not in line for line in known)
    return [] if without else _KEEP_STORES


def machine() -> list[str]:
    """The facts of this machine on which the compiled code depends."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    kinds = ("flags", "Features", "CPU implementer", "CPU part")
    found = sorted({line for line in lines if line.split("\t")[0].strip() in kinds})
    return [platform.system(), platform.machine(), *platform.libc_ver(), *found]


def needed() -> bool:
    """Whether the environment lacks a llama-cpp-python for this machine."""
    return venv.noted("llama") != _installed()


def has_wheel() -> bool:
    """Whether some compiled wheel exists, so that a compile is unlikely."""
    return any(places.builds().glob("*/*.whl"))


def _installed() -> dict[str, str]:
    """The record of an installed engine, which shows within a millisecond that nothing changed."""
    kind = gpu.chosen()
    facts = [*machine(), *_processor_flags(), *_CMAKE, *gpu.KINDS[kind]]
    facts.append(_LOCK.read_text(encoding="utf-8"))
    facts += [zig.compiler(places.builds()).version] if zig.is_usable(kind) else []
    return {"made for": hashlib.sha256("\n".join(facts).encode()).hexdigest()}


def install(console: Console, runner: Runner) -> None:
    """Install llama-cpp-python; compile it first where no wheel of this recipe exists."""
    if not needed():
        return
    plan = recipe()
    folder = places.builds() / plan.key
    wheel = _wheel(folder) or compile_wheel(plan, folder, console, runner)
    with console.step("engine", "installing llama-cpp-python") as result:
        command = [places.PYTHON, *venv.PIP, "install", "--no-deps", "--no-index"]
        command += ["--force-reinstall", wheel]
        runner.must(command, places.environment(), "llama-cpp-python could not be installed")
        venv.note("llama", _installed())
        result.append(f"llama-cpp-python {plan.version}")


def _wheel(folder: Path) -> Path | None:
    return next(iter(folder.glob("*.whl")), None)


def compile_wheel(plan: Recipe, folder: Path, console: Console, runner: Runner) -> Path:
    """Compile a wheel into `folder`; an interrupted compile continues. Raises SetupError."""
    if plan.compiler.zig is not None:
        zig.install(plan.compiler.zig, console, runner)
    source = _source(plan, folder, console, runner)
    with console.step("llama.cpp", "preparing the compile") as result:
        begun = time.monotonic()

        def show(line: str) -> None:
            if step := _STEP.match(line):
                spent = duration(time.monotonic() - begun)
                console.progress(f"compiling {step[1]}/{step[2]}   {spent}")

        made = folder / "made"
        shutil.rmtree(made, ignore_errors=True)
        command = [places.PYTHON, *venv.PIP, "wheel", "--verbose", "--no-deps", "--no-index"]
        command += ["--no-build-isolation", "--no-cache-dir", "--wheel-dir", made, source]
        failed = "llama.cpp could not be compiled"
        hint = "the log says why; running it again continues from here"
        hint += "" if plan.portable else gpu.needs()
        runner.must(command, _environment(plan, folder), failed, hint, show)
        wheel = _wheel(made)
        if wheel is None:
            raise SetupError(f"{failed}: no wheel came out", log=str(runner.log_path))
        kept = wheel.replace(folder / wheel.name)
        _tidy(folder.parent)
        kind = gpu.chosen()
        what = "any x86-64 processor" if plan.portable else "this processor"
        what += "" if plan.portable or kind == "none" else f" and {kind}"
        result.append(f"compiled for {what}, {size(kept.stat().st_size)}")
    return kept


def _tidy(builds: Path) -> None:
    """Remove the leftovers of all compiles in `builds`, also unfinished ones; wheels stay."""
    for folder in builds.iterdir():
        for left in ("made", "objects", "source", "sdist", "unpacking"):
            shutil.rmtree(folder / left, ignore_errors=True)
    shutil.rmtree(builds / "zig", ignore_errors=True)


def _environment(plan: Recipe, folder: Path) -> dict[str, str]:
    """The environment of the build.

    It ignores the user's CMAKE_ARGS and CFLAGS, because the recipe's key must describe the build.
    """
    # Copies keep their path when another checkout continues the compile.
    shutil.copy(places.LOCKS / "layer_settings.h", folder)
    include = Path(shutil.copy(places.LOCKS / "llama.cmake", folder))
    # The names of source files get into the library, and must not depend on the folder.
    prefix = [f"-ffile-prefix-map={folder}=."] if plan.portable else []
    flags = shlex.join([*plan.flags, *prefix])
    cmake = [*plan.cmake, f"-DCMAKE_PROJECT_llama.cpp_INCLUDE={include}"]
    cmake += zig.programs(plan.compiler.zig) if plan.compiler.zig else ()
    return {
        **places.environment(),
        "CC": plan.compiler.c,
        "CXX": plan.compiler.cxx,
        "CFLAGS": flags,
        "CXXFLAGS": flags,
        "CMAKE_ARGS": shlex.join(cmake),
        "CMAKE_GENERATOR": "Ninja",
        "CMAKE_BUILD_PARALLEL_LEVEL": str(_jobs()),
        "SKBUILD_BUILD_DIR": str(folder / "objects"),
    }


def _jobs() -> int:
    """The number of compilers at once: one per core, each with up to 1.5 GB of memory."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        memory = 4 << 30
    return max(1, min(cores or 1, memory // 1_500_000_000))


def _source(plan: Recipe, folder: Path, console: Console, runner: Runner) -> Path:
    """The unpacked source.

    It is unpacked only once: the files keep their times, so an interrupted compile can continue.
    """
    ready = folder / "source"
    if ready.is_dir():
        return ready
    with console.step("llama.cpp", "downloading the source") as result:
        archive = _sdist(folder, runner)
        # pip has checked the hash; this checks the file that is unpacked.
        if _sha256(archive) != plan.sdist:
            archive.unlink()
            raise SetupError("the source of llama-cpp-python is not the pinned one: removed")
        console.progress("unpacking the source")
        fresh = folder / "unpacking"
        shutil.rmtree(fresh, ignore_errors=True)
        with tarfile.open(archive) as tar:
            # The hash makes it trusted; the safer filter needs Python 3.11.4.
            tar.extractall(fresh)
        next(fresh.iterdir()).rename(ready)
        fresh.rmdir()
        result.append(f"source, {size(archive.stat().st_size)}")
    return ready


def _sdist(folder: Path, runner: Runner) -> Path:
    place = folder / "sdist"
    if found := next(iter(place.glob("*.tar.gz")), None):
        return found
    command = [places.PYTHON, *venv.PIP, "download", "--no-deps", "--no-build-isolation"]
    command += ["--require-hashes", "--no-binary", "llama-cpp-python", "--progress-bar", "off"]
    command += ["--no-cache-dir", "--dest", place, "--requirement", _LOCK]
    failed = "the source of llama-cpp-python could not be downloaded"
    runner.must(command, places.environment(), failed)
    return next(place.glob("*.tar.gz"))


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
