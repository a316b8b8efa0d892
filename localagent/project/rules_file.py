"""Read and write the project's AGENTS.md, on the user's behalf."""

from __future__ import annotations

from localagent.core.atomic import write_atomic
from localagent.core.errors import WorkspaceError
from localagent.permissions.consent import RULES, Consent, ProjectFile
from localagent.workspace.workspace import Workspace


def read_rules(workspace: Workspace) -> str | None:
    """The text of AGENTS.md, or None if there is none. Raises WorkspaceError, also for a link."""
    path = workspace.path(RULES)
    if path.is_symlink():
        raise WorkspaceError(
            f"{path} is a link", "AGENTS.md is not written through a link; replace it by a file"
        )
    try:
        return path.read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WorkspaceError(f"cannot read {path}: {error.strerror}") from None


def write_rules(workspace: Workspace, text: str) -> None:
    """Replace AGENTS.md, and record that the user consents to its new text.

    Raises WorkspaceError.
    """
    path = workspace.path(RULES)
    try:
        write_atomic(path, text, mode=None)
    except OSError as error:
        raise WorkspaceError(f"cannot write {path}: {error.strerror}") from None
    Consent(workspace.root).agree(ProjectFile(RULES, "rules", text.encode()))


def add_rule(workspace: Workspace, rule: str) -> None:
    """Add a rule to AGENTS.md. Raises WorkspaceError.

    The user has to have agreed to the present text, because the new text counts as agreed.
    """
    before = read_rules(workspace)
    text = before or ""
    file = ProjectFile(RULES, "rules", text.encode())
    if before is not None and Consent(workspace.root).state(file) != "agreed":
        raise WorkspaceError(f"{RULES} is not in use", "/trust reviews it; then add the rule")
    end = "" if not text or text.endswith("\n") else "\n"
    write_rules(workspace, f"{text}{end}- {rule}\n")
