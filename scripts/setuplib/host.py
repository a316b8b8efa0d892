"""The machine's prerequisites: disk space, and a C++ compiler where zig is not the compiler.

git and tmux are optional.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from setuplib.console import Console, SetupError, size

_INSTALL_COMPILER = (
    "Debian, Ubuntu: apt install build-essential    Fedora: dnf install gcc gcc-c++    "
    "macOS: xcode-select --install"
)


@dataclass(frozen=True)
class Compiler:
    """The C and C++ compilers, their version text, and the folder into which zig is installed."""

    c: str
    cxx: str
    version: str
    zig: Path | None = None

    @property
    def gnu(self) -> bool:
        """Whether it is gcc; on macOS clang is also called gcc."""
        return "Free Software Foundation" in self.version


def compiler() -> Compiler:
    """The compilers in CC and CXX or in PATH. Raises SetupError where there is none."""
    c = _first(os.environ.get("CC"), "cc", "gcc", "clang")
    cxx = _first(os.environ.get("CXX"), "c++", "g++", "clang++")
    if not c or not cxx:
        missing = " and ".join(name for name, got in (("C", c), ("C++", cxx)) if not got)
        raise SetupError(
            f"no {missing} compiler found in PATH; llama.cpp has to be compiled",
            _INSTALL_COMPILER,
        )
    try:
        said = subprocess.run([cxx, "--version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise SetupError(f"the compiler {cxx} does not run: {error}", _INSTALL_COMPILER) from error
    if said.returncode != 0:
        raise SetupError(f"the compiler {cxx} does not run: {said.stderr[:200]}", _INSTALL_COMPILER)
    return Compiler(c, cxx, said.stdout)


def accepted_flags(compiler: Compiler, flags: list[str]) -> list[str]:
    """The flags that the compiler accepts."""
    return [flag for flag in flags if _accepts(compiler.cxx, flag)]


def _accepts(cxx: str, flag: str) -> bool:
    command = [cxx, flag, "-x", "c++", "-fsyntax-only", "-"]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=60)
    return done.returncode == 0


def _first(*names: str | None) -> str:
    return next((found for name in names if name and (found := shutil.which(name))), "")


def check_space(needs: list[tuple[Path, int, str]]) -> None:
    """Raise SetupError where a file system lacks space: (folder, bytes, what for) for each need.

    Needs on one file system are added up.
    """
    devices: dict[int, list[tuple[Path, int, str]]] = {}
    for folder, count, purpose in needs:
        there = _existing(folder)
        devices.setdefault(there.stat().st_dev, []).append((there, count, purpose))
    for group in devices.values():
        total = sum(count for _, count, _ in group)
        free = shutil.disk_usage(group[0][0]).free
        if free < total:
            purposes = ", ".join(f"{purpose} {size(count)}" for _, count, purpose in group)
            raise SetupError(
                f"not enough disk space at {group[0][0]}: {size(total)} needed ({purposes}), "
                f"{size(free)} free",
                "make room, or set XDG_CACHE_HOME and XDG_DATA_HOME to folders on a larger disk",
            )


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def warn_about_tools(console: Console) -> None:
    """Say which programs are missing that some tests need."""
    for name, purpose in (("git", "tests of git repositories"), ("tmux", "tests of the terminal")):
        if not shutil.which(name):
            console.line(f"  note: {name} is not installed; {purpose} will be skipped")
