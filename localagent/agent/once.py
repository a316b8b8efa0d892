"""One question to a model, outside of a turn: nothing is streamed and nothing is tried again."""

from __future__ import annotations

import threading

from localagent.agent.ask import hidden
from localagent.guard.marks import Marks
from localagent.models.base import Finish, Model, Request, Text


def ask_once(model: Model, request: Request, seconds: float) -> str:
    """The reply's text, or "" where it was not finished within `seconds`. Raises BackendError."""
    late = threading.Event()

    def stop() -> None:
        late.set()
        model.cancel()

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        text, cancelled = "", False
        for chunk in model.generate(hidden(request, Marks())):
            if isinstance(chunk, Text):
                text += chunk.text
            elif isinstance(chunk, Finish):
                cancelled = chunk.reason == "cancelled"
            if late.is_set():  # a model that was still loading did not hear the first call
                model.cancel()
        return "" if cancelled else text
    finally:
        timer.cancel()
