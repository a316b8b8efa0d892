"""The files of a workspace that change what the agent does, and so need the user's consent.

    AGENTS.md, .localagent/AGENTS.md   rules for the model (in other folders: for what is in them)
    .localagent/prompts/**/*.md        in place of localagent's own prompts
    .localagent/commands/*.md          commands
    .localagent/tools/*.py             tools, which run in the agent's own process
    .localagent/planners/*.py          planners, likewise

A file is read once, and what was read is what is hashed, shown and used. (`.localagent/config.toml`
can only narrow, so it needs no consent.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from localagent.core.errors import OutsideWorkspace
from localagent.workspace.workspace import Workspace

Kind = Literal["rules", "prompt", "command", "tool", "planner"]

MEANINGS: dict[Kind, str] = {
    "rules": "rules for the model",
    "prompt": "a text that the model is shown in place of localagent's own",
    "command": "a command of the project",
    "tool": "a program that runs as a part of localagent, outside of the sandbox",
    "planner": "a program that runs as a part of localagent, outside of the sandbox",
}
"""What a file of each kind is, for people."""

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
CODE: tuple[Kind, ...] = ("tool", "planner")
"""Kinds that are programs: they can do whatever localagent's own process can."""


@dataclass(frozen=True)
class ProjectFile:
    """One such file: its path relative to the workspace, and its content."""

    path: str
    kind: Kind
    data: bytes

    @cached_property
    def sha256(self) -> str:
        """Of the content."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def text(self) -> str:
        """The content as text; what is not UTF-8 is shown as a sign."""
        return self.data.decode("utf-8-sig", "replace")


@dataclass(frozen=True, slots=True)
class ProjectScan:
    """What a workspace brings; `unusable` says of other files why they cannot be used."""

    files: tuple[ProjectFile, ...]
    unusable: tuple[str, ...]


def scan(workspace: Workspace) -> ProjectScan:
    """The project files of a workspace, in the order of the list above, each kind by path."""
    files: list[ProjectFile] = []
    unusable: list[str] = []
    for path, kind in _paths(workspace):
        if len(files) == MAX_FILES:
            unusable.append(f"only the first {MAX_FILES} files below {FOLDER} are looked at")
            break
        try:
            files.append(load(workspace, path, kind))
        except (OSError, ValueError, OutsideWorkspace) as error:
            unusable.append(f"{path} is not used: {error}")
    return ProjectScan(tuple(files), tuple(unusable))


def load(workspace: Workspace, path: str, kind: Kind) -> ProjectFile:
    """Read one project file.

    Raises OSError, OutsideWorkspace (a link that leads out), ValueError where it is too large.
    """
    data = workspace.read_bytes(path, MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES >> 10} KiB")
    return ProjectFile(path, kind, data)


def nested_rules(workspace: Workspace) -> list[str]:
    """The paths of the AGENTS.md in folders of the workspace, its own aside."""
    own = (RULES, f"{FOLDER}/{RULES}")
    return [p for p in workspace.files() if p.endswith(f"/{RULES}") and p not in own]


def _paths(workspace: Workspace) -> Iterator[tuple[str, Kind]]:
    for place, pattern, kind in _PLACES:
        at = workspace.root / place
        if not pattern:
            if at.is_file():
                yield place, kind
            continue
        for path in sorted(at.glob(pattern)) if at.is_dir() else ():
            # "__init__.py" and what an editor or an interpreter leaves there is no plug-in.
            if path.is_file() and not path.name.startswith((".", "_")):
                yield path.relative_to(workspace.root).as_posix(), kind
