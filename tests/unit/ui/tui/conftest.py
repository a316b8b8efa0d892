"""Opens sessions at a terminal in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from memory_session import MemorySession
from prompt_toolkit.input import create_pipe_input

from localagent.ui.tui import dialogs, keys


@pytest.fixture
def session(
    workspace_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterable[Callable[..., MemorySession]]:
    """Opens sessions in memory; a question can be answered at once, and Ctrl-C again later."""
    monkeypatch.setattr(dialogs, "_UNREAD_SECONDS", 0.0)
    monkeypatch.setattr(keys, "AGAIN_SECONDS", 60.0)
    with create_pipe_input() as keyboard:
        yield lambda chat, **settings: MemorySession(workspace_dir, chat, keyboard, **settings)
