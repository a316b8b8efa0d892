"""What the layers of a model keep of the tokens that they have read, by the model's metadata.

The sizes follow llama.cpp's llama-hparams.cpp and its loaders of the architectures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Numbers = Callable[[str], Sequence[int]]
"""The numbers of a metadata key of the architecture: one, one for each layer, or none."""

_MOST_LAYERS = 1024  # LLAMA_MAX_LAYERS is 512
_NUMBER, _STATE_NUMBER = 2, 4  # bytes in the KV cache (f16) and in a recurrent state (f32)

# Of so many layers in a row, the last one sees all tokens. Files of these architectures have no
# key for that (load_swa_pattern in llama.cpp).
_SLIDING = {"gemma2": 2, "gemma3": 6, "gemma3n": 5, "gpt-oss": 2, "cohere2": 4, "olmo2": 4}


@dataclass(frozen=True, slots=True)
class LayerState:
    """Bytes that layers keep: for each token in f16, and for each sequence of tokens.

    `sliding_bytes_per_token` is the part of `kv_bytes_per_token` of the layers that see only the
    last `sliding_window` tokens. `state_bytes` is the state of recurrent layers; a sequence with
    such a state cannot go back to earlier tokens.
    """

    kv_bytes_per_token: int
    sliding_bytes_per_token: int = 0
    sliding_window: int = 0
    state_bytes: int = 0


def layer_state(architecture: str, numbers: Numbers) -> LayerState:
    """The state of a model with these numbers in its metadata."""

    def number(key: str) -> int:
        return max(numbers(key), default=0)

    layers = min(number("block_count"), _MOST_LAYERS)
    cached = _cached_heads(numbers, layers)
    recurrent = _recurrent(numbers, cached)
    if number("full_attention_interval") or numbers("attention.recurrent_layers"):
        cached = [0 if layer in recurrent else heads for layer, heads in enumerate(cached)]
    heads = number("attention.head_count")
    width = number("embedding_length") // heads if heads else 0
    key = number("attention.key_length") or width
    value = number("attention.value_length") or width
    sliding = _sliding(architecture, numbers, layers) if number("attention.sliding_window") else ()
    short = number("attention.key_length_swa") or key, number("attention.value_length_swa") or value
    windowed = sum(cached[layer] for layer in sliding) * sum(short) * _NUMBER
    whole = sum(heads for layer, heads in enumerate(cached) if layer not in sliding)
    return LayerState(
        kv_bytes_per_token=whole * (key + value) * _NUMBER + windowed,
        sliding_bytes_per_token=windowed,
        sliding_window=number("attention.sliding_window") if windowed else 0,
        state_bytes=len(recurrent) * _numbers_of_state(number) * _STATE_NUMBER,
    )


def _cached_heads(numbers: Numbers, layers: int) -> list[int]:
    """The heads of each layer that have a place in the KV cache."""
    each = numbers("attention.head_count_kv")
    if len(each) > 1:
        heads = [*each, *[0] * (layers - len(each))]
    else:
        one = max(each, default=0) or max(numbers("attention.head_count"), default=0)
        heads = [one] * layers
    shared = max(numbers("attention.shared_kv_layers"), default=0)
    return [*heads[: layers - shared], *[0] * min(shared, layers)]


def _recurrent(numbers: Numbers, cached: Sequence[int]) -> frozenset[int]:
    """The layers with a recurrent state."""
    keys = ("ssm.inner_size", "shortconv.l_cache", "wkv.head_size", "kda.head_dim")
    if not any(max(numbers(key), default=0) for key in keys):
        return frozenset()
    layers = range(len(cached))
    if flags := numbers("attention.recurrent_layers"):
        return frozenset(layer for layer, flag in zip(layers, flags, strict=False) if flag)
    if interval := max(numbers("full_attention_interval"), default=0):
        return frozenset(layer for layer in layers if (layer + 1) % interval)
    inner = numbers("feed_forward_length")
    plain = {layer for layer in layers if len(inner) > 1 and any(inner[layer : layer + 1])}
    without = frozenset(layer for layer in layers if not cached[layer]) - plain
    return without or frozenset(layers)  # each layer of some has both


def _sliding(architecture: str, numbers: Numbers, layers: int) -> frozenset[int]:
    """The layers that see only the last tokens."""
    pattern = numbers("attention.sliding_window_pattern")
    if len(pattern) > 1:
        return frozenset(layer for layer, flag in enumerate(pattern[:layers]) if flag)
    row = max(pattern, default=0) or _SLIDING.get(architecture, 1)
    return frozenset(layer for layer in range(layers) if layer % row < row - 1)


def _numbers_of_state(number: Callable[[str], int]) -> int:
    """How many numbers a recurrent layer keeps for each sequence."""
    width, kernel = number("embedding_length"), number("ssm.conv_kernel")
    if size := number("wkv.head_size"):
        return width * (max(1, number("token_shift_count")) + size)
    if length := number("shortconv.l_cache"):
        return width * (length - 1)
    if size := number("kda.head_dim"):
        heads = number("attention.head_count")
        return heads * size * (3 * (max(kernel, 4) - 1) + size)
    inner, state = number("ssm.inner_size"), number("ssm.state_size")
    return max(0, kernel - 1) * (inner + 2 * number("ssm.group_count") * state) + state * inner
