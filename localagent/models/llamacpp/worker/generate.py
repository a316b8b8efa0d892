"""Generations in the worker: prompts become tokens and are read, replies are written side by side.

The native library is behind the protocols of `interface`, so tests run this with a toy.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from localagent.models.alternatives import TokenOption, TokenPlace, dump_places
from localagent.models.base import (
    Finish,
    Infill,
    RawText,
    Reading,
    Request,
    Text,
    Thought,
    TokenizedPrompt,
)
from localagent.models.llamacpp import protocol
from localagent.models.llamacpp.worker.interface import BatchRow, Llm, RequestFailed
from localagent.models.llamacpp.worker.kv_files import KvFiles
from localagent.models.llamacpp.worker.kv_slots import Slot, Slots
from localagent.models.llamacpp.worker.prompt_lookup import Drafter
from localagent.models.llamacpp.worker.prompt_tokens import PromptTokens
from localagent.models.llamacpp.worker.run import ReplyRun

HEARTBEAT = 5.0
"""Seconds between reports inside one batch, so that a slow batch does not count as a hang."""

_MIN_STORED = 64  # tokens; less is read again faster than a file is found

BRANCHES = 16
"""Branches of a text that are written side by side, without regard to `parallel`: they share nearly
all cells. The default model writes 40 tokens a second in 4 rows, and 61 in 16."""

LOGIT_ROWS = 32
"""Rows of a step whose logits are all wanted: as many as the longest draft has, so that they take
no more memory. The logits of 150,000 tokens take 0.6 MB a row."""

MOST_OPTIONS = 16
"""Most tokens that are reported for one place, so that a reply fits into a message."""

Send = Callable[[protocol.Reply], None]
Cancelled = Callable[[int], bool]
"""Whether the run at this place of the request is cancelled."""


class Generator:
    """Carries out requests, one after another, on one model.

    `threads` returns the number of threads to use now. `files` store the KV cache on disk. `clock`,
    in seconds, measures the steps, to decide whether guessed tokens pay.
    """

    def __init__(
        self,
        llm: Llm,
        files: KvFiles | None = None,
        threads: Callable[[], int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._llm = llm
        self._clock = clock
        self._slots = Slots(llm, files)
        self._prompts = PromptTokens(llm, self._slots)
        self._drafter = Drafter()
        self._drafts = True
        self._threads = threads
        self._used_threads = 0

    def count(self, text: str) -> int:
        """Count the tokens of a plain text."""
        return len(self._llm.tokenize(text, special=False))

    def tokenize(self, request: Request) -> TokenizedPrompt:
        """See `PromptTokens.detailed`."""
        return self._prompts.detailed(request)

    def keep(self) -> int:
        """Store the latest prompt that continues, with its reply; return the number of tokens."""
        slot = self._slots.latest
        if slot is None or slot.busy or slot.held < _MIN_STORED:
            return 0
        self._slots.store_checkpoint(slot)
        return self._slots.store(slot, slot.held)

    def run(self, request: protocol.Generate, send: Send, cancelled: Cancelled) -> protocol.Done:
        """Carry out a request; `send` gets the chunks. Raises RequestFailed."""
        runs: list[ReplyRun] = []
        try:
            for place, one in enumerate(request.requests):
                runs.append(self._new_run(place, one))
            self._drafts = request.drafts
            self._carry_out(request.id, runs, send, cancelled)
        finally:
            for run in runs:
                if run.reason is None:  # an error has ended it
                    self._leave(run)
                    run.close()
        return protocol.Done(id=request.id)

    def _carry_out(
        self, request_id: int, runs: Iterable[ReplyRun], send: Send, cancelled: Cancelled
    ) -> None:
        waiting, active = deque(runs), list[ReplyRun]()
        most = self._llm.parallel
        if all(run.passes for run in waiting):
            most = max(most, min(BRANCHES, self._llm.sequences - most))
        while waiting or active:
            if waiting and len(active) < most:
                run = waiting.popleft()
                self._begin(request_id, run, send, cancelled)
                if run.crowded and active:  # it waits until others are over
                    most = len(active)
                    run.crowded = False
                    self._leave(run)
                    waiting.appendleft(run)
                    continue
                if run.crowded:
                    run.reason = "length"
                active.append(run)
            else:
                self._step(request_id, active, send, cancelled)
            for run in [run for run in active if run.reason is not None]:
                active.remove(run)
                self._end(request_id, run, send)

    def _new_run(self, place: int, request: Request) -> ReplyRun:
        """Make a run with the tokens of its prompt. Raises RequestFailed."""
        if not self._llm.template.form.thinks:
            request = replace(request, think=0)
        memory, opening = self._prompts.prompt(request)
        needed = len(memory.tokens) + min(1, request.max_tokens)
        if needed > self._llm.window:
            raise RequestFailed("overflow", "", needed=needed, window=self._llm.window)
        sampler = self._llm.sampler(request) if request.max_tokens else None
        return ReplyRun(place, request, memory, sampler, self._llm, opening)

    def _begin(self, request_id: int, run: ReplyRun, send: Send, cancelled: Cancelled) -> None:
        """Find a slot for a run and read its prompt.

        The first step decodes the prompt's last token, even if the slot holds it. So its logits
        come from the same arithmetic, whether the tokens before it were read or held.
        """
        if cancelled(run.place):
            run.reason = "cancelled"
            return
        began = time.monotonic()
        end = len(run.prompt) - min(1, run.request.max_tokens)
        lists, prompt = run.options > 0, run.request.prompt
        ends = self._prompts.detailed(run.request).ends if lists else ()
        first = _first_place(prompt, ends) if isinstance(prompt, RawText) else 1
        slot = self._slots.place(run.memory, max(0, first - 1) if lists else end, shares=run.passes)
        run.slot = slot
        run.reused = slot.held
        self._report(request_id, run, slot.held, send)
        if run.is_branch and slot.held < end:
            run.reason = "length"  # the text is gone, and reading it again costs more than it gives
            return
        for place, stores in self._stops(run, end):
            self._read(request_id, run, place, send, cancelled)
            if slot.held == place:
                self._slots.mark(slot)
                if stores:
                    self._slots.store(slot, place)
        if lists:
            self._read(request_id, run, first - 1, send, cancelled)
            if slot.held == first - 1:
                self._list_places(request_id, run, ends, send, cancelled)
        self._read(request_id, run, end, send, cancelled)
        if slot.held < end:
            run.reason = None if run.crowded else "cancelled"
            return
        self._report(request_id, run, len(run.prompt), send)
        if run.sampler is None:
            run.reason = "length"
        run.prefill_seconds = time.monotonic() - began

    def _stops(self, run: ReplyRun, end: int) -> Iterator[tuple[int, bool]]:
        """The places of a prompt to stop at while it is read, and whether to store the state.

        These are the end of the messages that begin every session and, for a model that does not
        rewind, the end of the last message: the next prompt may change what follows it.
        """
        assert run.slot is not None
        held, prompt, rewinds = run.slot.held, run.request.prompt, self._llm.rewinds
        if isinstance(prompt, Infill | RawText):
            if not rewinds:
                yield end, False
            return
        if run.request.fixed and (self._slots.keeps_files or not rewinds):
            fixed = self._prompts.prefix(run.request, prompt[: run.request.fixed], run.prompt)
            stores = fixed >= _MIN_STORED and self._slots.stores(run.prompt[:fixed])
            if fixed < end and (stores or (held < fixed and not rewinds)):
                yield fixed, stores
        if not rewinds:
            last = self._prompts.prefix(run.request, prompt, run.prompt)
            if held < last < end:
                yield last, False

    def _read(
        self, request_id: int, run: ReplyRun, end: int, send: Send, cancelled: Cancelled
    ) -> None:
        """Read the prompt up to token `end`; a cancellation stops before it."""
        slot = run.slot
        assert slot is not None
        heard = time.monotonic()

        def interrupted() -> bool:
            nonlocal heard
            if time.monotonic() - heard > HEARTBEAT:
                heard = time.monotonic()
                self._report(request_id, run, slot.held, send)
            return cancelled(run.place)

        while slot.held < end:
            stop = min(slot.held + self._llm.batch, end)
            rows = [BatchRow(run.prompt[n], n, slot.seq, False) for n in range(slot.held, stop)]
            if cancelled(run.place) or not self._decode(rows, [run], interrupted):
                return
            slot.held = stop
            if stop < len(run.prompt) - 1:
                heard = time.monotonic()
                self._report(request_id, run, stop, send)

    def _list_places(
        self,
        request_id: int,
        run: ReplyRun,
        ends: Sequence[int],
        send: Send,
        cancelled: Cancelled,
    ) -> None:
        """Read the rest of a raw text; send the likely tokens of each place that was read.

        `ends` are the ends of the text's tokens.
        """
        slot, prompt = run.slot, run.prompt
        assert slot is not None
        ends = (*ends, ends[-1])  # the place after the text is empty
        most = min(run.options, MOST_OPTIONS)
        places: list[TokenPlace] = []
        while slot.held < len(prompt):
            start = slot.held
            stop = min(start + min(LOGIT_ROWS, self._llm.batch), len(prompt))
            rows = [BatchRow(prompt[n], n, slot.seq, True) for n in range(start, stop)]
            if not self._decode(rows, [run], lambda: cancelled(run.place)):
                return
            slot.held = stop
            for n in range(start + 1, stop + 1):
                options = tuple(
                    TokenOption(token, self._llm.piece(token).decode("utf-8", "replace"), share)
                    for token, share in self._llm.likeliest(n - 1 - start, most)
                    if not self._llm.is_end(token)
                )
                places.append(TokenPlace(n, ends[n - 1], ends[n], options))
            self._report(request_id, run, stop, send)
        send(_chunk(request_id, run, Text(dump_places(places))))

    def _step(
        self, request_id: int, active: Sequence[ReplyRun], send: Send, cancelled: Cancelled
    ) -> None:
        """Write the next token of each run, or several of them."""
        for run in active:
            if cancelled(run.place):
                run.reason = "cancelled"
        active = [run for run in active if run.reason is None]
        if not active:
            return
        began = self._clock()
        drafts = [self._draft(run, alone=len(active) == 1) for run in active]
        rows: list[BatchRow] = []
        firsts: list[int] = []
        for run, draft in zip(active, drafts, strict=True):
            assert run.slot is not None
            firsts.append(len(rows))
            tokens = [run.pending, *draft]
            start = run.slot.held
            rows += [BatchRow(t, start + n, run.slot.seq, True) for n, t in enumerate(tokens)]
        if not self._decode(rows, active, None):
            active[-1].reason = "length"  # the window is full of the others
            return
        for run, draft, first in zip(active, drafts, firsts, strict=True):
            self._take(request_id, run, draft, first, send)
        seconds = self._clock() - began
        self._drafter.record_step(len(rows), seconds)
        for run in active:
            run.decode_seconds += seconds / len(active)

    def _take(
        self, request_id: int, run: ReplyRun, draft: Sequence[int], first: int, send: Send
    ) -> None:
        """Choose the next tokens: one after each draft token that was right.

        A choice that a step of one row might make differently is left to such a step.
        """
        slot, sampler = run.slot, run.sampler
        assert slot is not None and sampler is not None
        right = checked = 0
        run.alone = False
        for row in range(len(draft) + 1):
            if draft and not sampler.is_sure(first + row):
                run.alone = True
                break
            slot.held += 1
            token = run.choose(first + row)
            for chunk in run.take(token):
                send(_chunk(request_id, run, chunk))
            if row < len(draft):
                checked += 1
                right += token == draft[row]
            if run.reason is not None or row == len(draft) or token != draft[row]:
                break
        if draft:
            self._drafter.adapt(checked, right)
            self._llm.keep(slot.seq, slot.held)

    def _draft(self, run: ReplyRun, *, alone: bool) -> Sequence[int]:
        request = run.request
        greedy = request.temperature == 0 and not request.penalizes
        plain = self._drafts and self._llm.rewinds and request.grammar is None and greedy
        if not (alone and plain) or run.alone or run.thinking:
            return ()
        return self._drafter.draft(run.tokens, min(run.room, self._llm.batch) - 1)

    def _decode(
        self,
        rows: Sequence[BatchRow],
        runs: Sequence[ReplyRun],
        interrupted: Callable[[], bool] | None,
    ) -> bool:
        """Decode rows of `runs`.

        Returns False after an interruption, and if the KV cache has no room for a run.
        """
        self._adapt()
        while True:
            outcome = self._llm.decode(rows, interrupted)
            if outcome == "done":
                return True
            for run in runs:
                assert run.slot is not None
                if outcome == "stopped" or self._llm.rewinds:
                    self._slots.recover(run.slot)
            if outcome == "stopped":
                return False
            if not self._slots.give_up_one():
                runs[-1].crowded = True
                return False

    def _adapt(self) -> None:
        if self._threads is None:
            return
        wanted = self._threads()
        if wanted != self._used_threads:
            self._llm.use_threads(wanted)
            self._used_threads = wanted
            self._drafter.forget_times()

    def _report(self, request_id: int, run: ReplyRun, done: int, send: Send) -> None:
        send(_chunk(request_id, run, Reading(done, len(run.prompt), run.reused)))

    def _end(self, request_id: int, run: ReplyRun, send: Send) -> None:
        """Send the end of a run, and free its slot."""
        for chunk in run.end():
            send(_chunk(request_id, run, chunk))
        if run.slot is not None:
            self._forget_unsaid(run.slot)
            self._slots.free(run.slot)
            if run.passes:
                self._slots.clear(run.slot)  # so that branches push no other text out
            if run.request.continues:
                self._slots.latest = run.slot
        send(_chunk(request_id, run, run.finish))

    def _forget_unsaid(self, slot: Slot) -> None:
        """Drop held tokens that are not part of the reply (a stop sequence's)."""
        self._slots.keep(slot, min(slot.held, len(slot.memory.tokens)))

    def _leave(self, run: ReplyRun) -> None:
        """Take a run out of its slot, and clear the slot."""
        if run.slot is not None:
            self._slots.clear(run.slot)
            run.slot.busy = False
            run.slot = None


def _first_place(prompt: RawText, ends: Sequence[int]) -> int:
    """The first token of a raw text whose likely tokens are wanted; at least the second one."""
    wanted = (n for n in range(1, len(ends)) if ends[n - 1] >= prompt.start)
    return next(wanted, len(ends))


def _chunk(
    request_id: int, run: ReplyRun, chunk: Reading | Thought | Text | Finish
) -> protocol.ChunkReply:
    return protocol.ChunkReply(id=request_id, run=run.place, chunk=chunk)
