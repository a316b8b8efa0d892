"""What is sent to Ollama for a request: the bodies of `/api/chat` and `/api/generate`.

`truncate` and `shift` are fields of the body itself, not options (api/types.go of Ollama, 0.12.6
and later; older servers ignore them). Every option that decides how a model is loaded is the same
in all requests of a session, since a difference makes the server load it anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from localagent.models.base import Infill, Request

KEEP_ALIVE = "30m"
"""How long the server keeps the model after a request. Its own 5 minutes are less than a person
takes to read a change, and loading and reading all again takes longer than that is worth."""


@dataclass(frozen=True, slots=True)
class Target:
    """The model that is asked: its `name`, the session's `window` in tokens, the model's own
    `stops`, and the tokens that it may spend on thinking."""

    name: str
    window: int
    stops: tuple[str, ...] = ()
    think: int = 0


def load(target: Target) -> dict[str, Any]:
    """A chat without messages: the server loads the model and says no more than that."""
    return {**_frame(target), "messages": [], "stream": False}


def body(target: Target, request: Request) -> tuple[str, dict[str, Any]]:
    """The path and the body for a request."""
    common = {**_frame(target), "stream": True, "think": thinks(target, request)}
    common["options"] = {**common["options"], **_sampling(target, request)}
    prompt = request.prompt
    if isinstance(prompt, Infill):
        # Without a prompt the server only loads the model, and without a suffix it takes the prompt
        # for a question; a line break changes neither side of what is written between them.
        sides = {"prompt": prompt.prefix or "\n", "suffix": prompt.suffix or "\n"}
        return "/api/generate", {**common, **sides}
    messages = [{"role": m.role, "content": m.content} for m in prompt]
    if request.reply_start:  # the server goes on with an assistant's message that comes last
        messages.append({"role": "assistant", "content": request.reply_start})
    if request.choices:
        common["format"] = {"type": "string", "enum": list(request.choices)}
    return "/api/chat", {**common, "messages": messages}


def parts(request: Request) -> tuple[str, ...]:
    """The texts of the prompt, in the order in which the model reads them."""
    prompt = request.prompt
    if isinstance(prompt, Infill):
        return prompt.prefix, prompt.suffix
    texts = tuple(message.content for message in prompt)
    return (*texts, request.reply_start) if request.reply_start else texts


def thinks(target: Target, request: Request) -> bool:
    """Whether the model may think first: not where its reply has begun or is a choice."""
    free = not (request.reply_start or request.choices or isinstance(request.prompt, Infill))
    return target.think > 0 and free


def limit(target: Target, request: Request) -> int:
    """The most tokens that the server may write, thinking included."""
    room = request.max_tokens + (target.think if thinks(target, request) else 0)
    # The quotes around a choice are tokens as well; with no token at all (0) some versions take the
    # limit for unset.
    return max(1, room + (8 if request.choices else 0))


def _frame(target: Target) -> dict[str, Any]:
    """What all requests of a session have in common."""
    return {
        "model": target.name,
        "truncate": False,
        "shift": False,
        "keep_alive": KEEP_ALIVE,
        "options": {"num_ctx": target.window},
    }


def _sampling(target: Target, request: Request) -> dict[str, Any]:
    options: dict[str, Any] = {
        "num_predict": limit(target, request),
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k,
        "seed": request.seed % 2**31,
        # As on llama.cpp; Ollama's own penalty of 1.1 is for chats, and code repeats itself.
        "repeat_penalty": 1.0,
        "min_p": 0.0,
    }
    if request.stop:  # those of a request take the place of the model's own
        options["stop"] = [*target.stops, *request.stop]
    return options
