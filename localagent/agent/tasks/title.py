"""A session's title in the words of a small model."""

from __future__ import annotations

from localagent.agent.model_calls import Tell, ask_once
from localagent.agent.tasks.commit_message import tidy
from localagent.context.prompts import Prompts
from localagent.core.messages import Message
from localagent.models.base import Model, Request

WORDS = 8
_CHARACTERS = 1200
_TOKENS = 24


def write_title(model: Model, prompts: Prompts, task: str, seconds: float, tell: Tell) -> str:
    """A title of at most 8 words, or "" where the model gave none; `tell` as for `ask_once`. Raises
    BackendError."""
    text = prompts.render("small/title", task=task.strip()[:_CHARACTERS])
    request = Request((Message("user", text),), max_tokens=_TOKENS)
    reply = ask_once(model, prompts, "title", request, seconds, tell)
    title = tidy(reply, body=False) or ""
    return " ".join(title.splitlines()[0].split()[:WORDS]) if title else ""
