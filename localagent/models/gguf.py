"""The one reader of GGUF metadata: it reads a file's header, without the native library.

`read` returns the facts of a header. `has_fim_tokens` reads the vocabulary too, which takes longer.
A damaged or hostile file raises GgufError; it cannot crash the process.
"""

from __future__ import annotations

import hashlib
import math
import os
import stat
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from localagent.models.layer_state import layer_state

MAX_HEADER = 256 << 20
"""Most bytes of a header. Vocabularies of 260,000 tokens take about 10 MiB."""

MAX_PAIRS = 1 << 16
MAX_TENSORS = 1 << 18
MAX_KEY = (1 << 16) - 1  # the format's own limit, in bytes
MAX_TEXT = 1 << 20
"""Longest text that is kept, in bytes; a chat template has some thousand."""

MAX_ITEMS = 4096
"""Longest list of numbers that is kept; such lists have a number for each layer."""

MAX_PARTS = 512
"""Most files of one model."""

MAX_DIMENSIONS = 4  # GGML_MAX_DIMS

_CHUNK = 1 << 20
_LENGTH = struct.Struct("<Q")
_TEXT, _LIST = 8, 9
_VOCABULARY = "tokenizer.ggml.tokens"
_NUMBERS = dict(zip((*range(8), 10, 11, 12), "BbHhIif?Qqd", strict=True))
# Of a tensor type: how many weights make a block, and a block's bytes (ggml-common.h). For what
# is not here, a tensor's end is not known.
_BLOCKS = {
    kind: (count, width)
    for count, width, *kinds in (
        *((1, 4, 0), (1, 2, 1, 30), (32, 18, 2, 20), (32, 20, 3), (32, 22, 6), (32, 24, 7)),
        *((32, 34, 8), (32, 17, 39), (256, 84, 10), (256, 110, 11), (256, 144, 12), (256, 176, 13)),
        *((256, 210, 14), (256, 136, 23)),
    )
    for kind in kinds
}

Value = str | int | float | list[int | float]


class GgufError(Exception):
    """The file is not a readable GGUF file; the message says why, and begins with "it"."""


@dataclass(frozen=True, slots=True)
class RawHeader:
    """The content of a header.

    `values` lacks long texts, lists of texts and long lists of numbers; `lengths` has the length of
    every list. `weights` is the number of elements of all tensors. `needs` is the least number of
    bytes of the file, by those tensors whose types are known here. `experts` is the number of bytes
    of the experts' weights.
    """

    version: int
    values: Mapping[str, Value]
    lengths: Mapping[str, int]
    tensors: int
    weights: int
    needs: int
    experts: int = 0
    vocabulary: frozenset[str] = frozenset()


class Stream(Protocol):
    """A binary stream, with or without a buffer."""

    def read(self, size: int, /) -> bytes | None:
        """Return the next bytes, at most `size`; none at the end."""
        ...

    def seek(self, position: int, /) -> int:
        """Continue at `position`."""
        ...


def read_header(stream: Stream, size: int, wanted: frozenset[str] = frozenset()) -> RawHeader:
    """Read the header of a file of `size` bytes, from its beginning.

    `wanted` are the tokens that `RawHeader.vocabulary` names if the file has them; with none, the
    vocabulary is skipped, which is faster. Raises GgufError and OSError.
    """
    cursor = _Cursor(stream, size)
    version = _version(cursor)
    tensors, pairs = cursor.number("Q"), cursor.number("Q")
    if pairs > MAX_PAIRS or tensors > MAX_TENSORS:
        raise GgufError("it claims to have more parts than any model")
    values: dict[str, Value] = {}
    lengths: dict[str, int] = {}
    vocabulary: set[str] = set()
    for _ in range(int(pairs)):
        _pair(cursor, values, lengths, wanted, vocabulary)
    weights, end, experts = _tensors(cursor, int(tensors))
    alignment = values.get("general.alignment", 32)
    step = alignment if isinstance(alignment, int) and 0 < alignment <= 1 << 20 else 32
    start = -(-cursor.position // step) * step
    needs = start + end if tensors else cursor.position
    return RawHeader(
        version=int(version),
        values=values,
        lengths=lengths,
        tensors=int(tensors),
        weights=weights,
        needs=needs,
        experts=experts,
        vocabulary=frozenset(vocabulary),
    )


def _version(cursor: _Cursor) -> int:
    if cursor.left < 8 or cursor.take(4) != b"GGUF":
        raise GgufError("it is not a GGUF file")
    version = int(cursor.number("I"))
    if version and version & 0xFFFF == 0:
        raise GgufError("it is made for machines of the other byte order")
    if version not in (2, 3):
        raise GgufError(f"it has version {version} of the format; known are 2 and 3")
    return version


def _pair(
    cursor: _Cursor,
    values: dict[str, Value],
    lengths: dict[str, int],
    wanted: frozenset[str],
    vocabulary: set[str],
) -> None:
    """Read one key with its value; add the `wanted` tokens of a vocabulary to `vocabulary`."""
    key = cursor.text(MAX_KEY)
    if key is None:
        raise GgufError("it has a key that is too long")
    kind = int(cursor.number("I"))
    if kind == _LIST:
        inner, count = int(cursor.number("I")), int(cursor.number("Q"))
        lengths[key] = count
        if wanted and key == _VOCABULARY and inner == _TEXT:
            vocabulary.update(wanted.intersection(cursor.texts(count)))
        elif (items := _items(cursor, inner, count)) is not None:
            values[key] = items
    elif kind == _TEXT:
        text = cursor.text(MAX_TEXT)
        if text is not None:
            values[key] = text
    elif kind in _NUMBERS:
        values[key] = cursor.number(_NUMBERS[kind])
    else:
        raise GgufError(f"it has a value of the unknown type {kind}")


def _items(cursor: _Cursor, kind: int, count: int) -> list[int | float] | None:
    """Read a list of numbers; None for a list that is skipped."""
    if kind == _TEXT:
        cursor.skip_texts(count)
        return None
    if kind not in _NUMBERS:
        raise GgufError(f"it has a list of the unknown type {kind}")
    width = struct.calcsize("<" + _NUMBERS[kind])
    if count > MAX_ITEMS:
        cursor.skip(count * width)
        return None
    return list(struct.unpack(f"<{count}{_NUMBERS[kind]}", cursor.take(count * width)))


def _tensors(cursor: _Cursor, count: int) -> tuple[int, int, int]:
    """The number of weights of all tensors, the least end of the last one, the experts' bytes.

    The end is in bytes from the first tensor.
    """
    weights = end = 0
    places: list[tuple[int, bool]] = []
    for _ in range(count):
        name = cursor.text(MAX_KEY)
        if name is None:
            raise GgufError("it has a tensor whose name is too long")
        dimensions = int(cursor.number("I"))
        if dimensions > MAX_DIMENSIONS:
            raise GgufError(f"it has a tensor of {dimensions} dimensions")
        elements = math.prod(int(cursor.number("Q")) for _ in range(dimensions))
        block, width = _BLOCKS.get(int(cursor.number("I")), (1, 0))
        weights += elements
        offset = int(cursor.number("Q"))
        places.append((offset, "_exps." in name))
        end = max(end, offset + elements // block * width)
    # A tensor ends where the next one begins, whatever its type.
    ordered = [*sorted(places), (end, False)]
    sizes = (after - start for (start, expert), (after, _) in pairwise(ordered) if expert)
    return weights, end, sum(sizes)


class _Cursor:
    """Reads a stream from its beginning, never past `size` nor past the longest header."""

    def __init__(self, stream: Stream, size: int) -> None:
        self._stream = stream
        self._size = size
        self._buffer = b""
        self._at = 0  # in the buffer
        self._base = 0  # where in the file the buffer begins

    @property
    def position(self) -> int:
        """Bytes from the file's beginning."""
        return self._base + self._at

    @property
    def left(self) -> int:
        """Bytes that may still be read."""
        return min(self._size, MAX_HEADER) - self.position

    def number(self, code: str) -> int | float:
        """One number of a struct code."""
        found: int | float = struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]
        return found

    def text(self, most: int) -> str | None:
        """A text after its length; None for a text of more than `most` bytes."""
        length = int(self.number("Q"))
        if length > most:
            self.skip(length)
            return None
        return self.take(length).decode("utf-8", "replace")

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        self._need(count)
        while len(self._buffer) - self._at < count:
            self._fill()
        self._at += count
        return self._buffer[self._at - count : self._at]

    def skip(self, count: int) -> None:
        """Skip `count` bytes."""
        self._need(count)
        target = self.position + count
        if target > self._base + len(self._buffer):
            self._stream.seek(target)
            self._buffer, self._at, self._base = b"", 0, target
        else:
            self._at += count

    def texts(self, count: int) -> Iterator[str]:
        """The next `count` texts; an empty text stands for one that is too long."""
        self._need(8 * count)
        for _ in range(count):
            yield self.text(MAX_KEY) or ""

    def skip_texts(self, count: int) -> None:
        """Skip `count` texts. Vocabularies are long, so most of the time is spent here."""
        self._need(8 * count)
        unpack = _LENGTH.unpack_from
        while count:
            self._need(8)
            while len(self._buffer) - self._at < 8:
                self._fill()
            buffer, at, last = self._buffer, self._at, len(self._buffer) - 8
            while count and at <= last:
                at += 8 + unpack(buffer, at)[0]
                count -= 1
            # The last text may end beyond the buffer, and a wrong length far beyond the file.
            self.skip(at - self._at)

    def _need(self, count: int) -> None:
        if count > self.left:
            cut = self.position + count > self._size
            why = "ends in the middle of its header" if cut else "has a header that is too long"
            raise GgufError(f"it {why}")

    def _fill(self) -> None:
        chunk = self._stream.read(_CHUNK)
        if not chunk:  # it became shorter meanwhile
            raise GgufError("it ends in the middle of its header")
        self._buffer = self._buffer[self._at :] + chunk
        self._base += self._at
        self._at = 0


# llama.h's `enum llama_ftype` from 0 on, as file names have it; "-" stands for what is gone.
_QUANTIZATIONS = (
    *("F32", "F16", "Q4_0", "Q4_1", "-", "-", "-", "Q8_0", "Q5_0", "Q5_1", "Q2_K", "Q3_K_S"),
    *("Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K", "IQ2_XXS", "IQ2_XS"),
    *("Q2_K_S", "IQ3_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S", "IQ3_M", "IQ2_S", "IQ2_M"),
    *("IQ4_XS", "IQ1_M", "BF16", "-", "-", "-", "TQ1_0", "TQ2_0", "MXFP4", "NVFP4", "Q1_0", "Q2_0"),
)
# Architectures of llama.cpp that do not write text.
_EMBEDDING = {
    *("bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2"),
    *("jina-bert-v3", "eurobert", "gemma-embedding", "t5encoder"),
}


# The metadata keys of the tokens for prefix, suffix and middle, and the texts by which llama.cpp
# knows them where a file lacks the keys (llama-vocab.cpp).
_FIM_TOKENS = {
    ("fim_pre", "prefix"): frozenset(
        [
            *("<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>"),
            *("▁<PRE>", "<|code_prefix|>", "<|prefix|>"),
        ]
    ),
    ("fim_suf", "suffix"): frozenset(
        [
            *("<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>"),
            *("▁<SUF>", "<|code_suffix|>", "<|suffix|>"),
        ]
    ),
    ("fim_mid", "middle"): frozenset(
        [
            *("<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>"),
            *("▁<MID>", "<|code_middle|>", "<|middle|>"),
        ]
    ),
}


@dataclass(frozen=True, slots=True)
class Header:
    """The facts in a GGUF file's header; a missing text is "", a missing number 0.

    `context_length` is in tokens, `size` (the file's) in bytes. `kv_bytes_per_token` is the
    size of one token in the KV cache, with 16-bit floats, in all layers; `LayerState` explains it
    and the other sizes of its kind. `expert_bytes` are the weights of a mixture of experts.
    `parameters` is the number of weights. `key_length` and
    `value_length` are of one head. `unusable` is the reason why localagent cannot use it, or "".
    `tools` says whether the chat template has a place for tools. The file is `part` of so many
    `parts`, from 1; `cut` says that its end is missing.
    """

    size: int
    architecture: str
    name: str
    size_label: str
    quantization: str
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
    sliding_bytes_per_token: int = 0
    sliding_window: int = 0
    state_bytes: int = 0
    expert_bytes: int = 0
    part: int = 1
    parts: int = 1
    cut: bool = False
    license: str = ""
    chat_template_sha256: str = ""
    tools: bool = False


def read(path: Path) -> Header:
    """Read the header of the file at `path`. Raises GgufError and OSError."""
    with open(path, "rb", buffering=0, opener=_opener) as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise GgufError("it is not a regular file")
        raw = read_header(stream, status.st_size)
    return header(raw, status.st_size)


def has_fim_tokens(path: Path) -> bool:
    """Whether a model can fill in the middle: it has the three tokens for that.

    Raises GgufError and OSError.
    """
    with open(path, "rb", buffering=0, opener=_opener) as stream:
        size = os.fstat(stream.fileno()).st_size
        raw = read_header(stream, size, frozenset().union(*_FIM_TOKENS.values()))
    return all(
        any(f"tokenizer.ggml.{key}_token_id" in raw.values for key in keys)
        or not texts.isdisjoint(raw.vocabulary)
        for keys, texts in _FIM_TOKENS.items()
    )


def read_metadata(path: Path) -> Mapping[str, Value]:
    """The metadata of the file at `path`, without long lists. Raises GgufError and OSError."""
    with open(path, "rb", buffering=0, opener=_opener) as stream:
        return read_header(stream, os.fstat(stream.fileno()).st_size).values


def chat_template(metadata: Mapping[str, Value]) -> str:
    """The chat template in a file's metadata, or ""."""
    return _text(metadata, "tokenizer.chat_template")


def text_sha256(template: str) -> str:
    """The hash of a chat template's text; "" for no template."""
    return hashlib.sha256(template.encode()).hexdigest() if template else ""


def _opener(path: str, flags: int) -> int:
    """Open without waiting: a pipe would block for ever."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def header(raw: RawHeader, size: int) -> Header:
    """Interpret the values of a header; `size` is the file's, in bytes."""
    values = raw.values
    architecture = _text(values, "general.architecture")
    template = chat_template(values)

    def number(key: str) -> int:
        return max(_numbers(values, f"{architecture}.{key}"), default=0)

    heads, embedding = number("attention.head_count"), number("embedding_length")
    width = embedding // heads if heads else 0
    key = number("attention.key_length") or width
    value = number("attention.value_length") or width
    kv_heads = number("attention.head_count_kv") or heads
    layers = number("block_count")
    kept = layer_state(architecture, lambda key: _numbers(values, f"{architecture}.{key}"))
    return Header(
        size=size,
        architecture=architecture,
        name=_text(values, "general.name"),
        size_label=_text(values, "general.size_label"),
        quantization=_quantization(max(_numbers(values, "general.file_type"), default=-1)),
        context_length=number("context_length"),
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        embedding=embedding,
        key_length=key,
        value_length=value,
        vocabulary=raw.lengths.get(_VOCABULARY, 0) or number("vocab_size"),
        parameters=max(_numbers(values, "general.parameter_count"), default=0) or raw.weights,
        kv_bytes_per_token=kept.kv_bytes_per_token,
        sliding_bytes_per_token=kept.sliding_bytes_per_token,
        sliding_window=kept.sliding_window,
        state_bytes=kept.state_bytes,
        expert_bytes=max(0, raw.experts),
        part=max(_numbers(values, "split.no"), default=0) + 1,
        parts=max(1, *_numbers(values, "split.count"), 1),
        cut=size < raw.needs,
        unusable=_unusable(raw, architecture, size),
        license=_text(values, "general.license"),
        chat_template_sha256=text_sha256(template),
        tools="tools" in template,
    )


def _unusable(raw: RawHeader, architecture: str, size: int) -> str:
    """The reason why this is no model that writes text, or ""."""
    values = raw.values
    parts = max(_numbers(values, "split.count"), default=0)
    part = max(_numbers(values, "split.no"), default=0) + 1
    kind = _text(values, "general.type")
    pooling = max(_numbers(values, f"{architecture}.pooling_type"), default=0)
    if parts > MAX_PARTS:
        return f"it has {parts} parts"
    if part > 1:
        return f"it is part {part} of {parts} of a model, which begins with part 1"
    if architecture == "clip" or kind == "mmproj":
        return "it reads images for another model (mmproj)"
    if kind not in ("", "model"):
        return f"it is no model of its own ({kind})"
    if architecture in _EMBEDDING or pooling:
        return "it makes embeddings and writes no text"
    if not raw.lengths.get(_VOCABULARY):
        return "it has no vocabulary, so it is no language model"
    if not raw.tensors and parts < 2:
        return "it has no weights"
    if size < raw.needs:
        return "it is cut short: perhaps it is still being downloaded"
    return ""


def _quantization(kind: int) -> str:
    return _QUANTIZATIONS[kind].strip("-") if 0 <= kind < len(_QUANTIZATIONS) else ""


def _text(values: Mapping[str, Value], key: str) -> str:
    value = values.get(key)
    return value if isinstance(value, str) else ""


def _numbers(values: Mapping[str, Value], key: str) -> list[int]:
    """The non-negative whole numbers of a value or a list; 0 and 1 for truth values."""
    value = values.get(key, [])
    items = value if isinstance(value, list) else [value]
    return [int(item) for item in items if isinstance(item, int) and item >= 0]
