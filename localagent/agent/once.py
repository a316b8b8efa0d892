"""One question to a model, outside of a turn: nothing is streamed and nothing is tried again."""

from __future__ import annotations

import threading
from collections.abc import Callable

from localagent.agent.model_calls import hidden, replied, transcript_form
from localagent.context.prompts import Prompts
from localagent.core.events import Event, FileRead, ModelAsked
from localagent.models.base import Finish, Model, Request, Text
from localagent.redaction.redactor import Marks

Tell = Callable[[Event], None]
"""Is told, for the audit log, what a model is shown and what it replies."""


def ask_once(
    model: Model, prompts: Prompts, purpose: str, request: Request, seconds: float, tell: Tell
) -> str:
    """The reply's text, or "" where it was not finished within `seconds`. Raises BackendError.

    `tell` hears of the files of `prompts` that the request is made of, of the request before the
    model is asked, and of the reply.
    """
    late = threading.Event()

    def stop() -> None:
        late.set()
        model.cancel()

    request = hidden(request, Marks())
    for path, digest in prompts.untold():
        tell(FileRead(path, digest))
    tell(ModelAsked(purpose, transcript_form(request), 0, model.info.id))
    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        text, cancelled = "", False
        for chunk in model.generate(request):
            if isinstance(chunk, Text):
                text += chunk.text
            elif isinstance(chunk, Finish):
                cancelled = chunk.reason == "cancelled"
                tell(replied(purpose, text, chunk))
            if late.is_set():  # a model that was still loading did not hear the first call
                model.cancel()
        return "" if cancelled else text
    finally:
        timer.cancel()
