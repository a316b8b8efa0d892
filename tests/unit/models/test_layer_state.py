"""What layers keep of tokens, by the metadata of published models."""

from __future__ import annotations

import pytest

from localagent.models.layer_state import LayerState, layer_state

Keys = dict[str, int | list[int]]


def state_of(architecture: str, keys: Keys) -> LayerState:
    def numbers(key: str) -> list[int]:
        value = keys.get(key, [])
        return value if isinstance(value, list) else [value]

    return layer_state(architecture, numbers)


GPT_OSS: Keys = {
    "block_count": 24,
    "embedding_length": 2880,
    "attention.head_count": 64,
    "attention.head_count_kv": 8,
    "attention.key_length": 64,
    "attention.value_length": 64,
    "attention.sliding_window": 128,
}
QWEN_NEXT: Keys = {
    "block_count": 48,
    "embedding_length": 2048,
    "attention.head_count": 16,
    "attention.head_count_kv": 2,
    "attention.key_length": 256,
    "attention.value_length": 256,
    "full_attention_interval": 4,
    "ssm.conv_kernel": 4,
    "ssm.inner_size": 4096,
    "ssm.state_size": 128,
    "ssm.group_count": 16,
}
GRANITE: Keys = {
    "block_count": 4,
    "embedding_length": 1536,
    "attention.head_count": 12,
    "attention.head_count_kv": [0, 4, 0, 0],
    "ssm.conv_kernel": 4,
    "ssm.inner_size": 3072,
    "ssm.state_size": 128,
    "ssm.group_count": 1,
}
LFM2: Keys = {
    "block_count": 3,
    "embedding_length": 2048,
    "attention.head_count": 32,
    "attention.head_count_kv": [0, 0, 8],
    "shortconv.l_cache": 3,
}
NEMOTRON: Keys = {**GRANITE, "feed_forward_length": [0, 0, 0, 512]}


@pytest.mark.parametrize(
    ("architecture", "keys", "expected"),
    [
        ("gpt-oss", GPT_OSS, LayerState(24 * 2048, 12 * 2048, 128)),
        ("qwen3", GPT_OSS, LayerState(24 * 2048)),  # no layer is known to slide
        ("gemma4", {**GPT_OSS, "attention.sliding_window_pattern": [1, 0] * 12, "block_count": 3},
         LayerState(3 * 2048, 2 * 2048, 128)),
        ("qwen3next", QWEN_NEXT, LayerState(12 * 2048, 0, 0, 36 * 4 * (3 * 8192 + 128 * 4096))),
        ("granitehybrid", GRANITE, LayerState(2048, 0, 0, 3 * 4 * (3 * 3328 + 128 * 3072))),
        ("nemotron_h", NEMOTRON, LayerState(2048, 0, 0, 2 * 4 * (3 * 3328 + 128 * 3072))),
        ("lfm2", LFM2, LayerState(2048, 0, 0, 2 * 4 * 2 * 2048)),
        ("mamba", {**GRANITE, "attention.head_count": 0, "attention.head_count_kv": 0},
         LayerState(0, 0, 0, 4 * 4 * (3 * 3328 + 128 * 3072))),
        ("x", {"block_count": 1 << 40, "attention.head_count": 1}, LayerState(0)),
    ],
)  # fmt: skip
def test_what_layers_keep(architecture: str, keys: Keys, expected: LayerState) -> None:
    assert state_of(architecture, keys) == expected
