"""A language model without a model: its tokens are bytes, and it writes what it was told to.

It stands where llama.cpp stands, behind the worker's own protocols, and keeps its KV cache as
plain lists, so that tests can see what the worker made of it.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from localagent.models.base import Request
from localagent.models.llamacpp import protocol
from localagent.models.llamacpp.worker.chat_template import ChatTemplate
from localagent.models.llamacpp.worker.interface import BatchRow, Outcome, RequestFailed

CONTROLS = ["<|im_start|>", "<|im_end|>", "<|fim_pre|>", "<|fim_suf|>", "<|fim_mid|>"]
START, END, PREFIX, SUFFIX, MIDDLE = range(256, 261)


class ToySampler:
    """Writes its text; it is sure of all but the places in `unsure`."""

    def __init__(self, tokens: Iterator[int], unsure: Collection[int] = ()) -> None:
        self.tokens = tokens
        self.written = 0
        self.unsure = set(unsure)
        self.closed = False
        self.bound = False

    def sample(self, row: int) -> int:
        self.written += 1
        return next(self.tokens, END)

    def start_grammar(self) -> None:
        self.bound = True

    def is_sure(self, row: int) -> bool:
        return self.written not in self.unsure

    def close(self) -> None:
        self.closed = True


class ToyLlm:
    """Writes `reply`, again and again where `endless`; in a run with a seed, the seed's own.

    Sequences are lists of tokens; `cells` is how many different ones all may hold together, where
    a copied beginning counts once.
    """

    def __init__(
        self,
        reply: bytes = b"hello",
        *,
        endless: bool = False,
        window: int = 4096,
        batch: int = 16,
        template: str = "",
        fim: bool = True,
        parallel: int = 4,
        idle: int = 3,
        cells: int = 100_000,
        whole: bool = False,
    ) -> None:
        self.reply = reply
        self.endless = endless
        self.window = window
        self.batch = batch
        self.parallel = parallel
        self.sequences = parallel + idle
        self.cells = cells
        self.slides = False
        self.rewinds = not whole  # a recurrent model's sequence goes back to checkpoints only
        self.template = ChatTemplate(template, "", "<|im_end|>", CONTROLS)
        self.begin: Sequence[int] = ()
        self.fim = (PREFIX, SUFFIX, MIDDLE) if fim else None
        self.sequence: list[list[int]] = [[] for _ in range(self.sequences)]
        self.steps: list[list[BatchRow]] = []
        self.threads: list[int] = []
        self.unsure: Collection[int] = ()
        self.samplers: list[ToySampler] = []
        self.after_read: Callable[[], None] = lambda: None
        self.facts = protocol.LoadReply(
            id=0, window=window, trained_window=window, threads=1, extra_bufts=True
        )

    @property
    def kv(self) -> list[int]:
        """The longest sequence."""
        return max(self.sequence, key=len)

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        if not special:
            return list(text.encode())
        parts = re.split("(" + "|".join(map(re.escape, CONTROLS)) + ")", text)
        return [
            token
            for part in parts
            for token in ([256 + CONTROLS.index(part)] if part in CONTROLS else part.encode())
        ]

    def piece(self, token: int, *, special: bool = False) -> bytes:
        control = CONTROLS[token - 256].encode() if token >= 256 and special else b""
        return bytes([token]) if token < 256 else control

    def is_end(self, token: int) -> bool:
        return token == END

    def checkpoint(self, seq: int) -> bytes:
        return json.dumps(self.sequence[seq]).encode()

    def keep(self, seq: int, count: int, state: bytes = b"") -> bool:
        held = self.sequence[seq]
        if not self.rewinds and 0 < count < len(held) and not self._leads(state, seq, count):
            held.clear()
            return False
        del held[count:]
        return True

    def copy(self, source: int, target: int, count: int, state: bytes = b"") -> bool:
        assert not self.sequence[target]
        assert count <= len(self.sequence[source])
        if not self.rewinds and count < len(self.sequence[source]):
            assert self._leads(state, source, count), "a copy without the state at its end"
        self.sequence[target] = self.sequence[source][:count]
        return True

    def _leads(self, state: bytes, seq: int, count: int) -> bool:
        """Whether a checkpoint was made after the first `count` tokens of a sequence."""
        return bool(state) and json.loads(state) == self.sequence[seq][:count]

    def decode(self, rows: Sequence[BatchRow], interrupted: Callable[[], bool] | None) -> Outcome:
        assert 0 < len(rows) <= self.batch
        self.steps.append(list(rows))
        half = len(rows) // 2
        if not self.rewinds and self._used() + len(rows) > self.cells:
            return "full"
        reading = interrupted is not None
        for number, row in enumerate(rows):
            if number == half and interrupted is not None and interrupted():
                return "stopped"
            held = self.sequence[row.seq]
            assert row.position == len(held), "a token out of its place"
            held.append(row.token)
            assert len(held) <= self.window
            if self._used() > self.cells:
                return "full"
        if reading:
            self.after_read()
        return "done"

    def likeliest(self, row: int, count: int) -> list[tuple[int, float]]:
        """The next letters of the alphabet after the row's token, each half as likely."""
        assert self.steps[-1][row].wanted
        token = self.steps[-1][row].token
        return [(token + n, 0.5**n) for n in range(1, count + 1)]

    def sampler(self, run: Request) -> ToySampler:
        if run.grammar == "bad":
            raise RequestFailed("backend", "the grammar is bad")
        reply = self.reply + (f" {run.seed}".encode() if run.seed else b"")
        tokens = itertools.cycle(reply) if self.endless else iter(reply)
        self.samplers.append(ToySampler(tokens, self.unsure))
        return self.samplers[-1]

    def save(self, seq: int, path: Path, tokens: Sequence[int]) -> None:
        assert self.sequence[seq] == list(tokens)
        path.write_text(json.dumps(self.sequence[seq]))

    def restore(self, seq: int, path: Path, tokens: Sequence[int]) -> bool:
        assert not self.sequence[seq]
        held = json.loads(path.read_text())
        if held != list(tokens):
            return False
        self.sequence[seq] = held
        return True

    def use_threads(self, count: int) -> None:
        self.threads.append(count)

    def close(self) -> None:
        for held in self.sequence:
            held.clear()

    def _used(self) -> int:
        """Cells in use: beginnings that sequences have in common are shared."""
        found = {tuple(held[:end]) for held in self.sequence for end in range(1, len(held) + 1)}
        return len(found)
