"""GGUF files with random weights, of the architectures of today's models, as small as they come.

llama.cpp itself says which tensors an architecture has: it makes a model of the metadata alone.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
from gguf_file import pair, tensor, text

_CONTROLS = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
_BYTES = [f"<0x{number:02X}>" for number in range(256)]
_VOCABULARY: dict[str, object] = {
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": [*_CONTROLS, *_BYTES, "\u2581"],  # the last one is a space
    "tokenizer.ggml.scores": [0.0] * 262,
    "tokenizer.ggml.token_type": [2, 3, 3, 3, 3, *[6] * 256, 1],
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 4,
    "tokenizer.ggml.unknown_token_id": 0,
    "tokenizer.ggml.add_bos_token": False,
    "tokenizer.ggml.add_space_prefix": False,
    "tokenizer.chat_template": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
}
_COMMON: dict[str, object] = {
    "context_length": 4096,
    "embedding_length": 64,
    "block_count": 2,
    "feed_forward_length": 96,
    "attention.head_count": 2,
    "attention.head_count_kv": 2,
    "attention.key_length": 32,
    "attention.value_length": 32,
    "attention.layer_norm_rms_epsilon": 1e-5,
    "rope.dimension_count": 32,
}
_STATES = {
    "ssm.conv_kernel": 4,
    "ssm.inner_size": 128,
    "ssm.state_size": 32,
    "ssm.time_step_rank": 2,
    "ssm.group_count": 2,
}
_DELTA = {**_STATES, "ssm.inner_size": 64, "full_attention_interval": 2}
_EXPERTS = {"expert_count": 4, "expert_used_count": 2, "expert_feed_forward_length": 32}
_WINDOW = {"attention.sliding_window": 32}

ARCHITECTURES: dict[str, dict[str, object]] = {
    "llama": {},
    "mamba2": {**_STATES, "attention.head_count": 0, "attention.head_count_kv": 0},
    "qwen35": {**_DELTA, "rope.dimension_sections": [4, 4, 4, 4]},
    "qwen3next": {**_DELTA, **_EXPERTS, "expert_shared_feed_forward_length": 32},
    "granitehybrid": {**_STATES, "attention.head_count_kv": [2, 0]},
    "lfm2": {"shortconv.l_cache": 3, "attention.head_count_kv": [2, 0]},
    "gemma3": {**_WINDOW, "block_count": 6},
    "gemma4": {
        **_WINDOW,
        "block_count": 3,
        "attention.sliding_window_pattern": [True, True, False],
        "attention.key_length_swa": 32,
        "attention.value_length_swa": 32,
        "embedding_length_per_layer_input": 32,
    },
    "gpt-oss": {**_WINDOW, **_EXPERTS},
    "qwen3moe": _EXPERTS,
}


class _InitParameters(ctypes.Structure):
    """struct gguf_init_params"""

    _fields_ = (("no_alloc", ctypes.c_bool), ("context", ctypes.c_void_p))


def random_model(
    folder: Path, architecture: str, *, files: int = 1, template: str = "", **more: object
) -> Path:
    """Write a model into `folder`, in one file or several; return the path of the first.

    `template` replaces ChatML. `more` are keys of the architecture, such as `context_length`.
    """
    import llama_cpp as c

    keys = {**_COMMON, **ARCHITECTURES[architecture], **more}
    values = {"general.architecture": architecture, **_VOCABULARY}
    values |= {f"{architecture}.{key}": value for key, value in keys.items()}
    if template:
        values["tokenizer.chat_template"] = template
    path = folder / f"{architecture}.gguf"
    path.write_bytes(_file(values, {}))
    base = _base(Path(c.__file__).parent / "lib")
    metadata = base.gguf_init_from_file(os.fsencode(path), _InitParameters(True, None))
    draw = numpy.random.default_rng(1)
    tensors: dict[str, Any] = {}

    @c.llama_model_set_tensor_data_t  # type: ignore[untyped-decorator]
    def fill(pointer: int, _: object) -> None:
        name = base.ggml_get_name(pointer).decode()
        sizes = (ctypes.c_int64 * 4).from_address(pointer + 16)  # after type and buffer
        shape = list(sizes)[: base.ggml_n_dims(pointer)]
        weights = draw.normal(0, 0.3, base.ggml_nelements(pointer))
        # Replies depend on the whole prompt: a state decays slowly, the last token says little.
        if "ssm_a" in name:
            weights = -abs(weights) / 10
        elif name == "token_embd.weight":
            weights /= 3
        elif "norm" in name:
            weights += 0.3 if "attn_q" in name else 1
        tensors[name] = (shape, weights.astype("f4").tobytes())

    model = c.llama_model_init_from_user(metadata, fill, None, c.llama_model_default_params())
    assert model, architecture
    c.llama_model_free(model)
    base.gguf_free(metadata)
    if files == 1:
        path.write_bytes(_file(values, tensors))
        return path
    path.unlink()
    for number in range(files):
        path = folder / f"{architecture}-{number + 1:05d}-of-{files:05d}.gguf"
        some = dict(list(tensors.items())[number::files])
        split = pair_of(2, "split.no", number) + pair_of(2, "split.count", files)
        split += pair_of(5, "split.tensors.count", len(tensors))
        path.write_bytes(_file({} if number else values, some, split, 3))
    return folder / f"{architecture}-00001-of-{files:05d}.gguf"


def pair_of(kind: int, key: str, value: int) -> bytes:
    """A key with a number of a given type: 2 has 16 bits, 5 has 32 and a sign."""
    return text(key) + struct.pack("<IH" if kind == 2 else "<Ii", kind, value)


def _base(folder: Path) -> Any:
    """The functions of ggml that describe tensors."""
    base: Any = ctypes.CDLL(str(folder / "libggml-base.so"))
    base.gguf_init_from_file.restype = ctypes.c_void_p
    base.gguf_init_from_file.argtypes = [ctypes.c_char_p, _InitParameters]
    base.gguf_free.argtypes = [ctypes.c_void_p]
    base.ggml_nelements.restype = ctypes.c_int64
    base.ggml_get_name.restype = ctypes.c_char_p
    for name in ("ggml_nelements", "ggml_get_name", "ggml_n_dims"):
        getattr(base, name).argtypes = [ctypes.c_void_p]
    return base


def _file(
    values: Mapping[str, object], tensors: Mapping[str, Any], more: bytes = b"", keys: int = 0
) -> bytes:
    """A file; `more` are further pairs, so many `keys`."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values) + keys)
    head += b"".join(pair(key, value) for key, value in values.items()) + more
    body = b""
    for name, (shape, data) in tensors.items():
        head += tensor(name, shape, 0, len(body))
        body += data + bytes(-len(data) % 32)
    return head + bytes(-len(head) % 32) + body
