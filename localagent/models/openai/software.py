"""What the programs that serve OpenAI's API add to it, and what they leave out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Software:
    """A program that serves OpenAI's API.

    `grammar` is the field that takes GBNF: "grammar", or "structured_outputs" around it. `prefill`
    says how a reply gets its beginning: the server continues the last message by itself
    ("message") or if it is asked to ("continue"), or a grammar forces the beginning. `infill` is
    the call that fills in the middle. `tokenize` is the call that counts tokens, and `text` its
    field for the text. `parallel` replies are worth requesting at a time, and `window` is assumed
    where the server does not say.
    """

    grammar: Literal["", "grammar", "structured_outputs"] = ""
    prefill: Literal["message", "continue", "grammar"] = "message"
    infill: Literal["", "/infill", "/completions"] = ""
    tokenize: Literal["", "/tokenize", "/extras/tokenize/count"] = ""
    text: Literal["", "content", "prompt", "input"] = ""
    parallel: int = 4
    window: int = 4096


LLAMA_CPP, LLAMA_CPP_PYTHON, VLLM, LM_STUDIO, OTHER = (
    *("llama.cpp", "llama-cpp-python", "vLLM", "LM Studio", "other"),
)

SOFTWARE = {
    LLAMA_CPP: Software("grammar", "message", "/infill", "/tokenize", "content"),
    # A second request ends the first one, and a prompt over the window ends without an answer.
    LLAMA_CPP_PYTHON: Software(
        "grammar", "grammar", "/completions", "/extras/tokenize/count", "input", 1, 2048
    ),
    VLLM: Software("structured_outputs", "continue", "", "/tokenize", "prompt", 8),
    LM_STUDIO: Software(),
    OTHER: Software(),
}
