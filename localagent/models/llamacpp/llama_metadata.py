"""What a model file says of itself."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from localagent.core.errors import ModelLoadError
from localagent.models.llamacpp import protocol
from localagent.models.llamacpp.process import Ended, Silent, WorkerProcess, worker_command


@dataclass(frozen=True, slots=True)
class Metadata:
    """What stands in a GGUF file besides the weights. Texts are "" and numbers 0 where the file
    does not say; `context_length` is in tokens.

    `size_label` is the number of parameters as people write it ("1.5B"); `parameters` is known
    only where the file has it. `kv_bytes_per_token` is what one token takes in the KV cache (of
    16-bit floats, in all layers). `special_tokens` and `fim_tokens` map their use ("eos",
    "prefix") to the token.
    """

    architecture: str
    name: str
    size_label: str
    quantisation: str
    licence: str
    context_length: int
    layers: int
    heads: int
    kv_heads: int
    embedding: int
    vocabulary: int
    parameters: int
    kv_bytes_per_token: int
    chat_template: str
    special_tokens: dict[str, int]
    fim_tokens: dict[str, int]

    @property
    def chat_template_sha256(self) -> str:
        """The template's hash; of the empty text where there is no template."""
        return hashlib.sha256(self.chat_template.encode()).hexdigest()

    @property
    def fim(self) -> bool:
        """Whether the vocabulary has the tokens to fill in the middle."""
        return len(self.fim_tokens) == 3

    @property
    def tools(self) -> bool:
        """Whether the chat template has a place for tools."""
        return "tools" in self.chat_template


def inspect(path: Path, *, command: Sequence[str] | None = None, silence: float = 60.0) -> Metadata:
    """Read a GGUF file's metadata, in a process of its own: a damaged file may crash the library.

    `silence` is how long, in seconds, that may take. Raises ModelLoadError.
    """
    hint = "give the path of a whole GGUF file"
    if not path.is_file():
        raise ModelLoadError(f"there is no model file {path}", hint)
    try:
        worker = WorkerProcess(command or worker_command())
    except OSError as error:
        raise ModelLoadError(f"the model's process cannot be started: {error}") from None
    try:
        # The worker runs in another folder, so the path must not depend on this one.
        worker.send(protocol.Inspect(id=1, path=os.fsencode(path.resolve())))
        reply = worker.receive(silence)
        while isinstance(reply, protocol.Ready):
            reply = worker.receive(silence)
    except Silent:
        raise ModelLoadError(f"reading {path.name} did not end", hint) from None
    except Ended:
        status = worker.end()
        raise ModelLoadError(
            f"reading {path.name} crashed the native library (status {status})", hint
        ) from None
    finally:
        worker.kill()
    if isinstance(reply, protocol.Failure):
        raise ModelLoadError(reply.message, reply.hint or hint)
    if not isinstance(reply, protocol.Inspected):
        raise ModelLoadError(f"reading {path.name} gave no answer", hint)
    return Metadata(**reply.model_dump(exclude={"op", "id"}))
