"""Files that a task names with "@" and that do not exist."""

from __future__ import annotations

import difflib
import re

from localagent.agent.repair.localize import has_known_suffix
from localagent.agent.turn import Services
from localagent.core.errors import OutsideWorkspace

_SIMILAR = 0.75
"""Least similarity of a file whose name may have been meant; below it, a suffix alone is alike."""

_PATH = re.compile(r"(?:^|(?<=\s))@(?P<path>[\w./+-]*[/.][\w./+-]*\w)")


def missing_mentions(services: Services, text: str) -> str:
    """Return a warning about files that `text` names with "@" and that do not exist, or ""."""
    if "@" not in text:
        return ""
    files = services.files()
    for spaced in (file for file in files if " " in file):
        text = text.replace(f"@{spaced}", " ")
    named = [path for path in _PATH.findall(text) if "/" in path or has_known_suffix(path)]
    missing = [path for path in named if not _exists(services, path)]
    if not missing:
        return ""
    names = {path.rsplit("/", 1)[-1]: path for path in reversed(files)}
    near = difflib.get_close_matches(missing[0], files, 1, _SIMILAR)
    near += [names[name] for name in difflib.get_close_matches(missing[0], names, 1, _SIMILAR)]
    meant = f"; did you mean @{near[0]}?" if near else ""
    return f"there is no file {', '.join(missing)}{meant}"


def _exists(services: Services, path: str) -> bool:
    try:
        return services.workspace.path(path).exists()
    except (OSError, OutsideWorkspace):
        return False
