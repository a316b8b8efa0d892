"""The worker process: llama.cpp, behind the protocols of `interface`.

It starts as `python -m localagent.models.llamacpp.worker.llama`, with the places that
`serve.confine` names as arguments, and is the one module that imports llama_cpp. It uses the
low-level functions: the package's `Llama` class cannot turn the extra buffer types off, cannot stop
while it reads, and closes descriptors of the process.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from localagent.models.base import Request
from localagent.models.chat_templates.jinja import TemplateFailed
from localagent.models.layer_state import layer_state
from localagent.models.llamacpp import protocol
from localagent.models.llamacpp.hardware import (
    available_memory,
    cpu_buffer_type,
    find_gpus,
    gigabytes,
    load_plugins,
    physical_cores,
)
from localagent.models.llamacpp.memory_plan import cache_bytes, cells, sequences
from localagent.models.llamacpp.worker.chat_template import ChatTemplate
from localagent.models.llamacpp.worker.interface import BatchRow, Outcome, RequestFailed
from localagent.models.llamacpp.worker.sampler import (
    ChainSampler,
    GreedySampler,
    likeliest,
    logits_of,
)
from localagent.models.llamacpp.worker.serve import serve

_PROGRESS = 0.1  # seconds between two reports of loading
_OUTCOMES: dict[int, Outcome] = {0: "done", 1: "full", 2: "stopped"}


class LlamaLibrary:
    """The native library."""

    # The library stores the bare pointer only, and calls it for as long as the process lives.
    _log: ClassVar[Any] = None

    def __init__(self) -> None:
        # libgomp's threads spin while they wait for each other. On a busy machine they take the
        # core of the thread that they wait for. Measured on two cores with three other jobs: three
        # times the tokens per second; on an idle machine a tenth less.
        if "OMP_WAIT_POLICY" not in os.environ:
            os.environ.setdefault("GOMP_SPINCOUNT", "1000")
        # Not at the top: it takes a quarter of a second, and may start threads; `confine` must run
        # before that.
        import llama_cpp

        self.c: Any = llama_cpp
        self.version = f"llama-cpp-python {llama_cpp.__version__}"
        self._errors: list[str] = []
        LlamaLibrary._log = llama_cpp.llama_log_callback(self._on_log)
        llama_cpp.llama_log_set(self._log, ctypes.c_void_p(0))
        self._folder = Path(llama_cpp.__file__).parent / "lib"
        # A library that is built as plug-ins searches them in the current folder too.
        os.chdir(self._folder)
        load_plugins(self._folder)
        llama_cpp.llama_backend_init()
        self.gpus = find_gpus(self._folder)

    def load(
        self,
        request: protocol.Load,
        progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> LoadedModel:
        """Load a model and make its context."""
        # The memory plan knows which part of a model is on a GPU.
        free = None if self.gpus and request.gpu_layers != 0 else available_memory()
        paths = (request.path, *request.parts)
        size = sum(map(_file_size, paths))
        _check_memory(size, 0, free)
        parameters = self.c.llama_model_default_params()
        parameters.use_extra_bufts = request.extra_bufts
        if request.gpu_layers is not None:
            parameters.n_gpu_layers = request.gpu_layers
        overrides = _keep_experts(request.cpu_experts, self._folder)
        if request.cpu_experts:
            parameters.tensor_buft_overrides = ctypes.addressof(overrides)
        reported = 0.0

        def on_progress(done: float, _: object) -> bool:
            nonlocal reported
            if time.monotonic() - reported > _PROGRESS:
                reported = time.monotonic()
                progress(min(1.0, max(0.0, done)))
            return not cancelled()

        callback = self.c.llama_progress_callback(on_progress)
        parameters.progress_callback = callback
        pointer = self._open(paths, parameters, cancelled)
        try:
            model = Handle(self.c, pointer)
            window = request.window or model.trained_window or 4096
            cache = cache_bytes(
                layer_state(model.architecture, model.numbers),
                window,
                request.parallel,
                request.batch,
                request.kv_type,
                swa_full=request.swa_full,
            )
            _check_memory(size, cache, free)
            return LoadedModel(model, request, window)
        except RequestFailed:
            self.c.llama_model_free(pointer)
            raise

    def _open(self, paths: Sequence[bytes], parameters: Any, cancelled: Callable[[], bool]) -> int:
        """Open the files of a model. Raises RequestFailed with the message of the library."""
        for path in paths:
            _check_magic(path)
        self._errors.clear()
        names = (ctypes.c_char_p * len(paths))(*paths)
        pointer: int | None = self.c.llama_model_load_from_splits(names, len(paths), parameters)
        if pointer is not None:
            return pointer
        if cancelled():
            raise RequestFailed("cancelled", "loading was cancelled")
        said = [line for line in self._errors if "failed to load model" not in line]
        reason = said[-1].rpartition("error loading model: ")[2] if said else "no reason was given"
        raise RequestFailed(
            "load",
            f"cannot load {_name(paths[0])}: {reason}",
            "the file may be damaged (`localagent models verify --deep`) or made for a newer "
            "llama.cpp",
        )

    def _on_log(self, level: int, text: bytes, _: object) -> None:
        if level >= 3 and level != 5:  # GGML_LOG_LEVEL_WARN, _ERROR; 5 continues another line
            os.write(2, text)
        if level == 4:
            self._errors.append(text.decode("utf-8", "replace").strip())


class Handle:
    """A model of the library without a context: its metadata and its vocabulary."""

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

    def numbers(self, key: str) -> list[int]:
        """The numbers of a key of this architecture's metadata; 0 and 1 for truth values."""
        text = self.text(f"{self.architecture}.{key}").strip("[]")
        parts = [part.strip() for part in text.split(",")]
        parts = [{"true": "1", "false": "0"}.get(part, part) for part in parts]
        return [int(part) for part in parts if part.isdecimal()]

    @property
    def trained_window(self) -> int:
        return max(self.numbers("context_length"), default=0)

    def token_text(self, token: int) -> str:
        """The text of a token in the vocabulary, or "" where there is no such token."""
        if token < 0:
            return ""
        text: bytes = self.c.llama_vocab_get_text(self.vocab, token)
        return text.decode("utf-8", "replace")

    def special_tokens(self, **tokens: str) -> dict[str, int]:
        """The tokens that the vocabulary has, by their use; values are llama.cpp's names."""
        found = {
            name: int(getattr(self.c, f"llama_vocab_{function}")(self.vocab))
            for name, function in tokens.items()
        }
        return {name: token for name, token in found.items() if token >= 0}

    def fim_tokens(self) -> dict[str, int]:
        return self.special_tokens(prefix="fim_pre", suffix="fim_suf", middle="fim_mid")

    def controls(self) -> dict[str, bool]:
        """The texts of all control tokens, and whether each ends a reply."""
        c, vocab = self.c, self.vocab
        attribute = c.llama_vocab_get_attr
        wanted = c.LLAMA_TOKEN_ATTR_CONTROL | c.LLAMA_TOKEN_ATTR_UNKNOWN
        tokens = range(c.llama_vocab_n_tokens(vocab))
        found = [token for token in tokens if attribute(vocab, token) & wanted]
        return {self.token_text(t): bool(c.llama_vocab_is_eog(vocab, t)) for t in found}

    def template(self, request: protocol.Load) -> ChatTemplate:
        """Its chat template, compiled. Raises RequestFailed."""
        names = self.special_tokens(bos="bos", eos="eos")
        bos, eos = (self.token_text(names.get(name, -1)) for name in ("bos", "eos"))
        try:
            source, controls = self.text("tokenizer.chat_template"), self.controls()
            ends = [text for text, is_end in controls.items() if is_end]
            more = request.form, request.variables, ends
            return ChatTemplate(source, bos, eos, list(controls), *more)
        except TemplateFailed as error:
            raise RequestFailed("load", str(error)) from None


class LoadedModel:
    """A model with a context: its weights, and a KV cache whose cells sequences can share."""

    def __init__(self, handle: Handle, request: protocol.Load, window: int) -> None:
        self._handle = handle
        self._c = c = handle.c
        self._vocab = handle.vocab
        self._vocabulary = c.llama_vocab_n_tokens(handle.vocab)
        self.window, self.batch, self.parallel = window, request.batch, request.parallel
        recurrent = c.llama_model_is_recurrent(handle.model)
        self.slides = c.llama_model_n_swa(handle.model) > 0
        self._short = self.slides and not request.swa_full
        self.rewinds = not (recurrent or c.llama_model_is_hybrid(handle.model) or self._short)
        self.sequences = sequences(request.parallel, rewinds=self.rewinds)
        self.template = handle.template(request)
        bos = handle.special_tokens(bos="bos").get("bos")
        begins = bos is not None and c.llama_vocab_get_add_bos(handle.vocab)
        self.begin: Sequence[int] = [bos] if begins and bos is not None else []
        fim = handle.fim_tokens()
        self.fim = (fim["prefix"], fim["suffix"], fim["middle"]) if len(fim) == 3 else None
        threads = request.threads or physical_cores()
        self._context = self._make_context(threads, request)
        self._memory = c.llama_get_memory(self._context)
        self.facts = protocol.LoadReply(
            id=request.id,
            window=window,
            trained_window=handle.trained_window,
            threads=threads,
            extra_bufts=request.extra_bufts,
        )
        self._interrupted: Callable[[], bool] = lambda: False
        self._abort = c.ggml_abort_callback(lambda _: self._interrupted())
        self._no_abort = c.ggml_abort_callback()
        self._rows = c.llama_batch_init(self.batch, 0, 1)
        self._piece = ctypes.create_string_buffer(256)

    def _make_context(self, threads: int, request: protocol.Load) -> int:
        c = self._c
        parameters = c.llama_context_default_params()
        parameters.n_ctx = cells(self.window, self.parallel)
        parameters.n_batch = parameters.n_ubatch = self.batch
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.n_seq_max = self.sequences
        parameters.kv_unified = True
        parameters.swa_full = request.swa_full
        flash = c.LLAMA_FLASH_ATTN_TYPE_AUTO if request.flash else c.LLAMA_FLASH_ATTN_TYPE_DISABLED
        parameters.flash_attn_type = flash
        if request.kv_type == "q8_0":
            parameters.type_k = parameters.type_v = c.GGML_TYPE_Q8_0
        parameters.no_perf = True
        context: int | None = c.llama_init_from_model(self._handle.model, parameters)
        if context is None:
            raise RequestFailed(
                "load",
                f"no context of {self.window} tokens could be made",
                "choose a smaller window",
            )
        return context

    def close(self) -> None:
        """Free context and weights."""
        self._c.llama_batch_free(self._rows)
        self._c.llama_free(self._context)
        self._c.llama_model_free(self._handle.model)

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """The tokens of `text`, without any that the vocabulary would add around it."""
        data = text.encode("utf-8", "replace")
        size = len(data) + 8
        tokens = (self._c.llama_token * size)()
        count = self._c.llama_tokenize(self._vocab, data, len(data), tokens, size, False, special)
        if count < 0:
            raise RequestFailed("backend", f"a text of {len(data)} bytes cannot be tokenized")
        return list(tokens[:count])

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """A token's bytes; none for a control token, except with `special`."""
        size = len(self._piece)
        length = self._c.llama_token_to_piece(self._vocab, token, self._piece, size, 0, special)
        if length < 0:
            self._piece = ctypes.create_string_buffer(-length)
            return self.piece(token, special=special)
        return self._piece.raw[:length]

    def is_end(self, token: int) -> bool:
        """Whether a token ends the reply."""
        return bool(self._c.llama_vocab_is_eog(self._vocab, token))

    def checkpoint(self, seq: int) -> bytes:
        """The state of a sequence's recurrent layers, or of its sliding windows."""
        c, flags = self._c, self._c.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY
        size = c.llama_state_seq_get_size_ext(self._context, seq, flags)
        data = (ctypes.c_uint8 * size)()
        count = c.llama_state_seq_get_data_ext(self._context, data, size, seq, flags)
        return bytes(memoryview(data)[:count])

    def keep(self, seq: int, count: int, state: bytes = b"") -> bool:
        """Drop all but the first `count` tokens of a sequence."""
        c, memory = self._c, self._memory
        restored = not state or self._restore_checkpoint(seq, state)
        if restored and c.llama_memory_seq_rm(memory, seq, count, -1):
            return True
        c.llama_memory_seq_rm(memory, seq, -1, -1)
        return count == 0

    def _restore_checkpoint(self, seq: int, state: bytes) -> bool:
        c, size = self._c, len(state)
        data = (ctypes.c_uint8 * size).from_buffer_copy(state)
        flags = c.LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY
        return bool(c.llama_state_seq_set_data_ext(self._context, data, size, seq, flags))

    def copy(self, source: int, target: int, count: int, state: bytes = b"") -> bool:
        """Let `target` share the first `count` tokens of `source`."""
        if self._short and not state:
            # The cells of `source` include tokens outside of the windows. Cells of two sequences
            # are never used again, so sharing these would fill the cache.
            state = self.checkpoint(source)
        # A recurrent state is copied as it is at the end of `source`, whatever the count.
        self._c.llama_memory_seq_cp(self._memory, source, target, 0, count)
        return self.keep(target, count, state)

    def decode(self, rows: Sequence[BatchRow], interrupted: Callable[[], bool] | None) -> Outcome:
        """Decode rows; `interrupted` is called between the graph's operations."""
        c, batch = self._c, self._rows
        for place, row in enumerate(rows):
            batch.token[place] = row.token
            batch.pos[place] = row.position
            batch.n_seq_id[place] = 1
            batch.seq_id[place][0] = row.seq
            batch.logits[place] = row.wanted
        batch.n_tokens = len(rows)
        if interrupted is None:
            code = c.llama_decode(self._context, batch)
        else:
            self._interrupted = interrupted
            c.llama_set_abort_callback(self._context, self._abort, None)
            code = c.llama_decode(self._context, batch)
            c.llama_synchronize(self._context)
            c.llama_set_abort_callback(self._context, self._no_abort, None)
        outcome = _OUTCOMES.get(code)
        if outcome is None:
            raise RequestFailed("backend", f"llama.cpp could not decode (code {code})")
        return outcome

    def likeliest(self, row: int, count: int) -> list[tuple[int, float]]:
        """The likeliest tokens by the logits of a row, with their probabilities."""
        return likeliest(logits_of(self._c, self._context, self._vocabulary, row), count)

    def sampler(self, request: Request) -> ChainSampler | GreedySampler:
        """A sampler for the reply to a request."""
        if request.temperature == 0 and request.grammar is None and not request.penalizes:
            return GreedySampler(self._c, self._context, self._vocabulary)
        return ChainSampler(self._c, self._context, self._vocab, request)

    def save(self, seq: int, path: Path, tokens: Sequence[int]) -> None:
        """Write a sequence's KV cache to a file."""
        array = (self._c.llama_token * len(tokens))(*tokens)
        name = os.fsencode(path)
        if not self._c.llama_state_seq_save_file(self._context, name, seq, array, len(tokens)):
            raise OSError(f"{path.name} cannot be written")

    def restore(self, seq: int, path: Path, tokens: Sequence[int]) -> bool:
        """Read a file of `save` into an empty sequence."""
        c = self._c
        array = (c.llama_token * len(tokens))()
        count = ctypes.c_size_t()
        name = os.fsencode(path)
        read = c.llama_state_seq_load_file(
            self._context, name, seq, array, len(tokens), ctypes.byref(count)
        )
        if read and list(array[: count.value]) == list(tokens):
            return True
        c.llama_memory_seq_rm(self._memory, seq, -1, -1)
        return False

    def use_threads(self, count: int) -> None:
        """Set the number of threads."""
        self._c.llama_set_n_threads(self._context, count, count)


class _BufferOverride(ctypes.Structure):
    """struct llama_model_tensor_buft_override: where tensors of a name are loaded to."""

    _fields_ = (("pattern", ctypes.c_char_p), ("buffer_type", ctypes.c_void_p))


def _keep_experts(layers: int, folder: Path) -> ctypes.Array[_BufferOverride]:
    """Overrides that keep the experts of the first `layers` in the machine's memory."""
    array = (_BufferOverride * (layers + 1))()  # a last one without a pattern ends them
    kind = cpu_buffer_type(folder) if layers else None
    for layer in range(layers):
        pattern = rf"blk\.{layer}\.ffn_(up|down|gate|gate_up)_(ch|)exps"
        array[layer] = _BufferOverride(pattern.encode(), kind)
    return array


def _name(path: bytes) -> str:
    return Path(os.fsdecode(path)).name


def _file_size(path: bytes) -> int:
    try:
        return Path(os.fsdecode(path)).stat().st_size
    except OSError as error:
        raise RequestFailed("load", f"cannot read {_name(path)}: {error.strerror}") from None


def _check_magic(path: bytes) -> None:
    """Refuse a file that is no GGUF, with a plainer message than the library's."""
    try:
        with Path(os.fsdecode(path)).open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise RequestFailed("load", f"cannot read {_name(path)}: {error.strerror}") from None
    if magic != b"GGUF":
        raise RequestFailed(
            "load", f"{_name(path)} is not a GGUF file", "models come as files that end in .gguf"
        )


def _check_memory(size: int, cache: int, free: int | None) -> None:
    """Refuse a model that does not fit: `size` bytes of weights, `cache` of KV cache."""
    if free is not None and size + cache > free:
        raise RequestFailed(
            "load",
            f"the model needs {gigabytes(size)} for its weights and {gigabytes(cache)} for its "
            f"window, and {gigabytes(free)} of memory are free",
            "close other programs, or choose a smaller model or window",
        )


if __name__ == "__main__":
    serve(LlamaLibrary, sys.argv[1:])
