"""One reply while it is written: its tokens, its text, and when it ends."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from localagent.models.base import Finish, FinishReason, RawText, Request, Usage
from localagent.models.llamacpp.worker.interface import Llm, TokenSampler
from localagent.models.llamacpp.worker.kv_slots import Slot
from localagent.models.llamacpp.worker.prompt_cache import Memory


class ReplyRun:
    """One run: the reply to `request`, at this `place` of a generation; `memory` is its prompt.

    `sampler` is None for a run that writes nothing. `pending` is the token to decode next: at
    first the last one of the prompt. `crowded` says that the KV cache had no room for the run,
    `alone` that its next step must be one of a single row.
    """

    def __init__(
        self, place: int, request: Request, memory: Memory, sampler: TokenSampler | None, llm: Llm
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
        self.reason: FinishReason | None = None
        self.crowded = False
        self.alone = False
        self._llm = llm
        self._text = ReplyText((*request.stop, *llm.template.stop))
        self._room = min(request.max_tokens, llm.window - len(self.prompt))

    @property
    def options(self) -> int:
        """How many likely tokens to list for each place of the prompt; 0 for a reply."""
        prompt = self.request.prompt
        return prompt.options if isinstance(prompt, RawText) else 0

    @property
    def passes(self) -> bool:
        """Whether the reply continues a raw text, which no later prompt continues."""
        return isinstance(self.request.prompt, RawText) and not self.options

    @property
    def is_branch(self) -> bool:
        """Whether the reply continues a token in the middle of a raw text."""
        prompt = self.request.prompt
        return isinstance(prompt, RawText) and prompt.branch is not None

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
        """Add the next token and return the text that can be sent now. May set `reason`."""
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
        """Remember the reply with its prompt, and return the rest of its text."""
        self.close()
        if not self.written:
            return ""
        rest, text = self._text.finish(), self._text
        content = self._llm.template.content
        self.memory.add_reply(self.written, text.text, text.ends, len(text.sent), content)
        return rest

    def close(self) -> None:
        """Free the sampler."""
        if self.sampler is not None:
            self.sampler.close()
            self.sampler = None

    @property
    def finish(self) -> Finish:
        """The chunk that ends the reply."""
        usage = Usage(
            prompt_tokens=len(self.prompt),
            reused_tokens=self.reused,
            completion_tokens=len(self.written),
            prefill_seconds=self.prefill_seconds,
            decode_seconds=self.decode_seconds,
        )
        return Finish(self.reason or "length", usage)


class ReplyText:
    """The text of one reply while it is written.

    Several tokens may share a character or a stop sequence. A possible beginning of either is held
    back until the next tokens decide.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = [sequence for sequence in stop if sequence]
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._sent = 0
        self.text = ""
        """All decoded text, with the part that is held back or follows a stop sequence."""
        self.ends: list[int | None] = []
        """For each token, the length of `text` after it; None inside a character."""
        self.stopped = False
        """Whether a stop sequence came; no token may follow then."""

    @property
    def sent(self) -> str:
        """The reply so far: the text that `add` and `finish` have returned."""
        return self.text[: self._sent]

    def add(self, data: bytes) -> str:
        """Take the bytes of the next token; return the text that can be sent now."""
        self.text += self._decoder.decode(data)
        inside = self._decoder.getstate()[0] != b""
        self.ends.append(None if inside else len(self.text))
        found = [self.text.find(stop, self._sent) for stop in self._stop]
        met = [position for position in found if position >= 0]
        if met:
            self.stopped = True
            return self._send(min(met))
        return self._send(len(self.text) - self._held_back())

    def finish(self) -> str:
        """The rest of the text, after the last token; an unfinished character is dropped."""
        return "" if self.stopped else self._send(len(self.text))

    def _send(self, end: int) -> str:
        piece = self.text[self._sent : end]
        self._sent = end
        return piece

    def _held_back(self) -> int:
        """How many characters at the end could be the beginning of a stop sequence."""
        unsent = len(self.text) - self._sent
        for count in range(unsent, 0, -1):
            tail = self.text[-count:]
            if any(stop.startswith(tail) for stop in self._stop):
                return count
        return 0
