"""A user who agrees to what a project brings."""

from __future__ import annotations

from pathlib import Path

from localagent.permissions.consent import Consent, load, nested_rules, scan
from localagent.workspace.workspace import Workspace


def agree(root: Path) -> None:
    """To all that is there now."""
    workspace = Workspace.open(root)
    files = [*scan(workspace).files]
    files += [load(workspace, path, "rules") for path in nested_rules(workspace)]
    for file in files:
        Consent(root).agree(file)
