"""Consent by hash: a project's files change what the agent does only after the user agreed to
exactly their content.

What was agreed to is kept outside of the repository, one file a workspace, with the text, so that
of a file that has changed since the difference can be shown:

    <data>/trust/<sha256 of the workspace's path>.json
    {"workspace": …, "files": {path: {"sha256", "agreed", "time", "text"}}}

To disagree is remembered likewise ("agreed": false), so that nobody is asked twice for the same.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from localagent.core.atomic import write_atomic
from localagent.core.clock import timestamp
from localagent.core.errors import WorkspaceError
from localagent.core.locks import locked
from localagent.core.paths import data_dir, private
from localagent.edits.diff import unified
from localagent.permissions.project_files import ProjectFile

State = Literal["agreed", "refused", "changed", "new"]


@dataclass(frozen=True, slots=True)
class ConsentRecord:
    """What the user said of one file, and its text then."""

    path: str
    sha256: str
    agreed: bool
    time: str
    text: str


class Consent:
    """What the user agreed to in the workspace at `root`. Read anew each time it is asked."""

    def __init__(self, root: Path, folder: Path | None = None) -> None:
        self._root = os.path.realpath(root)
        self._folder = folder or data_dir() / "trust"
        name = hashlib.sha256(os.fsencode(self._root)).hexdigest()[:32]
        self._path = self._folder / f"{name}.json"

    def state(self, file: ProjectFile) -> State:
        """What holds for exactly this content."""
        known = self.remembered().get(file.path)
        if known is None:
            return "new"
        if known.sha256 != file.sha256:
            return "changed"
        return "agreed" if known.agreed else "refused"

    def usable(self, files: Sequence[ProjectFile]) -> list[ProjectFile]:
        """Those that the user agreed to."""
        return [file for file in files if self.state(file) == "agreed"]

    def pending(self, files: Sequence[ProjectFile]) -> list[ProjectFile]:
        """Those that the user said nothing on yet, as they are now."""
        return [file for file in files if self.state(file) in ("new", "changed")]

    def difference(self, file: ProjectFile) -> str:
        """From the text that the user last spoke on to this one, as a diff; "" where there was
        none."""
        known = self.remembered().get(file.path)
        return "" if known is None else unified(file.path, known.text, file.text)

    def remembered(self) -> dict[str, ConsentRecord]:
        """What the user said, by path."""
        found = {}
        for path, entry in self._read().items():
            try:
                found[path] = ConsentRecord(
                    *(path, str(entry["sha256"]), entry["agreed"] is True),
                    *(str(entry.get("time", "")), str(entry.get("text", ""))),
                )
            except (KeyError, TypeError, AttributeError):
                continue  # of another version: as if nothing was said
        return found

    def agree(self, file: ProjectFile) -> None:
        """Remember that the user agreed to this content. Raises WorkspaceError."""
        self._say(file, True)

    def refuse(self, file: ProjectFile) -> None:
        """Remember that the user does not want this content. Raises WorkspaceError."""
        self._say(file, False)

    def forget(self, path: str) -> bool:
        """Forget what was said of a path; False where there was nothing. Raises WorkspaceError."""
        gone: list[object] = []
        self._change(lambda files: gone.append(files.pop(path, None)))
        return gone != [None]

    def _say(self, file: ProjectFile, agreed: bool) -> None:
        time = timestamp("seconds")
        entry = {"sha256": file.sha256, "agreed": agreed, "time": time, "text": file.text}
        self._change(lambda files: files.update({file.path: entry}))

    def _change(self, change: Callable[[dict[str, Any]], object]) -> None:
        try:
            private(data_dir())
            private(self._folder)
            with locked(self._path.with_suffix(".lock")):
                files = self._read()
                change(files)
                content = {"workspace": self._root, "files": files}
                write_atomic(self._path, json.dumps(content, indent=1))
        except OSError as error:
            raise WorkspaceError(
                f"cannot remember that in {self._path}: {error.strerror}",
                "check the space and the permissions of localagent's data folder",
            ) from error

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        # The name is a hash of the path; a file that somebody moved here is of another workspace.
        if not isinstance(content, dict) or content.get("workspace") != self._root:
            return {}
        files = content.get("files")
        return files if isinstance(files, dict) else {}
