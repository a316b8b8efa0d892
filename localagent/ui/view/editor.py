"""Opens the user's editor ($VISUAL or $EDITOR)."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from localagent.core.errors import UsageError
from localagent.core.programs import find_program, is_writable_by_commands, safe_environment

_USUAL = ("nano", "vim", "vi", "emacs")


def open_editor(text: str, name: str = "message.md") -> str | None:
    """Let the user edit `text` as a file called `name`; return None if the editor fails.

    The editor uses the terminal until it ends. Raises UsageError if there is no editor.
    """
    command = _command()
    with tempfile.TemporaryDirectory(prefix="localagent-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / name
        path.write_text(text, encoding="utf-8")
        try:
            done = subprocess.run([*command, str(path)], env=safe_environment(), check=False)
        except OSError as error:
            raise UsageError(
                f"cannot start the editor {command[0]}: {error.strerror}",
                "set VISUAL or EDITOR to an installed editor",
            ) from None
        if done.returncode != 0:
            return None
        return path.read_text(encoding="utf-8", errors="replace")


def _command() -> list[str]:
    for variable in ("VISUAL", "EDITOR"):
        if words := shlex.split(os.environ.get(variable, "")):
            return [_program(words[0]), *words[1:]]
    for name in _USUAL:
        if program := find_program(name):
            return [program]
    raise UsageError("no editor found", "set VISUAL or EDITOR to the command of your editor")


def _program(name: str) -> str:
    """Return the path of the editor `name`. Raises UsageError."""
    path = name if os.path.isabs(name) else find_program(name)  # noqa: PTH117
    if path is None or is_writable_by_commands(path):
        raise UsageError(
            f"cannot start the editor {name}: no folder of PATH outside of your projects has it",
            "set VISUAL or EDITOR to an installed editor",
        )
    return path
