"""One reply while it is written: its tokens, its text, and when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from localagent.models.llamacpp import protocol
from localagent.models.llamacpp.worker.detokenize import ReplyText
from localagent.models.llamacpp.worker.interface import Llm, Sampler
from localagent.models.llamacpp.worker.kv_slots import Slot
from localagent.models.llamacpp.worker.prompt_cache import Memory

Reason = Literal["stop", "length", "cancelled"]


class Run:
    """One run of a request. `place` is its number there, `memory` its prompt.

    `sampler` is None where nothing is to be written. While it is written, `pending` is the token
    that is to be decoded next, the last one of the prompt first. `crowded` says that there was no
    room for it, `alone` that the next step is to be one of a single row.
    """

    def __init__(
        self, place: int, request: protocol.Run, memory: Memory, sampler: Sampler | None, llm: Llm
    ) -> None:
        self.place = place
        self.request = request
        self.memory = memory
        self.sampler = sampler
        self.slot: Slot | None = None
        self.prompt = list(memory.tokens)
        self.reused = 0
        self.prefill_seconds = 0.0
        self.decode_seconds = 0.0
        self.written: list[int] = []
        self.reason: Reason | None = None
        self.crowded = False
        self.alone = False
        self._llm = llm
        self._text = ReplyText((*request.stop, *llm.template.stop))
        self._room = min(request.max_tokens, llm.window - len(self.prompt))

    @property
    def pending(self) -> int:
        """The token to decode next."""
        return self.written[-1] if self.written else self.prompt[-1]

    @property
    def room(self) -> int:
        """How many more tokens may be written."""
        return self._room - len(self.written)

    @property
    def tokens(self) -> Sequence[int]:
        """Prompt and reply so far."""
        return [*self.prompt, *self.written]

    def take(self, token: int) -> str:
        """Add the next token; returns the text that can be sent now. May set `reason`."""
        if self._llm.is_end(token):
            self.reason = "stop"
            return ""
        self.written.append(token)
        piece = self._text.add(self._llm.piece(token))
        if self._text.stopped:
            self.reason = "stop"
        elif self.room <= 0:
            self.reason = "length"
        return piece

    def end(self) -> str:
        """Remember the reply with its prompt; returns the text's rest."""
        self.close()
        if not self.written:
            return ""
        rest, text = self._text.finish(), self._text
        content = self._llm.template.content
        self.memory.reply(self.written, text.text, text.ends, len(text.sent), content)
        return rest

    def close(self) -> None:
        """Free the sampler."""
        if self.sampler is not None:
            self.sampler.close()
            self.sampler = None

    def finished(self, request_id: int) -> protocol.Finished:
        """The message that ends it."""
        return protocol.Finished(
            id=request_id,
            run=self.place,
            reason=self.reason or "length",
            prompt_tokens=len(self.prompt),
            reused_tokens=self.reused,
            completion_tokens=len(self.written),
            prefill_seconds=self.prefill_seconds,
            decode_seconds=self.decode_seconds,
        )
