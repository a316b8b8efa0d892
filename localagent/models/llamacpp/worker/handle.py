"""A model of llama.cpp as far as it can be asked without a context: metadata and vocabulary.

`c` is the module llama_cpp, which is handed in: only `llamacpp_worker` imports it.
"""

from __future__ import annotations

import ctypes
from typing import Any

from localagent.models.llamacpp.worker.chat_template import ChatTemplate, TemplateFailed
from localagent.models.llamacpp.worker.interface import RequestFailed

_KV_BYTES = 2  # of one number in the KV cache: llama.cpp keeps it as f16


class Handle:
    """A model of the library, and what can be asked of it without a context."""

    def __init__(self, c: Any, model: int) -> None:
        self.c = c
        self.model = model
        self.vocab: int = c.llama_model_get_vocab(model)
        self.architecture = self.text("general.architecture")

    def text(self, key: str) -> str:
        """A value of the metadata, or ""."""
        size = 256
        while True:
            buffer = ctypes.create_string_buffer(size)
            length = self.c.llama_model_meta_val_str(self.model, key.encode(), buffer, size)
            if length < size:
                return buffer.raw[: max(0, length)].decode("utf-8", "replace")
            size = length + 1

    def number(self, key: str) -> int:
        """A number of this architecture's metadata, the largest of a list, or 0."""
        return max(self._numbers(key), default=0)

    def _numbers(self, key: str) -> list[int]:
        text = self.text(f"{self.architecture}.{key}").strip("[]")
        parts = [part.strip() for part in text.split(",")]
        return [int(part) for part in parts if part.isdecimal()]

    @property
    def trained_window(self) -> int:
        return self.number("context_length")

    @property
    def kv_bytes_per_token(self) -> int:
        """Bytes that one token takes in the KV cache, in all layers."""
        heads = self.number("attention.head_count")
        width = self.number("embedding_length") // heads if heads else 0
        both = (self.number("attention.key_length") or width) + (
            self.number("attention.value_length") or width
        )
        # A list has a number for each layer, 0 where a layer keeps no cache.
        each = self._numbers("attention.head_count_kv")
        shared = max(each, default=0) or heads
        cached = sum(each) if len(each) > 1 else self.number("block_count") * shared
        return cached * both * _KV_BYTES

    def token_text(self, token: int) -> str:
        """The text of a token in the vocabulary, or "" where there is no such token."""
        if token < 0:
            return ""
        text: bytes = self.c.llama_vocab_get_text(self.vocab, token)
        return text.decode("utf-8", "replace")

    def named(self, **tokens: str) -> dict[str, int]:
        """Those of the named tokens that the vocabulary has; values are llama.cpp's names."""
        found = {
            name: int(getattr(self.c, f"llama_vocab_{function}")(self.vocab))
            for name, function in tokens.items()
        }
        return {name: token for name, token in found.items() if token >= 0}

    def fim_tokens(self) -> dict[str, int]:
        return self.named(prefix="fim_pre", suffix="fim_suf", middle="fim_mid")

    def controls(self) -> list[str]:
        """The texts of all control tokens."""
        c, vocab = self.c, self.vocab
        attribute = c.llama_vocab_get_attr
        wanted = c.LLAMA_TOKEN_ATTR_CONTROL | c.LLAMA_TOKEN_ATTR_UNKNOWN
        count = c.llama_vocab_n_tokens(vocab)
        return [self.token_text(i) for i in range(count) if attribute(vocab, i) & wanted]

    def template(self) -> ChatTemplate:
        """Its chat template, compiled. Raises RequestFailed."""
        names = self.named(bos="bos", eos="eos")
        bos, eos = (self.token_text(names.get(name, -1)) for name in ("bos", "eos"))
        try:
            return ChatTemplate(self.text("tokenizer.chat_template"), bos, eos, self.controls())
        except TemplateFailed as error:
            raise RequestFailed("load", str(error)) from None
