"""Consent by hash: a project's files affect the agent only after the user agreed to their content.

These files of a workspace need consent:

    AGENTS.md, .localagent/AGENTS.md   rules for the model (in other folders: for those folders)
    .localagent/prompts/**/*.md        prompts that replace localagent's own
    .localagent/commands/*.md          commands
    .localagent/tools/*.py             tools, which run in the agent's own process
    .localagent/planners/*.py          planners, which run in the agent's own process

`.localagent/config.toml` needs no consent, because it can only restrict the agent. Localagent reads
each file once, and then hashes, shows and uses the same bytes. The user's answers are stored
outside of the repository. Each answer has the file's text, so that localagent can show later
changes. Refusals are stored too, so that the user is not asked the same question twice:

    <data>/trust/<sha256 of the workspace's path>.json
    {"workspace": …, "files": {path: {"sha256", "agreed", "time", "text"}}}
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from localagent.core.atomic import write_atomic
from localagent.core.clock import timestamp
from localagent.core.errors import OutsideWorkspace, WorkspaceError
from localagent.core.locks import locked
from localagent.core.paths import data_dir, private, workspace_key
from localagent.edits.diff import unified
from localagent.workspace.workspace import Workspace

Kind = Literal["rules", "prompt", "command", "tool", "planner"]
State = Literal["agreed", "refused", "changed", "new"]

MEANINGS: dict[Kind, str] = {
    "rules": "rules for the model",
    "prompt": "a text for the model that replaces localagent's own",
    "command": "a command of the project",
    "tool": "a program that runs as a part of localagent, outside of the sandbox",
    "planner": "a program that runs as a part of localagent, outside of the sandbox",
}
"""The description of each kind of file in the question to the user."""
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


_HIDDEN_LINE_END = re.compile(r"\r(?!\n)|\0")


@dataclass(frozen=True)
class ProjectFile:
    """A file that needs consent: its path relative to the workspace, its kind and its content."""

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
    """The project files of a workspace. `unusable` has a message for each file that is left out."""

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
    """Find the project files of a workspace, sorted by kind and then by path."""
    files: list[ProjectFile] = []
    links = dict.fromkeys(filter(None, (_link_to(workspace.root, at) for at, _, _ in _PLACES)))
    unusable = [f"{link} is a link to a folder, which is not searched" for link in links]
    for path, kind in _paths(workspace):
        if len(files) == MAX_FILES:
            unusable.append(f"only the first {MAX_FILES} files in {FOLDER} are used")
            break
        try:
            files.append(load(workspace, path, kind))
        except (OSError, ValueError, OutsideWorkspace) as error:
            unusable.append(f"{path} is not used: {error}")
    return ProjectScan(tuple(files), tuple(unusable))


def load(workspace: Workspace, path: str, kind: Kind) -> ProjectFile:
    """Read one project file.

    Raises OSError, OutsideWorkspace if a link leads out of the workspace, and ValueError if the
    file is too large, or if it is a program that is not plain UTF-8.
    """
    data = workspace.read_bytes(path, MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"the file is larger than {MAX_BYTES >> 10} KiB")
    if kind in ("tool", "planner"):
        program_text(data)
    return ProjectFile(path, kind, data)


def program_text(data: bytes) -> str:
    """Decode a Python program, which then runs as it is shown.

    Raises ValueError for other encodings, which Python reads by a comment in the program, and for
    line ends that a screen may show as a part of the line.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("the program is not UTF-8 text") from None
    if _HIDDEN_LINE_END.search(text):
        raise ValueError("the program has a carriage return or a zero byte within a line")
    return text


def nested_rules(workspace: Workspace) -> list[str]:
    """The paths of all AGENTS.md files below the workspace's root, without `.localagent`."""
    main = f"{FOLDER}/{RULES}"
    return [p for p in workspace.files() if p.endswith(f"/{RULES}") and p != main]


def _paths(workspace: Workspace) -> Iterator[tuple[str, Kind]]:
    for place, pattern, kind in _PLACES:
        at = workspace.root / place
        if _link_to(workspace.root, place):
            continue
        if not pattern:
            if at.is_file():
                yield place, kind
            continue
        for path in sorted(at.glob(pattern)) if at.is_dir() else ():
            # "__init__.py", and files that an editor or interpreter left behind, are not used.
            if path.is_file() and not path.name.startswith((".", "_")):
                yield path.relative_to(workspace.root).as_posix(), kind


def _link_to(root: Path, place: str) -> str:
    """The part of the path `place` that is a link to a folder (perhaps the whole disk), or ""."""
    ends = [end for end in range(len(place) + 1) if f"{place}/"[end] == "/"]
    links = (place[:end] for end in ends if (root / place[:end]).is_symlink())
    return next((link for link in links if (root / link).is_dir()), "")


class Consent:
    """The user's answers for the workspace at `root`. Each method reads the answers from disk."""

    def __init__(self, root: Path, folder: Path | None = None) -> None:
        self._root = os.path.realpath(root)
        self._folder = folder or data_dir() / "trust"
        self._path = self._folder / f"{workspace_key(root)}.json"

    def state(self, file: ProjectFile) -> State:
        """The user's answer about this file with exactly this content."""
        known = self.remembered().get(file.path)
        if known is None:
            return "new"
        if known.sha256 != file.sha256:
            return "changed"
        return "agreed" if known.agreed else "refused"

    def usable(self, files: Sequence[ProjectFile]) -> list[ProjectFile]:
        """The files whose present content the user agreed to."""
        return [file for file in files if self.state(file) == "agreed"]

    def pending(self, files: Sequence[ProjectFile]) -> list[ProjectFile]:
        """The files whose present content the user has not yet agreed to or refused."""
        return [file for file in files if self.state(file) in ("new", "changed")]

    def difference(self, file: ProjectFile) -> str:
        """The diff from the text that the user agreed to last to the present text.

        "" if the user has not answered about this file yet, or refused it: the user then has to
        see the whole text again.
        """
        known = self.remembered().get(file.path)
        if known is None or not known.agreed:
            return ""
        return unified(file.path, known.text, file.text)

    def remembered(self) -> dict[str, ConsentRecord]:
        """All answers of the user, by path."""
        records = {}
        for path, entry in self._read().items():
            try:
                records[path] = ConsentRecord(
                    *(path, str(entry["sha256"]), entry["agreed"] is True),
                    *(str(entry.get("time", "")), str(entry.get("text", ""))),
                )
            except (KeyError, TypeError, AttributeError):
                continue  # another version wrote this entry, so the user is asked again
        return records

    def agree(self, file: ProjectFile) -> None:
        """Store that the user agrees to the file's content. Raises WorkspaceError."""
        self._store(file, True)

    def refuse(self, file: ProjectFile) -> None:
        """Store that the user refuses the file's content. Raises WorkspaceError."""
        self._store(file, False)

    def forget(self, path: str) -> bool:
        """Delete the answer about a path. Returns False if there is none. Raises WorkspaceError."""
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
                "check the free space and the permissions of localagent's data folder",
            ) from error

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        # A file that names another workspace was copied here, so its answers do not count.
        if not isinstance(content, dict) or content.get("workspace") != self._root:
            return {}
        files = content.get("files")
        return files if isinstance(files, dict) else {}
