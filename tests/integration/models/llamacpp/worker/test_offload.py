"""A mixture of experts on a real GPU that is too small for all of its experts.

Mesa's software device serves as one: llama.cpp compiled with `scripts/demo --gpu vulkan`, Debian's
mesa-vulkan-drivers, and GGML_VK_VISIBLE_DEVICES=0, because llama.cpp skips it otherwise.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from random_model import random_model
from random_sessions import SAME, Model

from localagent.models import gguf
from localagent.models.base import Profile
from localagent.models.llamacpp.memory_plan import MemoryPlan, plan_for_file
from localagent.models.llamacpp.process import library as installed

llama = pytest.importorskip("localagent.models.llamacpp.worker.llama")

LAYERS = 4
SIZES = {
    "block_count": LAYERS,
    "embedding_length": 256,
    "expert_count": 8,
    "expert_feed_forward_length": 256,
}
CHAT = [("system", "You answer in one word. " * 9), ("user", "Which one?")]
MIB = 1 << 20
_BUFFER = re.compile(r"(\S+) model buffer size = +([\d.]+) MiB")


@pytest.fixture(scope="module")
def library() -> Iterator[Any]:
    """The native library, with the lines of its log in `lines`."""
    if not installed().gpus:
        pytest.skip("llama.cpp finds no GPU (see the top of this file for a software device)")

    class Listening(llama.LlamaLibrary):  # type: ignore[misc, name-defined]
        lines: ClassVar[list[str]] = []

        def _on_log(self, level: int, text: bytes, pointer: object) -> None:
            self.lines.append(text.decode("utf-8", "replace"))
            super()._on_log(level, text, pointer)

    folder = Path.cwd()
    yield Listening()
    os.chdir(folder)


def test_experts_stay_in_memory_as_planned(library: Any, tmp_path: Path) -> None:
    path = random_model(tmp_path, "qwen3moe", **SIZES)
    experts = gguf.read(path).expert_bytes
    gpu = replace(library.gpus[0], unified=False)

    def plan(free: int) -> MemoryPlan:
        profile = Profile(window=2048, parallel=4)
        return plan_for_file([path], profile, threads=1, gpus=[replace(gpu, free=free)])

    whole = plan(1 << 40)
    assert (whole.gpu_layers, whole.cpu_experts) == (LAYERS + 1, 0)
    assert experts > whole.weights / 2
    half = plan((whole.gpu - experts // 2) * 10 // 9)  # a tenth is for other programs
    assert half.gpu_layers == LAYERS + 1
    assert 0 < half.cpu_experts < LAYERS
    on_gpu = {}
    for found in (whole, half):
        library.lines.clear()
        model = Model(
            library,
            path,
            window=found.window,
            batch=found.batch,
            parallel=found.parallel,
            gpu_layers=found.gpu_layers,
            cpu_experts=found.cpu_experts,
        )
        buffers: Counter[str] = Counter()
        for name, size in _BUFFER.findall("".join(library.lines)):
            in_memory = name.startswith("CPU") or name.endswith("_Host")
            buffers["host" if in_memory else "gpu"] += int(float(size) * MIB)
        on_gpu[found] = buffers["gpu"]
        kept = found.cpu_experts * experts // LAYERS
        assert buffers["host"] >= kept
        # The plan counts the embedding with the layers, and llama.cpp leaves it in memory.
        assert abs(buffers["gpu"] - (found.gpu - found.kv - found.compute)) < MIB
        run = model.ask(CHAT)
        assert model.distance(CHAT, run.text, gpu_layers=0, cpu_experts=0) < SAME
        model.llm.close()
    moved = on_gpu[whole] - on_gpu[half]
    assert abs(moved - half.cpu_experts * experts // LAYERS) < MIB // 10
