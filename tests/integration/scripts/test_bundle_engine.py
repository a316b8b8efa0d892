"""The flags for CMake of the bundle's engine, on a small library and its plug-in."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from bundlelib import engine

CMAKE = Path(sys.executable).with_name("cmake")
PROJECT = """
cmake_minimum_required(VERSION 3.21)
project(toy C)
# As llama-cpp-python does; it overrides the same variables of the command line.
set(CMAKE_BUILD_WITH_INSTALL_RPATH FALSE)
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH TRUE)
add_library(base SHARED base.c)
add_library(plugin MODULE plugin.c)
target_link_libraries(plugin PRIVATE base)
install(TARGETS base plugin LIBRARY DESTINATION lib)
"""

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None or not CMAKE.exists(),
    reason="needs Linux, a C compiler and CMake",
)


@pytest.fixture
def install(tmp_path: Path) -> Callable[[str], Path]:
    """Compiles the plug-in in a folder, and returns its installed file."""

    def compile_in(name: str) -> Path:
        source = tmp_path / name / "source"
        source.mkdir(parents=True)
        (source / "CMakeLists.txt").write_text(PROJECT)
        (source / "base.c").write_text("int base(void) { return 1; }\n")
        (source / "plugin.c").write_text("int base(void);\nint plugin(void) { return base(); }\n")
        build, target = tmp_path / name / "build", tmp_path / name / "installed"
        for words in (
            ["-S", source, "-B", build, f"-DCMAKE_INSTALL_PREFIX={target}", *engine.CMAKE],
            ["--build", build],
            ["--install", build],
        ):
            subprocess.run([CMAKE, *words], check=True, capture_output=True)
        return target / "lib/libplugin.so"

    return compile_in


def test_a_plugin_does_not_depend_on_the_folder(install: Callable[[str], Path]) -> None:
    one, other = install("one"), install("a-folder-with-a-longer-name")
    assert one.read_bytes() == other.read_bytes()


def test_a_plugin_finds_the_libraries_beside_it(install: Callable[[str], Path]) -> None:
    """auditwheel requires it, and so does a program that loads the plug-in first."""
    load = "import ctypes, sys; print(ctypes.CDLL(sys.argv[1]).plugin())"
    command = [sys.executable, "-c", load, install("toy")]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "1\n"
