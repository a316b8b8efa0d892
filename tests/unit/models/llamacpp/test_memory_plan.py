"""The plan of what fits: good machines get what was asked for, small ones less, tiny ones a no."""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.core.errors import ModelLoadError
from localagent.models.gguf import RawHeader, Value, header
from localagent.models.layer_state import LayerState
from localagent.models.llamacpp.hardware import Gpu, Machine, processor, this_machine
from localagent.models.llamacpp.memory_plan import (
    CHECKPOINTS,
    IDLE_STATES,
    MemoryPlan,
    MemoryRequest,
    Shape,
    cells,
    plan,
    shape,
)

GB = 10**9
MIB = 1 << 20
# The default model, as its header has it.
QWEN = Shape(
    file_bytes=1_117_320_768,
    layers=28,
    heads=12,
    kept=LayerState(28_672),
    kv_quantizable=True,
    trained_window=32_768,
    embedding=1536,
    vocabulary=151_936,
    parameters=1_777_088_000,
)
WISH = MemoryRequest(window=8192)


def at(free: int | None, wish: MemoryRequest = WISH, model: Shape = QWEN, *gpus: Gpu) -> MemoryPlan:
    return plan(model, wish, Machine(free, 4, gpus))


def test_a_roomy_machine_gives_what_is_asked_for() -> None:
    found = at(22 * GB)
    assert (found.window, found.kv_type, found.batch, found.threads) == (8192, "f16", 256, 4)
    assert (found.gpu_layers, found.gpu, found.weights) == (0, 0, QWEN.file_bytes)
    assert found.kv == 224 * MIB  # as llama.cpp says
    assert 151 * MIB < found.compute < 175 * MIB  # 151.38 MiB, as llama.cpp says
    assert found.reasons == (
        "window: 8,192 tokens",
        "KV cache: 0.2 GB (f16)",
        "batch: 256 tokens are read at a time, in buffers of 0.2 GB",
        "threads: 4, one for each physical core",
        "GPU: none that this llama.cpp can use",
        "memory: about 1.7 GB with weights of 1.1 GB; 22.0 GB are free, 0.5 GB of it for other "
        "programs",
    )


def test_scores_are_kept_on_a_processor_unless_memory_is_short() -> None:
    found = at(22 * GB)
    assert not found.flash
    wide = replace(QWEN, heads=64)  # whose scores are larger than the logits
    kept = plan(wide, WISH, Machine(22 * GB, 4))
    assert not kept.flash and kept.compute > 2 * found.compute
    short = plan(wide, WISH, Machine(int((kept.host - MIB) / 0.9), 4))
    assert (short.window, short.kv_type, short.flash) == (8192, "f16", True)
    assert at(22 * GB, WISH, QWEN, Gpu("H100", 80 * GB, 80 * GB)).flash


def test_few_replies_side_by_side_where_rows_are_dear() -> None:
    wish = MemoryRequest(window=8192, parallel=8)
    assert plan(QWEN, wish, Machine(22 * GB, 4)).parallel == 4
    assert plan(QWEN, wish, Machine(22 * GB, 4, tiles=True)).parallel == 8
    assert plan(QWEN, wish, Machine(22 * GB, 4, (Gpu("H100", GB, GB),))).parallel == 8
    assert plan(QWEN, MemoryRequest(8192, 2), Machine(22 * GB, 4)).parallel == 2


def test_unknown_memory_is_no_reason_to_shrink() -> None:
    found = at(None)
    assert found.window == 8192
    assert found.reasons[-1].endswith("free memory is unknown")


def test_the_model_s_own_window_is_the_limit() -> None:
    found = at(22 * GB, MemoryRequest(65_536))
    assert found.window == 32_768
    assert "instead of 65,536, as the model was made for no more" in found.reasons[0]
    assert at(22 * GB, WISH, replace(QWEN, trained_window=0)).window == 8192


def test_less_memory_takes_the_window_then_precision_then_the_batch() -> None:
    seen = [
        (p.window, p.kv_type, p.batch)
        for p in (at(free) for free in range(1_458_000_000, 1_950_000_000, 1_000_000))
    ]
    assert [key for key, _ in itertools.groupby(seen)] == [
        *((1024, "q8_0", 64), (1536, "q8_0", 64), (2304, "q8_0", 64), (3328, "q8_0", 64)),
        *((4608, "q8_0", 64), (4608, "q8_0", 256), (6144, "q8_0", 256), (8192, "q8_0", 256)),
        *((4608, "f16", 256), (6144, "f16", 256), (8192, "f16", 256)),
    ]
    assert "8,192, for which memory is too short" in at(1_830_000_000).reasons[0]


def test_too_small_a_machine_is_told_the_numbers() -> None:
    with pytest.raises(ModelLoadError) as refused:
        at(1_000_000_000)
    said = refused.value.message
    assert "window of 1,024 tokens it needs about 1.3 GB (1.1 GB for its weights" in said
    assert "1.0 GB are free, 0.1 GB of which" in said
    assert "models list" in refused.value.hint


def test_a_cache_of_odd_heads_keeps_its_precision() -> None:
    odd = replace(QWEN, kv_quantizable=False)
    types = {at(free, WISH, odd).kv_type for free in range(1_500_000_000, 2 * GB, 10**7)}
    assert types == {"f16"}


def test_replies_side_by_side_need_cells_of_their_own() -> None:
    assert [cells(w, n) for w, n in ((8192, 1), (8192, 8), (2048, 8))] == [8192, 12288, 4096]
    assert at(22 * GB, MemoryRequest(8192, parallel=8)).kv == 336 * MIB  # as llama.cpp says
    assert "shared by up to" in at(22 * GB, MemoryRequest(8192, parallel=8)).reasons[1]


def test_what_the_user_set_is_kept() -> None:
    found = at(
        22 * GB, MemoryRequest(8192, threads=3, gpu_layers=5), QWEN, Gpu("G", 24 * GB, 24 * GB)
    )
    assert (found.threads, found.gpu_layers) == (3, 5)
    assert found.reasons[3] == "threads: 3, as set"
    assert found.reasons[4] == "GPU: 5 of 28 layers, as set, on G (24.0 GB free)"


def test_a_large_gpu_takes_the_whole_model() -> None:
    found = at(22 * GB, WISH, QWEN, Gpu("G", 24 * GB, 24 * GB))
    assert (found.gpu_layers, found.batch) == (29, 512)
    assert found.reasons[4] == "GPU: the whole model on G (24.0 GB free)"
    assert found.gpu < 2 * GB
    assert found.host < at(22 * GB).host - GB + 200 * MIB


def test_a_small_gpu_takes_a_part_and_two_take_more() -> None:
    small = Gpu("S", GB, 2 * GB)
    one, two = (at(22 * GB, WISH, QWEN, *[small] * n) for n in (1, 2))
    assert 0 < one.gpu_layers < two.gpu_layers <= 29
    assert one.gpu <= small.free
    assert at(22 * GB, WISH, QWEN, Gpu("T", 100 * MIB, GB)).gpu_layers == 0


def test_memory_that_a_gpu_shares_is_counted_once() -> None:
    apple = Gpu("Apple M2", 16 * GB, 16 * GB, unified=True)
    found = at(16 * GB, WISH, QWEN, apple)
    assert found.gpu_layers == 29
    assert found.host > QWEN.file_bytes
    with pytest.raises(ModelLoadError):
        at(GB, WISH, QWEN, replace(apple, free=16 * GB))


def test_sliding_windows_keep_all_tokens_where_memory_allows() -> None:
    gemma = replace(QWEN, kept=LayerState(200_000, 170_000, 1024))
    wish = MemoryRequest(32_768)
    roomy = at(22 * GB, wish, gemma)
    assert (roomy.window, roomy.swa_full) == (32_768, True)
    assert roomy.kv == 32_768 * 200_000
    short = at(6 * GB, wish, gemma)
    assert (short.window, short.swa_full, short.kv_type) == (32_768, False, "f16")
    assert short.kv < roomy.kv / 2
    assert "sliding windows: only their last tokens are kept, with checkpoints" in short.reasons


def test_experts_stay_in_memory_where_the_rest_fits_on_the_gpu() -> None:
    moe = Shape(
        file_bytes=22 * GB,
        layers=40,
        heads=16,
        kept=LayerState(20_480),
        kv_quantizable=True,
        trained_window=262_144,
        embedding=2048,
        vocabulary=248_320,
        parameters=35 * GB,
        expert_bytes=19 * GB,
    )
    found = at(40 * GB, MemoryRequest(32_768), moe, Gpu("RTX 4060", 8 * GB, 8 * GB))
    assert (found.window, found.gpu_layers) == (32_768, 41)
    assert 20 < found.cpu_experts < 40
    assert found.gpu <= 8 * GB
    assert found.host + found.gpu >= moe.file_bytes + found.kv
    experts = f"the experts of {found.cpu_experts} of 40 layers in the machine's memory"
    assert f"GPU: the model on RTX 4060 (8.0 GB free), but {experts}" in found.reasons
    whole = at(40 * GB, WISH, moe, Gpu("H100", 80 * GB, 80 * GB))
    assert (whole.gpu_layers, whole.cpu_experts) == (41, 0)
    tiny = at(40 * GB, WISH, moe, Gpu("T", 2 * GB, 2 * GB))  # without room for the rest
    assert tiny.cpu_experts == 0 and tiny.gpu_layers < 40


def test_states_of_recurrent_layers_count() -> None:
    hybrid = replace(QWEN, kept=LayerState(28_672, state_bytes=80 * MIB))
    assert at(22 * GB, WISH, hybrid).kv == 224 * MIB + (1 + IDLE_STATES + CHECKPOINTS) * 80 * MIB
    assert any(
        reason.startswith("recurrent layers:") for reason in at(22 * GB, WISH, hybrid).reasons
    )


_sizes = st.integers(0, 10**12)


@given(
    st.builds(
        Shape,
        file_bytes=_sizes,
        layers=st.integers(0, 200),
        kept=st.builds(
            LayerState,
            st.integers(10**6, 10**7),
            st.integers(0, 10**6),
            st.integers(0, 4096),
            st.integers(0, 10**8),
        ),
        kv_quantizable=st.booleans(),
        trained_window=st.integers(0, 1 << 21),
        embedding=st.integers(0, 1 << 15),
        vocabulary=st.integers(0, 1 << 19),
        parameters=_sizes,
        expert_bytes=_sizes,
    ),
    st.builds(
        MemoryRequest,
        window=st.integers(1, 1 << 20),
        parallel=st.integers(1, 64),
        threads=st.integers(0, 64),
        gpu_layers=st.none() | st.integers(0, 300),
    ),
    st.builds(
        Machine,
        free=st.none() | _sizes,
        cores=st.integers(1, 256),
        gpus=st.lists(st.builds(Gpu, st.just("G"), _sizes, _sizes, st.booleans()), max_size=3).map(
            tuple
        ),
    ),
)
def test_any_model_gets_a_plan_that_fits_or_a_refusal(
    model: Shape, wish: MemoryRequest, machine: Machine
) -> None:
    try:
        found = plan(model, wish, machine)
    except ModelLoadError:
        assert machine.free is not None
        return
    assert 0 < found.window <= wish.window
    assert machine.free is None or found.host <= machine.free
    assert 0 <= found.gpu_layers <= model.layers + 1
    assert found.threads >= 1
    more = replace(machine, free=None if machine.free is None else 2 * machine.free)
    assert plan(model, wish, more).window >= found.window or found.kv_type != "f16"


def test_a_header_gives_the_shape() -> None:
    values: dict[str, Value] = {
        "general.architecture": "x",
        "x.block_count": 2,
        "x.embedding_length": 120,
        "x.attention.head_count": 3,
        "x.context_length": 512,
    }
    found = shape(header(RawHeader(3, values, {"tokenizer.ggml.tokens": 7}, 1, 99, 1), 1000))
    assert found == Shape(1000, 2, 3, LayerState(2 * 3 * 80 * 2), False, 512, 120, 7, 99)


def test_this_machine_is_told() -> None:
    machine = this_machine()
    assert machine.cores >= 1
    assert machine.gpus == ()
    if sys.platform == "linux":
        assert machine.free is not None and machine.free > 0
        assert all(isinstance(flag, str) for flag in processor()[1])
