"""A workspace, a real sandbox and a real journal for the tools' tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from localagent.core.changes import Change
from localagent.core.messages import ToolResult
from localagent.history.checkpoints.checkpoint import Checkpoints
from localagent.sandbox.kinds.plain import PlainSandbox
from localagent.tools.base import ToolContext
from localagent.tools.registry import standard_tools
from localagent.workspace.workspace import Workspace

FILES = {
    "src/app.py": "import os\n\n\ndef total(items):\n    return sum(items)\n\n\nclass Cart:\n"
    "    def add(self, item):\n        self.items.append(item)\n",
    "src/util.py": "def total_price(cart):\n    return total(cart)\n",
    "README.md": "# Shop\n\nA shop with a total().\n",
    "notes.txt": "Total: 3\n",
    ".gitignore": "build/\n",
    "build/out.py": "def total(): pass\n",
    ".env": "TOKEN=total\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "my shop"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())
    return folder


@pytest.fixture
def context(root: Path, tmp_path: Path, home: Path) -> Iterator[ToolContext]:
    """Tools' surroundings: changes go through the journal, as they do in a session."""
    journal = Checkpoints(root, tmp_path / "session", 1)
    sandbox = PlainSandbox()

    def apply(changes: Sequence[Change]) -> None:
        journal.apply(changes)

    yield ToolContext(Workspace.open(root), sandbox, apply, shell_seconds=30.0)
    sandbox.close()


@pytest.fixture
def use(context: ToolContext) -> Callable[..., ToolResult]:
    """Prepare and perform one call."""

    def call(tool: str, **arguments: str) -> ToolResult:
        return standard_tools()[tool].prepare(arguments, context).perform()

    return call
