"""Writes GGUF files as llama.cpp reads them: any keys, a vocabulary, and one tensor of weights."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence

U32, F32, BOOL, TEXT, LIST, U64 = 4, 6, 7, 8, 9, 10
TYPES = {U32: "I", F32: "f", BOOL: "?", U64: "Q", 5: "i"}

# What a small language model has at least.
MODEL: dict[str, object] = {
    "general.architecture": "llama",
    "general.name": "Toy Coder",
    "general.size_label": "1.5B",
    "general.file_type": 15,
    "llama.context_length": 4096,
    "llama.embedding_length": 64,
    "llama.block_count": 3,
    "llama.feed_forward_length": 128,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.rope.dimension_count": 16,
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", "a", "b"],
    "tokenizer.ggml.scores": [0.0, 0.0, 0.0, -1.0, -2.0],
    "tokenizer.ggml.token_type": [2, 3, 3, 1, 1],
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.ggml.unknown_token_id": 0,
    "tokenizer.chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}",
}


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def number(kind: int, value: float) -> bytes:
    return struct.pack("<" + TYPES[kind], value)


def kind_of(value: object) -> int:
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, int):
        return U32 if value < 1 << 32 else U64
    return F32 if isinstance(value, float) else TEXT


def pair(key: str, value: object) -> bytes:
    if isinstance(value, Sequence) and not isinstance(value, str):
        inner = 5 if value and isinstance(value[0], int) else kind_of(value[0] if value else "")
        items = b"".join(text(v) if inner == TEXT else number(inner, v) for v in value)
        return text(key) + struct.pack("<IIQ", LIST, inner, len(value)) + items
    kind = kind_of(value)
    body = text(str(value)) if kind == TEXT else number(kind, value)  # type: ignore[arg-type]
    return text(key) + struct.pack("<I", kind) + body


def tensor(name: str, shape: Sequence[int], kind: int = 0, offset: int = 0) -> bytes:
    dims = struct.pack(f"<{len(shape)}Q", *shape)
    return text(name) + struct.pack("<I", len(shape)) + dims + struct.pack("<IQ", kind, offset)


def gguf(changes: Mapping[str, object] | None = None, *, version: int = 3, cut: int = 0) -> bytes:
    """A model's file, with keys changed or (None) left out; `cut` bytes of its weights missing."""
    values = {k: v for k, v in {**MODEL, **(changes or {})}.items() if v is not None}
    head = b"GGUF" + struct.pack("<IQQ", version, 1, len(values))
    head += b"".join(pair(key, value) for key, value in values.items())
    head += tensor("token_embd.weight", (64, 5))
    head += bytes(-len(head) % 32)
    return head + bytes(64 * 5 * 4 - cut)


def loadable() -> bytes:
    """A model's file that llama.cpp loads: every tensor of a model of one layer, all zeros."""
    width, inner, words = 64, 128, 5
    block = {
        "attn_norm": (width,),
        "attn_q": (width, width),
        "attn_k": (width, width // 2),
        "attn_v": (width, width // 2),
        "attn_output": (width, width),
        "ffn_norm": (width,),
        "ffn_gate": (width, inner),
        "ffn_up": (width, inner),
        "ffn_down": (inner, width),
    }
    tensors: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (width, words),
        "output_norm.weight": (width,),
        "output.weight": (width, words),
        **{f"blk.0.{name}.weight": shape for name, shape in block.items()},
    }
    values = {**MODEL, "llama.block_count": 1, "tokenizer.ggml.add_space_prefix": False}
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values))
    head += b"".join(pair(key, value) for key, value in values.items())
    size = 0
    for name, shape in tensors.items():
        head += tensor(name, shape, 0, size)
        size += 4 * math.prod(shape)  # F32, each a multiple of the alignment of 32
    head += bytes(-len(head) % 32)
    return head + bytes(size)
