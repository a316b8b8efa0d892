"""A request as model servers take it: its texts, its limits, and the pieces of the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from localagent.models.base import Infill, RawText, Reading, Request


@dataclass(frozen=True, slots=True)
class RequestTarget:
    """The model of a request: its `name`, the `window` in tokens, and the server's name.

    `thinks` says whether it can think.
    """

    name: str
    window: int
    server: str
    thinks: bool = False


@dataclass(frozen=True, slots=True)
class ReplyPiece:
    """A part of a server's answer: a text or a thought, progress, or the end with its counts.

    `prompt_tokens` counts the whole prompt; None if the server does not say.
    """

    text: str = ""
    thought: str = ""
    reading: Reading | None = None
    end: Literal["", "stop", "length"] = ""
    prompt_tokens: int | None = None
    cached_tokens: int = 0
    completion_tokens: int = 0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0


def parts(request: Request) -> tuple[str, ...]:
    """The texts of the prompt, in the order in which the model reads them."""
    prompt = request.prompt
    if isinstance(prompt, Infill):
        return prompt.prefix, prompt.suffix
    if isinstance(prompt, RawText):
        return (prompt.text,)
    texts = tuple(message.content for message in prompt)
    return (*texts, request.reply_start) if request.reply_start else texts


def thinks(target: RequestTarget, request: Request) -> bool:
    """Whether the model may think first: not if its reply has a beginning or is a choice."""
    free = not (request.reply_start or request.choices or isinstance(request.prompt, Infill))
    return target.thinks and request.think > 0 and free


def limit(target: RequestTarget, request: Request) -> int:
    """The most tokens that the server may write, thinking included."""
    room = request.max_tokens + (request.think if thinks(target, request) else 0)
    # The quotes around a choice are tokens as well; with no token at all (0) some versions take the
    # limit for unset.
    return max(1, room + (8 if request.choices else 0))
