"""The GGUF reader: what it finds in good files, and that no bad file harms it."""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from localagent.models.gguf import (
    GgufError,
    Header,
    has_fim_tokens,
    header,
    read,
    read_header,
    text_sha256,
)
from tests.doubles.gguf_file import MODEL, gguf, pair, tensor, text


def parsed(data: bytes) -> Header:
    return header(read_header(io.BytesIO(data), len(data)), len(data))


def start(tensors: int = 0, pairs: int = 0, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, pairs)


@pytest.mark.parametrize("version", [2, 3])
def test_it_finds_what_the_file_says(version: int) -> None:
    data = gguf(version=version)
    assert parsed(data) == Header(
        size=len(data),
        architecture="llama",
        name="Toy Coder",
        size_label="1.5B",
        quantization="Q4_K_M",
        context_length=4096,
        layers=3,
        heads=4,
        kv_heads=2,
        embedding=64,
        key_length=16,
        value_length=16,
        vocabulary=5,
        parameters=320,
        kv_bytes_per_token=3 * 2 * 32 * 2,
        unusable="",
        chat_template_sha256=text_sha256(str(MODEL["tokenizer.chat_template"])),
    )


def test_lengths_and_counts_that_the_file_gives_come_first() -> None:
    found = parsed(
        gguf(
            {
                "llama.attention.key_length": 96,
                "llama.attention.value_length": 32,
                "llama.attention.head_count_kv": [2, 0, 4],  # one layer without a cache
                "general.parameter_count": 7_000_000_000,
                "general.file_type": 999,
            }
        )
    )
    assert (found.key_length, found.value_length, found.kv_heads) == (96, 32, 4)
    assert found.kv_bytes_per_token == 6 * (96 + 32) * 2
    assert found.parameters == 7_000_000_000
    assert found.quantization == ""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"split.count": 3, "split.no": 1}, "part 2 of 3"),
        ({"general.architecture": "clip"}, "images"),
        ({"general.type": "mmproj"}, "images"),
        ({"general.type": "adapter"}, "adapter"),
        ({"general.architecture": "nomic-bert"}, "embeddings"),
        ({"llama.pooling_type": 3}, "embeddings"),
        ({"tokenizer.ggml.tokens": None}, "no vocabulary"),
        ({"split.count": 1, "llama.pooling_type": 0, "general.type": "model"}, ""),
    ],
)
def test_what_is_no_language_model_is_told(changes: dict[str, object], reason: str) -> None:
    found = parsed(gguf(changes)).unusable
    assert (reason in found) if reason else found == ""


def test_a_file_without_its_last_weights_is_told() -> None:
    assert parsed(gguf(cut=1)).unusable.startswith("it is cut short")
    bare = start(0, len(MODEL)) + b"".join(pair(k, v) for k, v in MODEL.items())
    assert parsed(bare).unusable == "it has no weights"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a GGUF file"),
        (b"GGML" + bytes(40), "not a GGUF file"),
        (start(version=1), "version 1"),
        (start(version=3 << 24), "byte order"),
        (start(pairs=1 << 40), "more parts"),
        (start(tensors=1 << 40), "more parts"),
        (start(pairs=1) + struct.pack("<Q", 1 << 63), "ends in the middle"),
        (start(pairs=1) + struct.pack("<Q", 1 << 17) + bytes(1 << 17), "a key that is too long"),
        (start(pairs=1) + text("k") + struct.pack("<I", 77), "unknown type 77"),
        (start(pairs=1) + text("k") + struct.pack("<IIQ", 9, 9, 1), "list of the unknown type 9"),
        (start(pairs=1) + text("k") + struct.pack("<IIQ", 9, 8, 1 << 62), "ends in the middle"),
        (start(pairs=1) + text("k") + struct.pack("<IIQ", 9, 10, 1 << 62), "ends in the middle"),
        (start(pairs=1) + text("k") + struct.pack("<IIQQ", 9, 8, 1, 1 << 62), "ends in the middle"),
        (start(tensors=1) + text("t") + struct.pack("<I", 4000), "4000 dimensions"),
    ],
)
def test_a_hostile_header_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(GgufError, match=message):
        parsed(data)


class Zeros:
    """A sparse file: a header, and after it as many zeros as anyone reads."""

    def __init__(self, head: bytes) -> None:
        self.head, self.at = head, 0

    def read(self, size: int, /) -> bytes:
        data = (self.head[self.at :] + bytes(size))[:size]
        self.at += size
        return data

    def seek(self, position: int, /) -> int:
        self.at = position
        return position


@pytest.mark.parametrize("kind", [8, 10])
def test_nothing_is_allocated_because_a_large_file_asks_for_it(kind: int) -> None:
    """Its list of 2^28 texts or numbers would even be there."""
    head = start(pairs=1) + text("k") + struct.pack("<IIQ", 9, kind, 1 << 28)
    tracemalloc.start()
    with pytest.raises(GgufError, match="a header that is too long"):
        read_header(Zeros(head), 1 << 50)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_a_long_text_is_passed_over_by_its_length() -> None:
    head = start(pairs=1) + text("k") + struct.pack("<IQ", 8, 200 << 20)
    tracemalloc.start()
    assert read_header(Zeros(head), 1 << 50).values == {}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


@given(st.integers(0, len(gguf()) - 1))
def test_a_file_cut_anywhere_is_refused_or_told(length: int) -> None:
    try:
        assert parsed(gguf()[:length]).unusable
    except GgufError:
        pass


@given(st.binary(max_size=400))
@example(start(pairs=3) + pair("general.alignment", 0) + pair("a", -1.0) + pair("b", True))
def test_any_bytes_end_in_a_header_or_a_refusal(tail: bytes) -> None:
    for data in (tail, start(1, 2) + tail):
        try:
            parsed(data)
        except GgufError:
            pass


@given(st.data())
def test_a_file_with_bytes_changed_ends_in_a_header_or_a_refusal(data: st.DataObject) -> None:
    changed = bytearray(gguf())
    for at in data.draw(st.lists(st.integers(0, 1200), min_size=1, max_size=6)):
        changed[at] = data.draw(st.integers(0, 255))
    try:
        found = parsed(bytes(changed))
        assert found.kv_bytes_per_token >= 0
    except GgufError:
        pass


_scalars = st.integers(0, 2**32 - 1) | st.booleans() | st.text(max_size=40)
_lists = st.lists(st.text(max_size=9), max_size=9) | st.lists(st.integers(0, 99), max_size=9)


@given(st.dictionaries(st.text(min_size=1, max_size=20), _scalars | _lists, max_size=12))
def test_every_value_is_read_back(values: dict[str, object]) -> None:
    data = start(0, len(values)) + b"".join(pair(k, v) for k, v in values.items())
    raw = read_header(io.BytesIO(data), len(data))
    kept = {k: v for k, v in values.items() if not (isinstance(v, list) and v[:1] != [])}
    kept |= {k: v for k, v in values.items() if isinstance(v, list) and v and v[0] != str(v[0])}
    kept = {k: v for k, v in kept.items() if v != []}
    assert dict(raw.values) == kept
    assert raw.lengths == {k: len(v) for k, v in values.items() if isinstance(v, list)}


@pytest.mark.parametrize(
    ("changes", "known"),
    [
        ({}, False),
        ({"tokenizer.ggml.tokens": ["<fim_prefix>", "a", "<fim_suffix>", "<fim_middle>"]}, True),
        ({"tokenizer.ggml.tokens": ["<fim_prefix>", "<fim_suffix>", "xx<fim_middle>"]}, False),
        ({f"tokenizer.ggml.fim_{part}_token_id": 1 for part in ("pre", "suf", "mid")}, True),
        ({f"tokenizer.ggml.{part}_token_id": 1 for part in ("prefix", "suffix")}, False),
    ],
)
def test_the_tokens_that_fill_in_the_middle(
    tmp_path: Path, changes: dict[str, object], known: bool
) -> None:
    path = tmp_path / "toy.gguf"
    path.write_bytes(gguf(changes))
    assert has_fim_tokens(path) is known


def test_long_lists_and_texts_are_passed_over() -> None:
    """What comes after them is read rightly, also across the borders of what is read at once."""
    values = {"many": ["token"] * 300_000, "numbers": [7] * 400_000, "long": "x" * (3 << 20)}
    data = start(1, 4) + b"".join(pair(k, v) for k, v in values.items())
    data += pair("last", "end") + tensor("t", (2, 3))
    raw = read_header(io.BytesIO(data), len(data))
    assert raw.values == {"last": "end"}
    assert raw.lengths == {"many": 300_000, "numbers": 400_000}
    assert (raw.tensors, raw.weights) == (1, 6)


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    file = tmp_path / "model"
    file.write_bytes(gguf())
    assert read(file).name == "Toy Coder"
    with pytest.raises(OSError):
        read(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(GgufError, match="regular"):
            read(tmp_path / "pipe")
