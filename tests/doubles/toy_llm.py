"""A language model without a model: its tokens are bytes, and it writes what it was told to.

It stands where llama.cpp stands, behind the worker's own protocols, and keeps its KV cache as a
plain list, so that tests can see what the worker made of it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence

from localagent.models import wire
from localagent.models.worker_generate import RequestFailed
from localagent.models.worker_template import ChatTemplate

CONTROLS = ["<|im_start|>", "<|im_end|>", "<|fim_pre|>", "<|fim_suf|>", "<|fim_mid|>"]
START, END, PREFIX, SUFFIX, MIDDLE = range(256, 261)


class ToySampler:
    def __init__(self, tokens: Iterator[int]) -> None:
        self.tokens = tokens
        self.closed = False

    def sample(self) -> int:
        return next(self.tokens, END)

    def close(self) -> None:
        self.closed = True


class ToyLlm:
    """Writes `reply`, again and again where `endless`."""

    def __init__(
        self,
        reply: bytes = b"hello",
        *,
        endless: bool = False,
        window: int = 4096,
        batch: int = 16,
        template: str = "",
        fim: bool = True,
    ) -> None:
        self.reply = reply
        self.endless = endless
        self.window = window
        self.batch = batch
        self.template = ChatTemplate(template, "", "<|im_end|>", CONTROLS)
        self.begin: Sequence[int] = ()
        self.fim = (PREFIX, SUFFIX, MIDDLE) if fim else None
        self.kv: list[int] = []
        self.samplers: list[ToySampler] = []
        self.after_read: Callable[[], None] = lambda: None
        self.facts = wire.Loaded(
            id=0, window=window, trained_window=window, threads=1, extra_bufts=True
        )

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        if not special:
            return list(text.encode())
        parts = re.split("(" + "|".join(map(re.escape, CONTROLS)) + ")", text)
        return [
            token
            for part in parts
            for token in ([256 + CONTROLS.index(part)] if part in CONTROLS else part.encode())
        ]

    def piece(self, token: int) -> bytes:
        return bytes([token]) if token < 256 else b""

    def is_end(self, token: int) -> bool:
        return token == END

    def keep(self, count: int) -> bool:
        assert count <= len(self.kv)
        del self.kv[count:]
        return True

    def read(self, tokens: Sequence[int], interrupted: Callable[[], bool]) -> bool:
        assert 0 < len(tokens) <= self.batch
        self._take(tokens[: len(tokens) // 2])
        if interrupted():
            return False
        self._take(tokens[len(tokens) // 2 :])
        self.after_read()
        return True

    def step(self, token: int) -> None:
        self._take([token])

    def sampler(self, request: wire.Generate) -> ToySampler:
        if request.grammar == "bad":
            raise RequestFailed("backend", "the grammar is bad")
        self.samplers.append(
            ToySampler(itertools.cycle(self.reply) if self.endless else iter(self.reply))
        )
        return self.samplers[-1]

    def close(self) -> None:
        self.kv.clear()

    def _take(self, tokens: Sequence[int]) -> None:
        self.kv += tokens
        assert len(self.kv) <= self.window
