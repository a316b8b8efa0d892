"""What a GGUF file is, read from its header alone: quickly, and without the native library.

`llama_metadata.inspect` asks the library instead, which also knows the vocabulary; that takes a
process and is what `models add` goes by.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localagent.models.gguf_reader import GgufError, RawHeader, Value, read_header

__all__ = ["GgufError", "Header", "read"]

_KV_BYTES = 2  # of one number in the KV cache, as f16

# llama.h's `enum llama_ftype` from 0 on, as file names have it; "-" stands for what is gone.
_QUANTISATIONS = (
    *("F32", "F16", "Q4_0", "Q4_1", "-", "-", "-", "Q8_0", "Q5_0", "Q5_1", "Q2_K", "Q3_K_S"),
    *("Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K", "IQ2_XXS", "IQ2_XS"),
    *("Q2_K_S", "IQ3_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S", "IQ3_M", "IQ2_S", "IQ2_M"),
    *("IQ4_XS", "IQ1_M", "BF16", "-", "-", "-", "TQ1_0", "TQ2_0", "MXFP4", "NVFP4", "Q1_0", "Q2_0"),
)
# Architectures of llama.cpp that write no text.
_EMBEDDING = {
    *("bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2"),
    *("jina-bert-v3", "eurobert", "gemma-embedding", "t5encoder"),
}


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF file says of itself. Texts are "" and numbers 0 where it does not say.

    `context_length` is in tokens, `size` (the file's) in bytes. `kv_bytes_per_token` is what one
    token takes in the KV cache, of 16-bit floats, in all layers. `parameters` is the number of
    weights. `key_length` and `value_length` are of one head. `unusable` says why localagent
    cannot use it, or is "".
    """

    size: int
    architecture: str
    name: str
    size_label: str
    quantisation: str
    context_length: int
    layers: int
    heads: int
    kv_heads: int
    embedding: int
    key_length: int
    value_length: int
    vocabulary: int
    parameters: int
    kv_bytes_per_token: int
    unusable: str


def read(path: Path) -> Header:
    """The header of the file at `path`. Raises GgufError and OSError."""
    with open(path, "rb", buffering=0, opener=_opener) as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise GgufError("it is not a regular file")
        raw = read_header(stream, status.st_size)
    return header(raw, status.st_size)


def template_sha256(path: Path) -> str:
    """The hash of the chat template's text; "" where the file has none. Raises GgufError and
    OSError."""
    with open(path, "rb", buffering=0, opener=_opener) as stream:
        raw = read_header(stream, os.fstat(stream.fileno()).st_size)
    return text_sha256(_text(raw.values, "tokenizer.chat_template"))


def text_sha256(template: str) -> str:
    """The hash of a chat template's text; "" where there is none."""
    return hashlib.sha256(template.encode()).hexdigest() if template else ""


def _opener(path: str, flags: int) -> int:
    """Opens without waiting: a pipe with this name would block for ever."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def header(raw: RawHeader, size: int) -> Header:
    """The meaning of a header's values; `size` is the file's, in bytes."""
    values = raw.values
    architecture = _text(values, "general.architecture")

    def number(key: str) -> int:
        return max(_numbers(values, f"{architecture}.{key}"), default=0)

    heads, embedding = number("attention.head_count"), number("embedding_length")
    width = embedding // heads if heads else 0
    key = number("attention.key_length") or width
    value = number("attention.value_length") or width
    kv_heads = number("attention.head_count_kv") or heads
    layers = number("block_count")
    # A list has a number for each layer, 0 where a layer keeps no cache.
    each = _numbers(values, f"{architecture}.attention.head_count_kv")
    cached = sum(each) if len(each) > 1 else layers * kv_heads
    return Header(
        size=size,
        architecture=architecture,
        name=_text(values, "general.name"),
        size_label=_text(values, "general.size_label"),
        quantisation=_quantisation(max(_numbers(values, "general.file_type"), default=-1)),
        context_length=number("context_length"),
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        embedding=embedding,
        key_length=key,
        value_length=value,
        vocabulary=raw.lengths.get("tokenizer.ggml.tokens", 0) or number("vocab_size"),
        parameters=max(_numbers(values, "general.parameter_count"), default=0) or raw.weights,
        kv_bytes_per_token=cached * (key + value) * _KV_BYTES,
        unusable=_unusable(raw, architecture, size),
    )


def _unusable(raw: RawHeader, architecture: str, size: int) -> str:
    """Why this is no model that can write text, or ""."""
    values = raw.values
    parts = max(_numbers(values, "split.count"), default=0)
    kind = _text(values, "general.type")
    pooling = max(_numbers(values, f"{architecture}.pooling_type"), default=0)
    if parts > 1:
        return f"it is one of the {parts} files of a model; merge them with llama-gguf-split"
    if architecture == "clip" or kind == "mmproj":
        return "it reads images for another model (mmproj)"
    if kind not in ("", "model"):
        return f"it is no model of its own ({kind})"
    if architecture in _EMBEDDING or pooling:
        return "it makes embeddings and writes no text"
    if not raw.lengths.get("tokenizer.ggml.tokens"):
        return "it has no vocabulary, so it is no language model"
    if not raw.tensors:
        return "it has no weights"
    if size < raw.needs:
        return "it is cut short: perhaps it is still being downloaded"
    return ""


def _quantisation(kind: int) -> str:
    return _QUANTISATIONS[kind].strip("-") if 0 <= kind < len(_QUANTISATIONS) else ""


def _text(values: Mapping[str, Value], key: str) -> str:
    value = values.get(key)
    return value if isinstance(value, str) else ""


def _numbers(values: Mapping[str, Value], key: str) -> list[int]:
    """A value, or a list's values, as whole numbers that are not negative."""
    value = values.get(key, [])
    items = value if isinstance(value, list) else [value]
    return [item for item in items if type(item) is int and item >= 0]
