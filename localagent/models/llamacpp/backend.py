"""The llama.cpp backend: a model in a child process that may die without harm.

The process starts at the first request (or with `start`), and again after its death. A request
whose process dies before any text came is tried once more. After a crash in its first step, the
next process runs without the library's extra buffer types: some builds have them wrong (a
compiler's bug on CPUs with AMX). docs/adr/0002-worker-process.md has the reasons.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from localagent.core.errors import BackendError, Interrupted, ModelLoadError, WorkerDied
from localagent.core.paths import cache_dir, state_dir
from localagent.models import BackendSettings
from localagent.models.base import (
    Chunk,
    Finish,
    Infill,
    KvType,
    ModelInfo,
    ModelWarning,
    Prompt,
    RawText,
    Reading,
    Request,
    Text,
    TokenizedPrompt,
    Usage,
    only,
)
from localagent.models.catalog import verification
from localagent.models.catalog.lock import ModelEntry
from localagent.models.gguf import GgufError
from localagent.models.llamacpp import protocol
from localagent.models.llamacpp.client import Stopped, WorkerLink, WorkerOptions
from localagent.models.llamacpp.memory_plan import BATCH, plan_for_file
from localagent.models.llamacpp.process import usable_gpus, worker_command

SILENCE = 120.0
"""Seconds of silence after which the worker counts as hung. It reports every few seconds while it
loads and reads, and each token that it writes."""

KEEP = 3.0
"""Seconds that closing may take for writing the KV cache: at 100 MB a second, 10,000 tokens."""

KV_BYTES = 2 << 30
"""Most bytes of all KV caches on disk: some 70,000 tokens of the default model."""


def _unchecked() -> None:
    """The check for a file that nothing pins."""


class LlamaCpp:
    """A GGUF model, run by llama.cpp in a process of its own; implements `base.Model`.

    `parts` are the further files of a model in several files. `window` is in tokens (default: the
    profile's). `threads` 0 means one for each physical core.
    `gpu_layers` None leaves the choice to the library; the experts of the first `cpu_experts`
    layers stay off the GPU. `kv_type` "q8_0" needs `flash`: attention
    that does not store its scores. `swa_full` keeps all tokens in layers with a sliding window.
    `kv_bytes` limits the KV caches on disk, 0 stores none. `drafts`
    allows guessed tokens, which are checked. `nice` is added to the niceness of the process.
    `silence` is in seconds. `command` starts another worker with the same protocol. `logs` and
    `cache` are the folders of the worker's logs and of the KV caches. `check` runs before each
    load, and raises if the file must not be loaded. `warnings` come with the first reply.

    One request runs at a time; a second one is a RuntimeError. Closing the generator cancels it.
    """

    def __init__(
        self,
        path: Path,
        info: ModelInfo,
        *,
        parts: Sequence[Path] = (),
        window: int | None = None,
        threads: int = 0,
        gpu_layers: int | None = None,
        cpu_experts: int = 0,
        use_extra_bufts: bool = True,
        batch: int = BATCH,
        kv_type: KvType = "f16",
        flash: bool = True,
        swa_full: bool = True,
        kv_bytes: int = KV_BYTES,
        drafts: bool = True,
        nice: int = 0,
        silence: float = SILENCE,
        command: Sequence[str] | None = None,
        logs: Path | None = None,
        cache: Path | None = None,
        check: Callable[[], None] = _unchecked,
        warnings: Sequence[str] = (),
    ) -> None:
        self._info = info
        self._drafts = drafts
        load = protocol.Load(
            path=os.fsencode(path.resolve()),
            parts=tuple(os.fsencode(part.resolve()) for part in parts),
            window=info.profile.window if window is None else window,
            threads=threads,
            gpu_layers=gpu_layers,
            cpu_experts=cpu_experts,
            extra_bufts=use_extra_bufts,
            batch=batch,
            parallel=info.profile.parallel,
            kv_type=kv_type,
            flash=flash,
            swa_full=swa_full,
            nice=nice,
            form=info.form,
            variables=dict(info.profile.variables),
        )
        folder = (cache or cache_dir() / "kv").absolute()
        places = (
            str(folder) if kv_bytes else "",
            *(str(each.resolve()) for each in (path, *parts)),
        )
        options = WorkerOptions(
            load=load,
            check=check,
            sha256=info.sha256,
            kv_bytes=kv_bytes,
            kv_folder=folder,
            silence=silence,
            command=tuple(command or worker_command(*places)),
            logs=logs or state_dir() / "logs",
        )
        self._link = WorkerLink(options)
        self._link.warnings.extend(warnings)

    def __enter__(self) -> LlamaCpp:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def info(self) -> ModelInfo:
        """Who the model is."""
        return self._info

    @property
    def pid(self) -> int | None:
        """The worker's process id, or None while there is none."""
        return self._link.pid

    @property
    def uses_extra_bufts(self) -> bool:
        """Whether the extra buffer types are on; a crash in the first step turns them off."""
        return self._link.extra_bufts

    @property
    def network(self) -> str:
        """The network of the process: "none" (by the kernel), "open", or "" before its start."""
        return self._link.network

    def start(self) -> None:
        """Start to load the model in the background. Raises ModelLoadError, and as `check`."""
        self._link.start()

    def count(self, text: str) -> int:
        """Count the tokens of `text` as plain text. Raises as `generate` does."""
        text = protocol.clean(text)
        reply = self._ask(lambda request_id: protocol.CountText(id=request_id, text=text))
        assert isinstance(reply, protocol.TokenCount)
        return reply.tokens

    def tokenize(self, request: Request) -> TokenizedPrompt:
        """Return the prompt as the model reads it, with the tokens that it has read and written
        before, as `generate` would. Raises as `generate` does."""
        cleaned = _for_worker(request)
        reply = self._ask(lambda request_id: protocol.Tokenize(id=request_id, request=cleaned))
        assert isinstance(reply, protocol.TokenizeReply)
        return reply.prompt

    def generate(self, request: Request) -> Iterator[Chunk]:
        """Generate a reply as a stream that ends with one `Finish`.

        Raises WorkerDied, WorkerHung, ModelLoadError and ContextOverflow; BackendError for a broken
        grammar or template.
        """
        return only(self.generate_all([request]))

    def generate_all(self, requests: Sequence[Request]) -> Generator[tuple[int, Chunk], None, None]:
        """Generate replies side by side, at most `profile.parallel` at a time; as `generate`."""
        with self._link.turn():
            try:
                wrote = False
                for place, chunk in self._attempt(requests):
                    wrote = wrote or isinstance(chunk, Text | Finish)
                    yield place, chunk
                return
            except WorkerDied as error:
                if wrote:
                    raise
                self._warn_of_restart(error)
            yield from self._attempt(requests)

    def keep(self) -> int:
        """Store the KV cache of the latest prompt that `continues` on disk, for the next process.

        Returns the number of stored tokens. That is 0 if no model is loaded, a generation runs, or
        the process is dead. After KEEP seconds the process ends, and the result is 0 too.
        """
        if self._link.facts is None or self._link.busy:
            return 0
        with self._link.turn():
            try:
                self._link.request(lambda request_id: protocol.SaveKv(id=request_id))
                self._link.hurry(KEEP)
                reply = self._link.reply()
            except (BackendError, Stopped):
                return 0  # a convenience only
        return reply.tokens if isinstance(reply, protocol.TokenCount) else 0

    def cancel(self, place: int | None = None) -> None:
        """Stop the running generation within a second, or only the reply to one request of it."""
        if place is None:
            self._link.cancel()
        else:
            self._link.cancel_run(place)

    def close(self) -> None:
        """Store the KV cache for a later session, and end the process. No other call may follow."""
        self.keep()
        self._link.close()

    def _attempt(self, requests: Sequence[Request]) -> Iterator[tuple[int, Chunk]]:
        """One try of a generation."""
        replies = [_ReplyState(request) for request in requests]
        cleaned = tuple(map(_for_worker, requests))
        yield from self._warnings()
        try:
            self._link.request(
                lambda request_id: protocol.Generate(
                    id=request_id, requests=cleaned, drafts=self._drafts
                )
            )
            yield from self._warnings()
            while not isinstance(reply := self._link.reply(), protocol.Done):
                if (
                    not isinstance(reply, protocol.ChunkReply)
                    or reply.run >= len(replies)
                    or replies[reply.run].ended
                ):
                    raise self._link.give_up("it answered what it was not asked")
                if not replies[reply.run].accepts(reply.chunk):
                    raise self._link.give_up("it wrote more than it was asked for")
                yield reply.run, reply.chunk
        except Stopped:
            for place, state in enumerate(replies):
                if not state.ended:
                    yield place, Finish("cancelled", state.usage)

    def _ask(self, make: Callable[[int], protocol.Request]) -> protocol.Reply:
        """Make a request with one reply, and retry it once if the worker dies."""
        with self._link.turn():
            try:
                return self._one_reply(make)
            except WorkerDied as error:
                self._warn_of_restart(error)
            return self._one_reply(make)

    def _one_reply(self, make: Callable[[int], protocol.Request]) -> protocol.Reply:
        try:
            self._link.request(make)
            return self._link.reply()
        except Stopped:
            raise Interrupted("stopped") from None

    def _warn_of_restart(self, error: WorkerDied) -> None:
        if not self._link.warnings:
            self._link.warnings.append(f"{error.message}; it was restarted")

    def _warnings(self) -> Iterator[tuple[int, ModelWarning]]:
        while self._link.warnings:
            yield 0, ModelWarning(self._link.warnings.pop(0))


class _ReplyState:
    """How far the reply to one request is."""

    def __init__(self, request: Request) -> None:
        # Pieces: one a token, two where a thought ends, and the rest that was held back.
        self._most = request.max_tokens + request.think + 2
        self._pieces = 0
        self.usage = Usage()
        self.ended = False

    def accepts(self, chunk: Chunk) -> bool:
        """Take note of a chunk; False for more text than was asked for."""
        if isinstance(chunk, Reading):
            self.usage = Usage(chunk.total, chunk.reused)
        elif isinstance(chunk, Finish):
            self.ended = True
        else:
            self._pieces += 1
            self.usage = replace(self.usage, completion_tokens=self._pieces)
        return self._pieces <= self._most


def _for_worker(request: Request) -> Request:
    """The request as the worker takes it: choices as a grammar, texts that JSON can carry."""
    clean, grammar = protocol.clean, request.grammar
    if request.choices:  # GBNF's strings escape as JSON's do
        options = (json.dumps(choice, ensure_ascii=False) for choice in request.choices)
        grammar = "root ::= " + " | ".join(options)
    return replace(
        request,
        prompt=_clean_prompt(request.prompt),
        stop=tuple(map(clean, request.stop)),
        seed=request.seed % 2**32,
        grammar=None if grammar is None else clean(grammar),
        choices=(),
        reply_start=clean(request.reply_start),
        tools=clean(request.tools),
    )


def _clean_prompt(prompt: Prompt) -> Prompt:
    clean = protocol.clean
    if isinstance(prompt, Infill):
        return Infill(clean(prompt.prefix), clean(prompt.suffix))
    if isinstance(prompt, RawText):
        return replace(prompt, text=clean(prompt.text))
    return [replace(m, content=clean(m.content), thought=clean(m.thought)) for m in prompt]


def open_model(entry: ModelEntry, info: ModelInfo, settings: BackendSettings) -> LlamaCpp:
    """Open the model file of an entry, once it is verified; `models.BACKENDS` names this function.

    The memory plan may shrink the window. Raises ModelNotInstalled, ModelFileError, ModelLoadError.
    """
    file = verification.VerifiedFile(entry)
    gpus = usable_gpus()
    try:
        plan = plan_for_file(
            (file.path, *file.parts),
            info.profile,
            threads=settings.threads,
            gpu_layers=settings.gpu_layers,
            memory=settings.memory_bytes,
            gpus=gpus,
        )
    except GgufError as error:
        raise ModelLoadError(
            f"cannot load {file.path.name}: {error}", f"localagent models verify {entry.id}"
        ) from None
    profile = replace(info.profile, window=plan.window, parallel=plan.parallel)
    return LlamaCpp(
        file.path,
        replace(info, profile=profile),
        parts=file.parts,
        threads=settings.threads,
        gpu_layers=plan.gpu_layers if gpus else settings.gpu_layers,
        cpu_experts=plan.cpu_experts,
        batch=plan.batch,
        kv_type=plan.kv_type,
        flash=plan.flash,
        swa_full=plan.swa_full,
        kv_bytes=settings.kv_cache_bytes,
        nice=settings.nice,
        silence=settings.silence_seconds,
        check=file.again,
        warnings=[plan.reasons[0]] if plan.window < info.profile.window else [],
    )
