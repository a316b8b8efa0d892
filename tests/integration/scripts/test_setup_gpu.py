"""`--gpu`: what it is compiled for, what it needs, and that the choice stays."""

from __future__ import annotations

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


def _path_without(folder: Path) -> str:
    """A PATH with a compiler and nothing else that is asked for."""
    for name in ("cc", "c++", "git", "tmux"):
        link = folder / name
        if not link.exists():
            link.write_text("#!/bin/sh\necho Free Software Foundation\n")
            link.chmod(0o755)
    return str(folder)
