"""What a snapshot reads of the files that a command left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from localagent.core.errors import SandboxError
from localagent.sandbox.snapshots.overlay import Budget, entry_change


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_file_that_was_exchanged_meanwhile_is_not_read(tmp_path: Path, kind: str) -> None:
    """A process that outlives its command may exchange it after the look at its kind."""
    (tmp_path / "secret").write_text("key")
    file = tmp_path / "file"
    file.write_text("text")
    found = file.lstat()
    file.unlink()
    if kind == "link":
        file.symlink_to("secret")
    elif hasattr(os, "mkfifo"):
        os.mkfifo(file)
    with pytest.raises(SandboxError, match="'file' changed while it was read"):
        entry_change(str(file), "file", found, Budget())
