"""What a project brings along, sorted by what the user said of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from localagent.core.errors import OutsideWorkspace
from localagent.permissions.consent import Consent
from localagent.permissions.project_files import FOLDER, RULES, Kind, ProjectFile, load, scan
from localagent.workspace.workspace import Workspace

Allowed = Callable[[ProjectFile], bool]


@dataclass(frozen=True, slots=True)
class Brought:
    """The files that the user agreed to, those that he said nothing on, and what to tell him."""

    usable: tuple[ProjectFile, ...] = ()
    pending: tuple[ProjectFile, ...] = ()
    notices: tuple[str, ...] = ()

    def of(self, kind: Kind) -> list[ProjectFile]:
        """The usable ones of one kind."""
        return [file for file in self.usable if file.kind == kind]


def brought(workspace: Workspace, setting: str) -> Brought:
    """What the workspace brings; `setting` is `project_files` ("ask" or "never")."""
    found = scan(workspace)
    if setting == "never":
        paths = [file.path for file in found.files]
        said = f"not used, as project_files is never: {_few(paths)}"
        return Brought(notices=(said,) if paths else ())
    consent = Consent(workspace.root)
    pending = consent.pending(found.files)
    notices = list(found.unusable)
    if pending:
        one = len(pending) == 1
        notices.append(
            f"{_few([file.path for file in pending])} of this project "
            f"{'is' if one else 'are'} not used: you have not agreed to "
            f"{'it' if one else 'them'} as {'it is' if one else 'they are'} now "
            "(localagent trust list)"
        )
    return Brought(tuple(consent.usable(found.files)), tuple(pending), tuple(notices))


def nearest_rules(workspace: Workspace, path: str) -> ProjectFile | None:
    """The AGENTS.md of the nearest folder above the file (or of the folder) at `path` that has one,
    the workspace's own aside; None without, or where it cannot be read."""
    try:
        name = workspace.relative(path) if path else "."
        parts = name.split("/")
        if not workspace.path(name).is_dir():
            parts.pop()
        while parts and parts != ["."] and parts != [FOLDER]:
            found = "/".join([*parts, RULES])
            if workspace.path(found).is_file():
                return load(workspace, found, "rules")
            parts.pop()
    except (OSError, ValueError, OutsideWorkspace):
        return None
    return None


def project_prompts(project: Brought) -> dict[str, ProjectFile]:
    """The prompts that a project brings, by name ("workflow/system")."""
    start = f"{FOLDER}/prompts/"
    files = project.of("prompt")
    return {file.path.removeprefix(start).removesuffix(".md"): file for file in files}


def _few(paths: list[str]) -> str:
    more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
    return ", ".join(paths[:5]) + more
