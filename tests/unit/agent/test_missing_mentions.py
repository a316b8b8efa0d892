"""Files that a message names with "@" and that do not exist."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from localagent.agent.missing_mentions import missing_mentions
from localagent.agent.turn import Services


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("explain @calc.py", ""),
        ("explain @./calc.py and @lib/", ""),
        ("explain @cal.py", "there is no file cal.py; did you mean @calc.py?"),
        ("explain @stok.py", "there is no file stok.py; did you mean @lib/stock.py?"),
        ("explain @stock.py", "there is no file stock.py; did you mean @lib/stock.py?"),
        ("explain @nofile.py", "there is no file nofile.py"),
        ("explain @nowhere/x.toml.", "there is no file nowhere/x.toml"),
        ("what does @app.route of @stock.Stock do?", ""),
        ("write to ada@example.org", ""),
        ("what does @property do?", ""),
        ("explain @lib/my stock.py", ""),
        ('explain @"lib/my stock.py"', ""),
        ("explain @lib/my stack.py", "there is no file lib/my"),
    ],
)
def test_a_file_that_does_not_exist_is_reported(tmp_path: Path, text: str, warning: str) -> None:
    files = ("calc.py", "lib/stock.py", "lib/my stock.py")
    (tmp_path / "lib").mkdir()
    for name in files:
        (tmp_path / name).touch()
    workspace = SimpleNamespace(path=tmp_path.joinpath)
    services = SimpleNamespace(workspace=workspace, files=lambda: files)
    assert missing_mentions(cast(Services, services), text) == warning
