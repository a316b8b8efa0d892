"""One generation in the worker: read the prompt, write the reply.

The native library is behind the protocols `Llm` and `Sampler`, so what is here can be run with a
toy in its place.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from localagent.models import wire
from localagent.models.worker_prompt import PromptCache
from localagent.models.worker_template import BREAK, ChatTemplate, TemplateFailed, tokenize
from localagent.models.worker_text import ReplyText

HEARTBEAT = 5.0
"""Seconds after which progress inside one batch is reported, so that a slow one is not a hang."""

Send = Callable[[wire.Reply], None]
FinishReason = Literal["stop", "length", "cancelled"]


class RequestFailed(Exception):
    """A request that cannot be carried out; the worker stays usable."""

    def __init__(
        self,
        kind: Literal["load", "cancelled", "overflow", "backend"],
        message: str,
        hint: str = "",
        needed: int = 0,
        window: int = 0,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.hint = hint
        self.needed = needed
        self.window = window

    def reply(self, request_id: int) -> wire.Failure:
        """The message that tells the parent."""
        return wire.Failure(
            id=request_id,
            kind=self.kind,
            message=wire.clean(self.message),
            hint=self.hint,
            needed=self.needed,
            window=self.window,
        )


class Sampler(Protocol):
    """Chooses the next token."""

    def sample(self) -> int:
        """A token, by the logits of the last decoded one."""

    def close(self) -> None:
        """Free it."""


class Llm(Protocol):
    """A loaded model with one sequence of tokens in its KV cache."""

    @property
    def window(self) -> int:
        """The most tokens that the KV cache holds."""

    @property
    def batch(self) -> int:
        """The most tokens of one `decode`."""

    @property
    def template(self) -> ChatTemplate:
        """The model's chat template."""

    @property
    def begin(self) -> Sequence[int]:
        """The tokens that every prompt begins with: the BOS token, or none."""

    @property
    def fim(self) -> tuple[int, int, int] | None:
        """The tokens before prefix, suffix and middle, where the vocabulary has them."""

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """The tokens of `text`; texts of control tokens become these only where `special`."""

    def piece(self, token: int) -> bytes:
        """A token's bytes; none for a control token."""

    def is_end(self, token: int) -> bool:
        """Whether a token ends the reply."""

    def keep(self, count: int) -> bool:
        """Drop all but the first `count` tokens from the KV cache; False: it had to drop all."""

    def read(self, tokens: Sequence[int], interrupted: Callable[[], bool]) -> bool:
        """Decode at most `batch` tokens; False where `interrupted` (asked often) ended it."""

    def step(self, token: int) -> None:
        """Decode one token."""

    def sampler(self, request: wire.Generate) -> Sampler:
        """A sampler for a request. Raises RequestFailed for a bad grammar."""


class Generator:
    """Carries out generations, one after another, on one model."""

    def __init__(self, llm: Llm) -> None:
        self._llm = llm
        self._cache = PromptCache()

    def count(self, text: str) -> int:
        """The number of tokens of a plain text."""
        return len(self._llm.tokenize(text, special=False))

    def render(self, request: wire.Render) -> wire.Rendered:
        """The text of a conversation, and the number of tokens that it is."""
        text = self._render(request.messages, request.reply_start)
        tokens = len(self._tokens(text, True))
        return wire.Rendered(id=request.id, text=text.replace(BREAK, ""), tokens=tokens)

    def run(
        self, request: wire.Generate, send: Send, cancelled: Callable[[], bool]
    ) -> wire.Finished:
        """Carry out a generation; `send` gets what comes before its end. Raises RequestFailed."""
        began = time.monotonic()
        tokens = self._prompt(request)
        wanted = min(1, request.max_tokens)
        if len(tokens) + wanted > self._llm.window:
            needed = len(tokens) + wanted
            raise RequestFailed("overflow", "", needed=needed, window=self._llm.window)
        sampler = self._llm.sampler(request) if wanted else None
        try:
            # The last token is read again even where it is held, because its logits are wanted.
            reused = self._keep(min(self._cache.held, max(0, len(tokens) - wanted)))
            read = self._read(request, tokens, reused, send, cancelled)
            decoding = time.monotonic()
            written = 0
            reason: FinishReason = "length" if read else "cancelled"
            if read and sampler is not None:
                written, reason = self._write(request, sampler, send, cancelled)
        except RequestFailed:
            self._keep(0)
            raise
        finally:
            if sampler is not None:
                sampler.close()
        return wire.Finished(
            id=request.id,
            reason=reason,
            prompt_tokens=len(tokens),
            reused_tokens=reused,
            completion_tokens=written,
            prefill_seconds=decoding - began,
            decode_seconds=time.monotonic() - decoding,
        )

    def _read(
        self,
        request: wire.Generate,
        tokens: Sequence[int],
        reused: int,
        send: Send,
        cancelled: Callable[[], bool],
    ) -> bool:
        """Read `tokens` from `reused` on; False where it was cancelled.

        The last token is read by itself: then the first logits come from the same arithmetic
        whether the tokens before it were read now or held, and asking the same again gives the
        same reply.
        """
        total, done = len(tokens), reused
        heard = time.monotonic()

        def report() -> None:
            nonlocal heard
            heard = time.monotonic()
            send(wire.Reading(id=request.id, done=done, total=total, reused=reused))

        def interrupted() -> bool:
            if time.monotonic() - heard > HEARTBEAT:
                report()
            return cancelled()

        report()
        while done < total:
            end = min(done + self._llm.batch, max(total - 1, done + 1))
            if cancelled() or not self._llm.read(tokens[done:end], interrupted):
                self._keep(done)
                return False
            done = self._cache.held = end
            if done != total - 1:
                report()
        return True

    def _write(
        self,
        request: wire.Generate,
        sampler: Sampler,
        send: Send,
        cancelled: Callable[[], bool],
    ) -> tuple[int, FinishReason]:
        """Write the reply; return the number of its tokens and why it ended."""
        llm, text = self._llm, ReplyText((*request.stop, *self._llm.template.stop))
        room = min(request.max_tokens, llm.window - self._cache.held)
        tokens: list[int] = []
        reason: FinishReason = "length"
        while True:
            if cancelled():
                reason = "cancelled"
                break
            token = sampler.sample()
            if llm.is_end(token):
                reason = "stop"
                break
            tokens.append(token)
            piece = text.add(llm.piece(token))
            if piece:
                send(wire.Text(id=request.id, text=piece))
            if text.stopped:
                reason = "stop"
                break
            if len(tokens) >= room:
                break
            llm.step(token)
            self._cache.held += 1
        rest = text.finish()
        if rest:
            send(wire.Text(id=request.id, text=rest))
        content = llm.template.content
        self._cache.reply(tokens, text.text, text.ends, len(text.sent), content)
        return len(tokens), reason

    def _keep(self, count: int) -> int:
        """Keep the first `count` tokens in the KV cache, if that can be; how many are left."""
        self._cache.held = count if self._llm.keep(count) else 0
        return self._cache.held

    def _prompt(self, request: wire.Generate) -> list[int]:
        if request.infill is None:
            text = self._render(request.messages, request.reply_start)
            return self._cache.prompt(text, self._tokens)
        if self._llm.fim is None:
            raise RequestFailed(
                "backend",
                "the model was not trained to fill in the middle",
                "choose a model whose profile says fim = true",
            )
        before, after, middle = self._llm.fim
        plain = [
            self._llm.tokenize(part, special=False)
            for part in (request.infill.prefix, request.infill.suffix, request.reply_start)
        ]
        tokens = [*self._llm.begin, before, *plain[0], after, *plain[1], middle, *plain[2]]
        self._cache.raw_prompt(tokens)
        return tokens

    def _render(self, messages: Sequence[wire.ChatMessage], reply_start: str) -> str:
        try:
            return self._llm.template.render(messages, reply_start)
        except TemplateFailed as error:
            raise RequestFailed("backend", str(error)) from None

    def _tokens(self, text: str, first: bool) -> list[int]:
        """The tokens of a rendered text; `first` says that the prompt begins with it."""
        tokens = tokenize(text, lambda part: self._llm.tokenize(part, special=True))
        # Most templates write the BOS token themselves, where the model has one.
        begin = list(self._llm.begin) if first else []
        return tokens if tokens[: len(begin)] == begin else begin + tokens
