"""Asking ggml for its GPUs: a small library with its functions stands in for one built for some."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from localagent.models.llamacpp.hardware import Gpu, find_gpus

GGML = """
#include <stddef.h>
static const char *names[] = {"CPU", "CUDA0", "Vulkan0", "AMX", "MTL0"};
static const char *words[] = {"EPYC", "NVIDIA H100", "Radeon 780M", "AMX", "Apple M3"};
static const int kinds[] = {0, 1, 2, 3, 1};
size_t ggml_backend_dev_count(void) { return 5; }
const void *ggml_backend_dev_get(size_t n) { return names + n; }
#define N(d) ((const char **)(d) - names)
const char *ggml_backend_dev_name(const void *d) { return names[N(d)]; }
const char *ggml_backend_dev_description(const void *d) { return words[N(d)]; }
int ggml_backend_dev_type(const void *d) { return kinds[N(d)]; }
void ggml_backend_dev_memory(const void *d, size_t *free, size_t *total) {
    *total = 80000000000u; *free = *total - 1000000000u * N(d);
}
"""


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("cc"), reason="needs a C compiler")
def test_the_gpus_of_a_library(tmp_path: Path) -> None:
    source = tmp_path / "ggml.c"
    source.write_text(GGML)
    command = ["cc", "-shared", "-fPIC", "-o", tmp_path / "libggml.so", source]
    subprocess.run(command, check=True)
    assert find_gpus(tmp_path) == (
        Gpu(name="NVIDIA H100", free=79 * 10**9, total=80 * 10**9, unified=False),
        Gpu(name="Radeon 780M", free=78 * 10**9, total=80 * 10**9, unified=True),
        Gpu(name="Apple M3", free=76 * 10**9, total=80 * 10**9, unified=True),
    )


def test_a_library_that_cannot_be_asked(tmp_path: Path) -> None:
    assert find_gpus(tmp_path) == ()
    if sys.platform == "linux" and shutil.which("cc"):
        (tmp_path / "old.c").write_text("int ggml_init(void) { return 0; }")
        command = ["cc", "-shared", "-fPIC", "-o", tmp_path / "libggml.so", tmp_path / "old.c"]
        subprocess.run(command, check=True)
        assert find_gpus(tmp_path) == ()


@pytest.mark.skipif(not importlib.util.find_spec("llama_cpp"), reason="needs llama-cpp-python")
def test_the_real_one_is_asked() -> None:
    found = importlib.util.find_spec("llama_cpp")
    assert found is not None and found.origin is not None
    folder = Path(found.origin).parent / "lib"
    code = f"""
from pathlib import Path
from localagent.models.llamacpp import hardware
import ctypes
ggml = ctypes.CDLL(str(Path({str(folder)!r}) / "libggml.so"))
print([device.name for device in hardware._listed(ggml)])
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("[")
