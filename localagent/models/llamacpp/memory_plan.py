"""What of a model fits into this machine: its window, its KV cache, its layers on a GPU.

`plan` is a pure function of the model (`Shape`), the request (`MemoryRequest`) and the machine
(`Machine`). If not everything fits, it gives up in this order: the window, step by step, down to
4,096 tokens; the precision of the KV cache; the batch and the rest of the window.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from localagent.core.errors import ModelLoadError
from localagent.models import split_files
from localagent.models.base import KvType, Profile
from localagent.models.gguf import Header
from localagent.models.layer_state import LayerState
from localagent.models.llamacpp.hardware import Gpu, Machine, gigabytes, this_machine

SMALLEST = 1024
"""The smallest useful window, in tokens; a profile may not have less."""

ROOMY = 4096
"""The window that stays at full precision if possible: a file, its tests and a reply."""

KV_SIZE: dict[KvType, float] = {"f16": 1.0, "q8_0": 34 / 64}
"""Bytes for each byte of f16: in q8_0, 32 numbers take 34 bytes instead of 64."""

BATCH = 256
"""Tokens per batch of a prompt. Measured on two CPUs: more than 128 gains a few percent; fewer make
the progress smoother."""

GPU_BATCH, SMALL_BATCH = 512, 64
"""llama.cpp's default, which suits a GPU, and a size that saves memory."""

PROCESS = 128 << 20
"""Other bytes of the worker: Python, the library, the vocabulary."""

NARROW = 4
"""Replies side by side without a GPU or AMX, which make the rows of one step cheap. Measured on
two cores with AVX-512: 1 row 26 tokens a second, 4 rows 38, 8 rows 33, 16 rows 49, so more than 4
only delay the first reply."""

IDLE, IDLE_STATES = 16, 2
"""Sequences for earlier prompts, of models that rewind and of those that do not."""

CHECKPOINTS = 8
"""States of a model that does not rewind, which are kept to go back to. One of a model of 35B-A3B
has about 80 MiB."""

_STEP = 256  # llama.cpp rounds a KV cache up to this many tokens
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Shape:
    """The facts of a model that decide on memory. `kept` is what its layers keep of tokens.

    `kv_quantizable` says that llama.cpp can store the cache in blocks of 32 numbers.
    """

    file_bytes: int
    layers: int
    heads: int
    kept: LayerState
    kv_quantizable: bool
    trained_window: int
    embedding: int
    vocabulary: int
    parameters: int
    expert_bytes: int = 0


@dataclass(frozen=True, slots=True)
class MemoryRequest:
    """A window in tokens, the number of replies side by side, and two settings of the user.

    `threads` 0 and `gpu_layers` None mean: not set.
    """

    window: int
    parallel: int = 1
    threads: int = 0
    gpu_layers: int | None = None


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """How to load a model. `weights`, `kv` and `compute` are bytes, wherever they are.

    `swa_full` says that layers with a sliding window keep all tokens, so that a prompt may go back.
    The experts of the first `cpu_experts` layers stay in the machine's memory.

    `host` and `gpu` are bytes in the machine's memory and in the GPUs'. `gpu_layers` counts the
    output as a layer, so it is one more than the model's layers if all is on the GPU. `parallel` is
    the number of replies side by side. `reasons` explain the plan to the user, line by line.
    """

    window: int
    kv_type: KvType
    flash: bool
    swa_full: bool
    batch: int
    parallel: int
    threads: int
    gpu_layers: int
    cpu_experts: int
    weights: int
    kv: int
    compute: int
    host: int
    gpu: int
    reasons: tuple[str, ...]


def shape(header: Header) -> Shape:
    """The facts of a file's header that decide on memory."""
    return Shape(
        file_bytes=header.size,
        layers=header.layers,
        heads=header.heads,
        kept=LayerState(
            header.kv_bytes_per_token,
            header.sliding_bytes_per_token,
            header.sliding_window,
            header.state_bytes,
        ),
        kv_quantizable=header.key_length % 32 == 0 and header.value_length % 32 == 0,
        trained_window=header.context_length,
        embedding=header.embedding,
        vocabulary=header.vocabulary,
        parameters=header.parameters,
        expert_bytes=header.expert_bytes,
    )


def cells(window: int, parallel: int) -> int:
    """The tokens of the KV cache: a whole window, and room for other replies' ends."""
    return window + (min(window, ROOMY) if parallel > 1 else 0)


def sequences(parallel: int, *, rewinds: bool) -> int:
    """The sequences of the KV cache: one for each reply, and others for earlier prompts.

    A sequence of a model that does not rewind takes memory whatever its length, for its state.
    """
    return parallel + (IDLE if rewinds else IDLE_STATES)


def cache_bytes(
    kept: LayerState, window: int, parallel: int, batch: int, kv_type: KvType, *, swa_full: bool
) -> int:
    """The size of the KV cache, with recurrent states and the checkpoints to go back to."""
    tokens = short = _steps(cells(window, parallel))
    texts, checkpoints = sequences(parallel, rewinds=False), 0
    if not swa_full:
        short = min(tokens, _steps(texts * kept.sliding_window + batch))
        checkpoints = CHECKPOINTS * kept.sliding_window
    whole = tokens * (kept.kv_bytes_per_token - kept.sliding_bytes_per_token)
    sliding = (short + checkpoints) * kept.sliding_bytes_per_token
    states = (texts + CHECKPOINTS) * kept.state_bytes
    return int((whole + sliding) * KV_SIZE[kv_type]) + states


def _steps(tokens: int) -> int:
    """A number of tokens as llama.cpp rounds it up."""
    return -(-tokens // _STEP) * _STEP


def plan(model: Shape, request: MemoryRequest, machine: Machine) -> MemoryPlan:
    """Make the best plan that fits. Raises ModelLoadError, with the numbers, if none does."""
    wanted = min(request.window, model.trained_window or request.window)
    budget = None if machine.free is None else machine.free - _reserve(machine.free)
    need = None
    request = replace(request, parallel=_parallel(request.parallel, machine))
    for way in _tries(model, wanted, machine):
        need = _Need(model, way, request, machine)
        if budget is None or need.host <= budget:
            return _plan(need, wanted)
    assert need is not None and machine.free is not None
    raise _refusal(need, machine.free)


def _reserve(free: int) -> int:
    """Bytes that are left to other programs, such as the tests that localagent runs."""
    return min(512 * _MIB, free // 10)


def _parallel(wanted: int, machine: Machine) -> int:
    """Replies side by side: few where each row of a step costs nearly as much as the first."""
    return wanted if machine.gpus or machine.tiles else min(wanted, NARROW)


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to load a model."""

    window: int
    kv_type: KvType
    batch: int
    flash: bool = True
    swa_full: bool = True


def _tries(model: Shape, wanted: int, machine: Machine) -> Iterator[_Way]:
    """The ways to load a model, the best first.

    A CPU stores the scores of attention, which is faster: with 3,000 tokens in the cache by 1.3
    for four replies, and by 1.2 for one. Layers with a sliding window keep all tokens if memory
    allows; otherwise a prompt goes back to checkpoints only.
    """
    steps = list(_windows(wanted))
    roomy = [window for window in steps if window >= min(ROOMY, wanted)]
    batch = GPU_BATCH if machine.gpus else BATCH
    kinds = (True,) if machine.gpus else (False, True)
    whole = not model.kept.sliding_window
    for window in roomy:
        yield from (_Way(window, "f16", batch, flash) for flash in kinds)
        if not whole:
            yield _Way(window, "f16", batch, swa_full=False)
    least: KvType = "f16"
    if model.kv_quantizable:
        least = "q8_0"
        yield from (_Way(window, "q8_0", batch, swa_full=whole) for window in roomy)
    smallest = (window for window in steps if window <= roomy[-1])
    yield from (_Way(window, least, SMALL_BATCH, swa_full=whole) for window in smallest)


def _windows(wanted: int) -> Iterator[int]:
    """Windows from the wanted one down to the smallest, each about three quarters of the last."""
    window = wanted
    while window > SMALLEST:
        yield window
        window = window * 3 // 4 // _STEP * _STEP
    yield min(wanted, SMALLEST)


class _Need:
    """The memory that one way to load a model takes, in bytes."""

    def __init__(
        self,
        model: Shape,
        way: _Way,
        request: MemoryRequest,
        machine: Machine,
    ) -> None:
        self.model, self.request, self.machine, self.way = model, request, machine, way
        tokens = _steps(cells(way.window, request.parallel))
        self.kv = cache_bytes(
            model.kept,
            way.window,
            request.parallel,
            way.batch,
            way.kv_type,
            swa_full=way.swa_full,
        )
        # Compared with llama.cpp's own "compute buffer size" for the default model: 151.4 MiB at
        # a batch of 256, 37.8 at 64, whatever the window; this gives 164.5 and 41.2. The logits
        # of a whole batch are the bulk of it; then the mask, and the logits that are kept. The
        # scores, where they are kept, take the same place: 166.6 MiB with 12,288 tokens.
        scores = 0 if way.flash else model.heads * tokens
        wide = max(model.vocabulary, scores)
        rows = way.batch * 4 * (wide + 8 * model.embedding) + 2 * way.batch * tokens
        self.compute = rows + request.parallel * 4 * model.vocabulary
        self.cpu_experts = 0
        self.gpu_layers = self._gpu_layers()
        share = min(self.gpu_layers, model.layers) / model.layers if model.layers else 0.0
        moved = int((self.layer_bytes * model.layers + self.kv) * share)
        moved -= self.cpu_experts * self.experts_of_layer
        if self.gpu_layers > model.layers:
            moved += self.output_bytes
        self.gpu = moved + self.compute if self.gpu_layers else 0
        saved = 0 if self._unified else moved
        self.host = model.file_bytes + self.kv + self.compute + PROCESS - saved

    @property
    def _unified(self) -> bool:
        """Whether the GPUs use the machine's memory."""
        return any(gpu.unified for gpu in self.machine.gpus)

    @property
    def output_bytes(self) -> int:
        """Of the weights that turn the last layer into tokens."""
        model = self.model
        if not model.parameters:
            return 0
        part = model.vocabulary * model.embedding / model.parameters
        return int(model.file_bytes * min(1.0, part))

    @property
    def layer_bytes(self) -> int:
        """Of one layer's weights."""
        return (self.model.file_bytes - self.output_bytes) // max(1, self.model.layers)

    @property
    def experts_of_layer(self) -> int:
        """Bytes of the experts of one layer."""
        return self.model.expert_bytes // max(1, self.model.layers)

    def _gpu_layers(self) -> int:
        """As many layers as the GPUs have room for, the output last; or as the request says.

        Experts are the most of a model, and each token needs few of them. If some of them must stay
        in the machine's memory, everything else may still fit on the GPUs.
        """
        model, gpus = self.model, self.machine.gpus
        if not gpus or not model.layers:
            return 0
        if self.request.gpu_layers is not None:
            return min(self.request.gpu_layers, model.layers + 1)
        each = self.layer_bytes + self.kv // model.layers
        rooms = [self._room(gpu) for gpu in gpus]
        fitting = sum(room // max(1, each) for room in rooms)
        experts = self.experts_of_layer
        left = sum(rooms) - model.layers * (each - experts) - self.output_bytes
        if fitting < model.layers and experts and left >= 0 and not self._unified:
            self.cpu_experts = max(1, model.layers - left // experts)
            return model.layers + 1
        if fitting < model.layers:
            return fitting
        return model.layers + (sum(rooms) - model.layers * each >= self.output_bytes)

    def _room(self, gpu: Gpu) -> int:
        """Bytes for layers on one GPU, without its buffers and a reserve for other programs."""
        return max(0, gpu.free - _reserve(gpu.free) - self.compute)


def _plan(need: _Need, wanted: int) -> MemoryPlan:
    threads = need.request.threads or need.machine.cores
    return MemoryPlan(
        window=need.way.window,
        kv_type=need.way.kv_type,
        flash=need.way.flash,
        swa_full=need.way.swa_full,
        batch=need.way.batch,
        parallel=need.request.parallel,
        threads=threads,
        gpu_layers=need.gpu_layers,
        cpu_experts=need.cpu_experts,
        weights=need.model.file_bytes,
        kv=need.kv,
        compute=need.compute,
        host=need.host,
        gpu=need.gpu,
        reasons=tuple(_reasons(need, wanted, threads)),
    )


def _reasons(need: _Need, wanted: int, threads: int) -> Iterator[str]:
    asked = need.request.window
    window = f"window: {need.way.window:,} tokens"
    if need.way.window < wanted:
        window += f" instead of {wanted:,}, for which memory is too short"
    elif wanted < asked:
        window += f" instead of {asked:,}, as the model was made for no more"
    yield window
    cache = f"KV cache: {gigabytes(need.kv)} ({need.way.kv_type})"
    short = "; more precise numbers do not fit" if need.way.kv_type != "f16" else ""
    parallel = need.request.parallel
    shared = f", shared by up to {parallel} parallel replies" if parallel > 1 else ""
    yield cache + shared + short
    if states := need.model.kept.state_bytes:
        yield f"recurrent layers: a state of {gigabytes(states)} for each text, with checkpoints"
    elif not need.way.swa_full:
        yield "sliding windows: only their last tokens are kept, with checkpoints"
    buffers = gigabytes(need.compute)
    yield f"batch: {need.way.batch} tokens are read at a time, in buffers of {buffers}"
    if need.request.parallel > 1:
        yield f"side by side: {need.request.parallel} replies"
    why = "as set" if need.request.threads else "one for each physical core"
    yield f"threads: {threads}, {why}"
    yield _about_gpu(need)
    memory = f"memory: about {gigabytes(need.host)} with weights of "
    memory += gigabytes(need.model.file_bytes)
    free = need.machine.free
    yield memory + (
        "; free memory is unknown"
        if free is None
        else f"; {gigabytes(free)} are free, {gigabytes(_reserve(free))} of it for other programs"
    )


def _about_gpu(need: _Need) -> str:
    gpus = need.machine.gpus
    if not gpus:
        return "GPU: none that this llama.cpp can use"
    names = ", ".join(f"{gpu.name} ({gigabytes(gpu.free)} free)" for gpu in gpus)
    layers = need.model.layers
    if need.cpu_experts:
        left = f"the experts of {need.cpu_experts} of {layers} layers"
        return f"GPU: the model on {names}, but {left} in the machine's memory"
    if need.gpu_layers > layers:
        return f"GPU: the whole model on {names}"
    why = "as set" if need.request.gpu_layers is not None else "as memory allows"
    return f"GPU: {need.gpu_layers} of {layers} layers, {why}, on {names}"


def _refusal(need: _Need, free: int) -> ModelLoadError:
    weights = gigabytes(need.model.file_bytes)
    return ModelLoadError(
        "the model does not fit into this machine's memory: even with a window of "
        f"{need.way.window:,} tokens it needs about {gigabytes(need.host)} ({weights} "
        f"for its weights, {gigabytes(need.kv)} for the window, {gigabytes(need.compute)} to "
        f"compute), and {gigabytes(free)} are free, {gigabytes(_reserve(free))} of which other "
        "programs need",
        "close other programs, or choose a smaller model: localagent models list",
    )


def plan_for_file(
    paths: Sequence[Path],
    profile: Profile,
    *,
    threads: int = 0,
    gpu_layers: int | None = None,
    memory: int | None = None,
    gpus: Sequence[Gpu] = (),
) -> MemoryPlan:
    """Plan how to load a model in one file or several, with its profile's window and replies.

    `memory` is the most bytes of the machine's memory that it may take. Raises ModelLoadError if it
    does not fit, GgufError or OSError for an unreadable file.
    """
    machine = this_machine(gpus)
    if memory is not None:
        free = memory if machine.free is None else min(memory, machine.free)
        machine = replace(machine, free=free)
    request = MemoryRequest(profile.window, profile.parallel, threads, gpu_layers)
    return plan(shape(split_files.read(paths)), request, machine)
