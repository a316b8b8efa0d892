"""`--gpu`: what it is compiled for, what it needs, and that the choice stays."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from setuplib import gpu, llama, places, venv
from setuplib.console import SetupError


def test_the_option_is_taken_out_of_the_arguments() -> None:
    assert gpu.take(["--seed", "3"]) == (None, ["--seed", "3"])
    assert gpu.take(["--gpu", "cuda", "--seed", "3"]) == ("cuda", ["--seed", "3"])
    assert gpu.take(["--seed", "3", "--gpu=vulkan"]) == ("vulkan", ["--seed", "3"])


@pytest.mark.parametrize("arguments", [["--gpu"], ["--gpu", "rocm"], ["--gpu="]])
def test_a_kind_that_is_unknown_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SetupError) as refused:
        gpu.take(arguments)
    assert refused.value.hint == "kinds: none, cuda, vulkan, metal"


def test_the_choice_changes_what_is_compiled_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvcc"
    tool.write_text("#!/bin/sh\necho release 12.4\n")
    tool.chmod(0o755)
    monkeypatch.setenv("CUDACXX", str(tool))
    monkeypatch.setattr(venv, "_NOTES", tmp_path / "notes.json")
    plain = llama.recipe()
    assert (gpu.chosen(), plain.gpu_compiler) == ("none", "")
    before = llama._installed()
    venv.note("llama", before)
    assert not llama.needed()
    venv.note("gpu", "cuda")
    assert llama.needed()
    cuda = llama.recipe()
    assert "-DGGML_CUDA=ON" in cuda.cmake and "-DGGML_CUDA=ON" not in plain.cmake
    assert cuda.gpu_compiler == "release 12.4\n"
    assert cuda.key != plain.key


def test_a_missing_compiler_is_named_before_anything_is_done(tmp_path: Path) -> None:
    demo = places.REPO / "scripts" / "_setup.py"
    for kind, said in (("cuda", "nvcc is not in PATH"), ("vulkan", "glslc is not in PATH")):
        ran = subprocess.run(
            [sys.executable, demo, "demo", "--gpu", kind],
            capture_output=True, text=True, timeout=60,
            env={"PATH": _path_without(tmp_path), "HOME": str(tmp_path)},
        )  # fmt: skip
        assert ran.returncode == 2
        assert f"error: {said}; --gpu {kind} needs it to compile" in ran.stdout + ran.stderr
        assert "Traceback" not in ran.stderr
    assert gpu.chosen() == "none"


HEADERS = "#pragma once\ntypedef enum VkStructureType { VK_FIRST = 0 } VkStructureType;\n"
SOURCE = """#include <vector>
#include <vulkan/vulkan_core.h>
int main() {
    unsigned on = 1;
    std::vector<vk::LayerSettingEXT> all = {
        {"layer", "name", vk::LayerSettingTypeEXT::eBool32, 1, &on},
    };
    vk::LayerSettingsCreateInfoEXT info(all);
    return &info == nullptr;
}
"""
TYPES = """#define VK_EXT_layer_settings 1
#include <vector>
namespace vk {
enum class LayerSettingTypeEXT { eBool32 };
struct LayerSettingEXT { const char *a, *b; LayerSettingTypeEXT c; unsigned d; void *e; };
struct LayerSettingsCreateInfoEXT { LayerSettingsCreateInfoEXT(std::vector<LayerSettingEXT> &) {} };
}
"""


@pytest.mark.skipif(not shutil.which("c++"), reason="needs a C++ compiler")
@pytest.mark.parametrize("headers", [HEADERS, HEADERS + TYPES], ids=["of Debian 12", "newer"])
def test_vulkan_compiles_with_old_and_new_headers(tmp_path: Path, headers: str) -> None:
    project, vulkan = tmp_path / "project", tmp_path / "project/ggml/src/ggml-vulkan"
    (vulkan / "vulkan").mkdir(parents=True)
    (vulkan / "vulkan/vulkan_core.h").write_text(headers)
    (vulkan / "ggml-vulkan.cpp").write_text(SOURCE)
    (vulkan / "CMakeLists.txt").write_text(
        "add_executable(ggml-vulkan ggml-vulkan.cpp)\n"
        "target_include_directories(ggml-vulkan PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})\n"
    )
    (project / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.19)\nproject(llama.cpp CXX)\n"
        "add_subdirectory(ggml/src/ggml-vulkan)\n"
    )
    include = places.LOCKS / "llama.cmake"
    cmake = shutil.which("cmake", path=os.pathsep.join([str(places.BIN), os.environ["PATH"]]))
    assert cmake, "the setup installs cmake"
    flags = ["-DGGML_VULKAN=ON", f"-DCMAKE_PROJECT_llama.cpp_INCLUDE={include}"]
    build = tmp_path / "build"
    subprocess.run([cmake, "-S", project, "-B", build, *flags], check=True)
    subprocess.run([cmake, "--build", build], check=True)


def _path_without(folder: Path) -> str:
    """A PATH with a compiler and nothing else that is asked for."""
    for name in ("cc", "c++", "git", "tmux"):
        link = folder / name
        if not link.exists():
            link.write_text("#!/bin/sh\necho Free Software Foundation\n")
            link.chmod(0o755)
    return str(folder)
