"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.cli.options import refuse_home
from localagent.core.errors import UsageError


def test_a_home_is_no_workspace_unless_it_is_named(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (home, home.parent):
        monkeypatch.chdir(folder)
        with pytest.raises(UsageError) as caught:
            refuse_home(Path())
        assert caught.value.hint.endswith(f"-C {folder}")
        refuse_home(folder)
    monkeypatch.chdir(tmp_path)
    refuse_home(Path())
