"""localagent with a library in its process that tries to get out: with_library.py ARGUMENTS.

The library waits until the program proper is imported, which is after the lock is closed.
"""

from __future__ import annotations

import importlib.machinery
import sys
import threading
from types import ModuleType
from typing import Any

from localagent.__main__ import main


class Library:
    """Finds one of the modules of a session, and reaches out before the module is executed."""

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> Any:
        """See importlib.abc.MetaPathFinder."""
        waited = ("localagent.session.session", "localagent.workspace.workspace")
        if name not in waited or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        assert spec is not None and spec.loader is not None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            import reach

            thread = threading.Thread(target=reach.reach, name="telemetry")
            thread.start()
            thread.join()
            execute(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


if __name__ == "__main__":
    sys.meta_path.insert(0, Library())
    sys.exit(main())
