"""localagent: a terminal coding agent that runs local models and lets nothing leave the machine.

The names in `__all__` are the Python API (docs/api.md). Each is imported at its first use, so that
the command line starts fast.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from localagent.cli.startup import lock_process
    from localagent.core import errors, events
    from localagent.project.project import Project
    from localagent.session.factory import RunOptions, open_session
    from localagent.session.session import Session

__version__ = "0.1.0"
__all__ = [
    "Project",
    "RunOptions",
    "Session",
    "__version__",
    "errors",
    "events",
    "lock_process",
    "open_session",
]

_MODULES = {
    "Project": "localagent.project.project",
    "RunOptions": "localagent.session.factory",
    "Session": "localagent.session.session",
    "errors": "localagent.core.errors",
    "events": "localagent.core.events",
    "lock_process": "localagent.cli.startup",
    "open_session": "localagent.session.factory",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'localagent' has no attribute {name!r}")
    from importlib import import_module

    module = import_module(_MODULES[name])
    return module if name in ("errors", "events") else getattr(module, name)
