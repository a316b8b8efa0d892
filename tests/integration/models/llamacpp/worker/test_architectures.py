"""Sessions with models of today's architectures, with random weights, on llama.cpp itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from random_model import ARCHITECTURES, random_model
from random_sessions import SAME, Model

from localagent.models import gguf, split_files
from localagent.models.llamacpp.worker.kv_files import KvFiles

llama = pytest.importorskip("localagent.models.llamacpp.worker.llama")

STATES = ["granitehybrid", "lfm2", "mamba2", "qwen35", "qwen3next"]  # that cannot go back
every_architecture = pytest.mark.parametrize(
    ("architecture", "swa_full"),
    [(name, True) for name in ("gpt-oss", "qwen3moe", *STATES)]
    + [(name, False) for name in ("gemma3", "gemma4")],
)

SYSTEM = ("system", "You are a coder who answers in one word. " * 12)


@pytest.fixture(scope="module")
def library() -> Iterator[Any]:
    folder = Path.cwd()
    yield llama.LlamaLibrary()
    os.chdir(folder)


@pytest.fixture
def model(library: Any, tmp_path: Path, architecture: str, swa_full: bool) -> Iterator[Model]:
    experts = 2 if "expert_count" in ARCHITECTURES[architecture] else 0  # of both layers
    path = random_model(tmp_path, architecture, files=1 + bool(experts))
    parts = tuple(map(os.fsencode, split_files.parts_by_name(path)[1:]))
    made = Model(library, path, swa_full=swa_full, cpu_experts=experts, parts=parts)
    yield made
    made.llm.close()


@every_architecture
def test_a_session_of_ten_turns_reads_only_what_is_new(
    model: Model, architecture: str, swa_full: bool
) -> None:
    chat, old = [SYSTEM], 0
    for turn in range(10):
        chat.append(("user", f"What is {turn} and {7 * turn}?"))
        run = model.ask(chat)
        assert run.end.reused_tokens >= 0.98 * old
        old = run.end.prompt_tokens
        if turn in (3, 9):
            assert model.distance(chat, run.text) < SAME
        # Each third reply stands differently in the next prompt, as some templates have it.
        chat.append(("assistant", run.text.upper() if turn % 3 == 2 else run.text))
    assert model.llm.rewinds is (swa_full and architecture not in STATES)
    assert model.distance([SYSTEM, ("user", "Why?")], run.text) > SAME


@every_architecture
def test_eight_candidates_share_a_prefix(model: Model) -> None:
    chat = [SYSTEM, ("user", "Which one?")]
    run = model.ask(*[chat] * 8)
    prompt = run.ends[0].prompt_tokens
    assert all(run.ends[n].reused_tokens >= 0.97 * prompt for n in range(1, 8))
    assert len({run.text_of(n) for n in range(8)}) == 1
    assert model.distance(chat, run.text_of(7)) < SAME


@every_architecture
def test_a_session_resumes_from_disk(
    library: Any, tmp_path: Path, architecture: str, swa_full: bool
) -> None:
    path = random_model(tmp_path, architecture)
    chat = [SYSTEM, ("user", "Which one?")]
    for turn in range(2):
        files = KvFiles(tmp_path / "kv", "key", 1 << 30)
        model = Model(library, path, files, swa_full=swa_full)
        run = model.ask(chat)
        old = run.end.prompt_tokens
        if turn == 0:
            tokens = model.generator.keep()
            assert tokens > old
            header = gguf.read(path)
            seen = header.kv_bytes_per_token - header.sliding_bytes_per_token
            size = header.state_bytes + tokens * seen
            size += header.sliding_window * header.sliding_bytes_per_token
            if architecture == "qwen35":
                size += 12 * tokens  # the file has three more positions of a token, for images
            assert abs(files.stored[-1].path.stat().st_size - size) < 0.1 * size
            chat += [("assistant", run.text), ("user", "And then?")]
        else:
            assert run.end.reused_tokens >= 0.98 * old - 30
            assert model.distance(chat, run.text) < SAME
        model.llm.close()
