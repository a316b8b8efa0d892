"""Removes indexes of folders that are no more: nobody would ever open them again."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from localagent.index.store import drop


def remove_gone(folder: Path) -> list[Path]:
    """Remove the indexes in `folder` whose repository does not exist; returns their files.

    What cannot be read is left alone: whoever opens it decides.
    """
    gone = [file for file in sorted(folder.glob("*.sqlite")) if _is_gone(file)]
    for file in gone:
        with contextlib.suppress(OSError):
            drop(file)
    return gone


def _is_gone(file: Path) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as db:
            row = db.execute("SELECT value FROM meta WHERE key = 'root'").fetchone()
        return row is not None and not os.path.lexists(bytes.fromhex(row[0]))
    except (OSError, sqlite3.Error, ValueError):
        return False
