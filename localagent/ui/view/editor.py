"""The user's own editor."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from localagent.core.errors import UsageError

_USUAL = ("nano", "vim", "vi", "emacs")


def edited(text: str, name: str = "message.md") -> str | None:
    """`text` as the user left it in the editor, which is shown it as a file called `name`; None
    where the editor ended with an error.

    The editor has the terminal meanwhile. Raises UsageError where there is no editor.
    """
    command = _command()
    folder = Path(tempfile.mkdtemp(prefix="localagent-"))
    path = folder / name
    try:
        path.write_text(text, encoding="utf-8")
        try:
            done = subprocess.run([*command, str(path)], check=False)
        except OSError as error:
            raise UsageError(
                f"cannot start the editor {command[0]}: {error.strerror}",
                "set VISUAL or EDITOR to one that is installed",
            ) from None
        if done.returncode != 0:
            return None
        return path.read_text(encoding="utf-8", errors="replace")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _command() -> list[str]:
    for variable in ("VISUAL", "EDITOR"):
        if words := os.environ.get(variable, "").strip():
            return shlex.split(words)
    for name in _USUAL:
        if shutil.which(name):
            return [name]
    raise UsageError("there is no editor", "set VISUAL or EDITOR to the command of one")
