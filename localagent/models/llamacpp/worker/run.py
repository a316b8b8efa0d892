"""One reply while it is written: its tokens, its text, and when it ends."""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Sequence

from localagent.models.base import (
    Finish,
    FinishReason,
    RawText,
    Request,
    Text,
    Thought,
    Usage,
)
from localagent.models.llamacpp.worker.interface import Llm, TokenSampler
from localagent.models.llamacpp.worker.kv_slots import Slot
from localagent.models.llamacpp.worker.prompt_cache import Memory
from localagent.models.llamacpp.worker.thoughts import ThoughtReader, closing


class ReplyRun:
    """One run: the reply to `request`, at this `place` of a generation; `memory` is its prompt.

    `sampler` is None for a run that writes nothing. `pending` is the token to decode next: at
    first the last one of the prompt. `crowded` says that the KV cache had no room for the run,
    `alone` that its next step must be one of a single row.

    With `request.think`, the reply begins with a thought, and `opening` is its beginning in the
    prompt. A thought that is too long, or that the model leaves open, is closed by tokens that the
    model did not choose. Grammar and stop sequences apply after it.
    """

    def __init__(
        self,
        place: int,
        request: Request,
        memory: Memory,
        sampler: TokenSampler | None,
        llm: Llm,
        opening: str = "",
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
        self._reader = ThoughtReader(llm.template.form) if request.think else None
        self._opening = opening
        self._closing: deque[int] = deque()
        self._replies = self._reader is None  # whether the reply itself has begun
        self._special = bool(request.tools)  # whether control tokens of the reply have a text
        self._thought_tokens = 0
        stops = (*request.stop, *llm.template.stop)
        self._text = ReplyText(() if request.think else stops)
        self._most = llm.window - len(self.prompt)
        self._room = min(request.max_tokens + request.think, self._most)

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

    @property
    def thinking(self) -> bool:
        """Whether the next token belongs to a thought."""
        return not self._replies

    def choose(self, row: int) -> int:
        """The next token, by the logits of a row of the last step."""
        assert self.sampler is not None
        if not self._closing:
            token = self.sampler.sample(row)
            if not self.thinking or not self._llm.is_end(token):
                return token
            self._close_thought(closing(self._llm.template.form))
        return self._closing.popleft()

    def take(self, token: int) -> list[Text | Thought]:
        """Add the next token and return the chunks that can be sent now. May set `reason`."""
        if self._llm.is_end(token):
            self.reason = "stop"
            return []
        self.written.append(token)
        thinking = self.thinking
        piece = self._llm.piece(token, special=thinking or self._special)
        chunks = self._chunks(self._text.add(piece))
        if thinking:
            self._think_on()
        elif self.request.trigger and self._text.sent.endswith(self.request.trigger):
            self._start_grammar()
        if self._text.stopped:
            self.reason = "stop"
        elif self.room <= 0:
            self.reason = "length"
        return chunks

    def _think_on(self) -> None:
        """Count a token of the thought; close the thought where it is due, or begin the reply."""
        assert self._reader is not None
        self._thought_tokens += 1
        end = closing(self._llm.template.form)
        if not self._reader.over and self._thought_tokens == self.request.think:
            self._close_thought(end)
        marker = self._llm.template.form.thought_end
        if not self._closing and self._text.sent.endswith(marker):
            self._close_thought(end.partition(marker)[2])
        if self._reader.over and not self._closing:
            self._replies = True
            self._room = min(len(self.written) + self.request.max_tokens, self._most)
            self._text.stop_at((*self.request.stop, *self._llm.template.stop))
            if not self.request.trigger:
                self._start_grammar()

    def _start_grammar(self) -> None:
        if self.sampler is not None:
            self.sampler.start_grammar()

    def _close_thought(self, text: str) -> None:
        self._closing.extend(self._llm.tokenize(text, special=True))
        self._room = min(self._room + len(self._closing), self._most)

    def _chunks(self, piece: str) -> list[Text | Thought]:
        thought, text = self._reader.split(piece) if self._reader else ("", piece)
        thought, self._opening = self._opening + thought, ""
        return [*([Thought(thought)] if thought else []), *([Text(text)] if text else [])]

    def end(self) -> list[Text | Thought]:
        """Remember the reply with its prompt, and return the rest of its chunks."""
        self.close()
        if not self.written:
            return []
        text, template = self._text, self._llm.template
        rest = self._chunks(text.finish())
        cut = self._reader.length if self._reader else 0

        as_text = template.reply if self._special else template.content

        def as_content(said: str) -> str:
            return template.reply(said[:cut]) + as_text(said[cut:])

        self.memory.add_reply(self.written, text.text, text.ends, len(text.sent), as_content)
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
            thought_tokens=self._thought_tokens,
        )
        return Finish(self.reason or "length", usage)


class ReplyText:
    """The text of one reply while it is written.

    Several tokens may share a character or a stop sequence. A possible beginning of either is held
    back until the next tokens decide.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self.stop_at(stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._sent = 0
        self.text = ""
        """All decoded text, with the part that is held back or follows a stop sequence."""
        self.ends: list[int | None] = []
        """For each token, the length of `text` after it; None inside a character."""
        self.stopped = False
        """Whether a stop sequence came; no token may follow then."""

    def stop_at(self, stop: Sequence[str]) -> None:
        """End the reply at one of these texts from now on."""
        self._stop = [sequence for sequence in stop if sequence]

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
