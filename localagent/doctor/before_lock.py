"""Code that runs in localagent's process before the egress lock.

Python reads `.pth` files and the modules `sitecustomize` and `usercustomize` when it starts. Code
in them can keep a connection, or leave a process outside of the lock.
"""

from __future__ import annotations

import importlib.util
import os
import site
from pathlib import Path

# The line of setuptools, which Python 3.11 puts into each virtual environment.
_KNOWN = (
    "import os; var = 'SETUPTOOLS_USE_DISTUTILS'; "
    "enabled = os.environ.get(var, 'local') == 'local'; "
    "enabled and __import__('_distutils_hack')"
)
_KNOWN_ENDS = (".add_shim();", ";", "")


def files_before_lock() -> list[str]:
    """Return the files with code that Python runs before localagent locks itself."""
    folders = list(site.getsitepackages())
    if site.ENABLE_USER_SITE:
        folders.append(site.getusersitepackages())
    found = [
        str(path)
        for folder in folders
        for path in sorted(Path(folder).glob("*.pth"))
        if _runs_code(path)
    ]
    library = os.path.dirname(os.__file__)  # noqa: PTH120
    for name in ("sitecustomize", "usercustomize"):
        spec = importlib.util.find_spec(name)
        if spec is not None and os.path.dirname(spec.origin or "") != library:  # noqa: PTH120
            found.append(str(spec.origin))
    return found


def _runs_code(path: Path) -> bool:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    code = [line.strip() for line in lines if line.startswith(("import ", "import\t"))]
    return any(line not in [_KNOWN + end for end in _KNOWN_ENDS] for line in code)
