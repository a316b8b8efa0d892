"""Terminals that are closed when a test ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tmux_terminal import Tmux

Open = Callable[..., Tmux]


@pytest.fixture
def workspace_dir(workspace_dir: Path, home: Path) -> Path:
    """The small project, in the home folder: its name on the screen is always as long."""
    return workspace_dir.rename(home / "project")


@pytest.fixture
def open_terminal(workspace_dir: Path) -> Iterator[Open]:
    """Opens terminals in the workspace."""
    opened: list[Tmux] = []

    def begin(**options: object) -> Tmux:
        opened.append(Tmux(workspace_dir, **options))  # type: ignore[arg-type]
        return opened[-1]

    yield begin
    for each in opened:
        each.close()


@pytest.fixture
def scripted(tmp_path: Path) -> Callable[[str], str]:
    """Writes a script of replies and returns its path."""

    def write(text: str) -> str:
        path = tmp_path / "replies.txt"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write
