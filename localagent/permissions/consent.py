"""Consent by hash: a project's files change what the agent does only after the user agreed to them.

These files of a workspace need consent:

    AGENTS.md, .localagent/AGENTS.md   rules for the model (in other folders: for those folders)
    .localagent/prompts/**/*.md        in place of localagent's own prompts
    .localagent/commands/*.md          commands
    .localagent/tools/*.py             tools, which run in the agent's own process
    .localagent/planners/*.py          planners, which run there too

`.localagent/config.toml` needs none, because it can only narrow. Localagent reads a file once, and
hashes, shows and uses these same bytes. The user's answers lie outside of the repository, with the
text, so that localagent can show what has changed since. A refusal is stored as well, so that
nobody answers the same question twice:

    <data>/trust/<sha256 of the workspace's path>.json
    {"workspace": …, "files": {path: {"sha256", "agreed", "time", "text"}}}
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from localagent.core.atomic import write_atomic
from localagent.core.clock import timestamp
from localagent.core.errors import OutsideWorkspace, WorkspaceError
from localagent.core.locks import locked
from localagent.core.paths import data_dir, private
from localagent.edits.diff import unified
from localagent.workspace.workspace import Workspace, workspace_key

Kind = Literal["rules", "prompt", "command", "tool", "planner"]
State = Literal["agreed", "refused", "changed", "new"]

MEANINGS: dict[Kind, str] = {
    "rules": "rules for the model",
    "prompt": "a text for the model, in place of localagent's own",
    "command": "a command of the project",
    "tool": "a program that runs as a part of localagent, outside of the sandbox",
    "planner": "a program that runs as a part of localagent, outside of the sandbox",
}
"""What a file of each kind is, in the question to the user."""
RULES = "AGENTS.md"
FOLDER = ".localagent"
MAX_BYTES = 256 << 10
MAX_FILES = 200
_PLACES: tuple[tuple[str, str, Kind], ...] = (
    (RULES, "", "rules"),
    (f"{FOLDER}/{RULES}", "", "rules"),
    (f"{FOLDER}/prompts", "**/*.md", "prompt"),
    (f"{FOLDER}/commands", "*.md", "command"),
    (f"{FOLDER}/tools", "*.py", "tool"),
    (f"{FOLDER}/planners", "*.py", "planner"),
)


@dataclass(frozen=True)
class ProjectFile:
    """One such file: its path relative to the workspace, and its content."""

    path: str
    kind: Kind
    data: bytes

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the content."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def text(self) -> str:
        """The content as text, with a replacement character for bytes that are not UTF-8."""
        return self.data.decode("utf-8-sig", "replace")


@dataclass(frozen=True, slots=True)
class ProjectScan:
    """The project files of a workspace; `unusable` gives the reasons why others are not used."""

    files: tuple[ProjectFile, ...]
    unusable: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConsentRecord:
    """The user's answer about one file, and the file's text at that time."""

    path: str
    sha256: str
    agreed: bool
    time: str
    text: str


def scan(workspace: Workspace) -> ProjectScan:
    """The project files of a workspace, in the order of the list above, each kind by path."""
    files: list[ProjectFile] = []
    unusable: list[str] = []
    for path, kind in _paths(workspace):
        if len(files) == MAX_FILES:
            unusable.append(f"only the first {MAX_FILES} files below {FOLDER} are used")
            break
        try:
            files.append(load(workspace, path, kind))
        except (OSError, ValueError, OutsideWorkspace) as error:
            unusable.append(f"{path} is not used: {error}")
    return ProjectScan(tuple(files), tuple(unusable))


def load(workspace: Workspace, path: str, kind: Kind) -> ProjectFile:
    """Read one project file.

    Raises OSError, OutsideWorkspace for a link that leads out, and ValueError for a file that is
    too large.
    """
    data = workspace.read_bytes(path, MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES >> 10} KiB")
    return ProjectFile(path, kind, data)


def nested_rules(workspace: Workspace) -> list[str]:
    """The paths of each AGENTS.md in a folder of the workspace, without the workspace's own."""
    main = f"{FOLDER}/{RULES}"
    return [p for p in workspace.files() if p.endswith(f"/{RULES}") and p != main]


def _paths(workspace: Workspace) -> Iterator[tuple[str, Kind]]:
    for place, pattern, kind in _PLACES:
        at = workspace.root / place
        if not pattern:
            if at.is_file():
                yield place, kind
            continue
        for path in sorted(at.glob(pattern)) if at.is_dir() else ():
            # "__init__.py", and files that an editor or an interpreter left, are no plug-ins.
            if path.is_file() and not path.name.startswith((".", "_")):
                yield path.relative_to(workspace.root).as_posix(), kind


class Consent:
    """The user's answers for the workspace at `root`. Each method reads them from disk."""

    def __init__(self, root: Path, folder: Path | None = None) -> None:
        self._root = os.path.realpath(root)
        self._folder = folder or data_dir() / "trust"
        self._path = self._folder / f"{workspace_key(root)}.json"

    def state(self, file: ProjectFile) -> State:
        """The user's answer about exactly this content."""
        known = self.remembered().get(file.path)
        if known is None:
            return "new"
        if known.sha256 != file.sha256:
            return "changed"
        return "agreed" if known.agreed else "refused"

    def usable(self, files: Sequence[ProjectFile]) -> list[ProjectFile]:
        """The files that the user agreed to."""
        return [file for file in files if self.state(file) == "agreed"]

    def pending(self, files: Sequence[ProjectFile]) -> list[ProjectFile]:
        """The files whose present content the user has not yet judged."""
        return [file for file in files if self.state(file) in ("new", "changed")]

    def difference(self, file: ProjectFile) -> str:
        """The diff from the text that the user last judged to this one; "" for a new file."""
        known = self.remembered().get(file.path)
        return "" if known is None else unified(file.path, known.text, file.text)

    def remembered(self) -> dict[str, ConsentRecord]:
        """The user's answers, by path."""
        records = {}
        for path, entry in self._read().items():
            try:
                records[path] = ConsentRecord(
                    *(path, str(entry["sha256"]), entry["agreed"] is True),
                    *(str(entry.get("time", "")), str(entry.get("text", ""))),
                )
            except (KeyError, TypeError, AttributeError):
                continue  # written by another version: the user answers again
        return records

    def agree(self, file: ProjectFile) -> None:
        """Store that the user agrees to this content. Raises WorkspaceError."""
        self._store(file, True)

    def refuse(self, file: ProjectFile) -> None:
        """Store that the user refuses this content. Raises WorkspaceError."""
        self._store(file, False)

    def forget(self, path: str) -> bool:
        """Delete the answer about a path; False where there is none. Raises WorkspaceError."""
        deleted: list[object] = []
        self._change(lambda files: deleted.append(files.pop(path, None)))
        return deleted != [None]

    def _store(self, file: ProjectFile, agreed: bool) -> None:
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
                f"cannot store your answer in {self._path}: {error.strerror}",
                "check the space and the permissions of localagent's data folder",
            ) from error

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        # The name is a hash of the path, so a file with another path in it was moved here.
        if not isinstance(content, dict) or content.get("workspace") != self._root:
            return {}
        files = content.get("files")
        return files if isinstance(files, dict) else {}
