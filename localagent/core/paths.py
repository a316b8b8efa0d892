"""localagent's folders, in the XDG base folders; only their owner can read them (0700).

config  $XDG_CONFIG_HOME/localagent   config.toml, models.lock (the user's), AGENTS.md,
                                      prompts/, grants/
data    $XDG_DATA_HOME/localagent     models/, sessions/, trust/
cache   $XDG_CACHE_HOME/localagent    build/ (compiled wheels), index/, kv/, logs/, scratch/
state   $XDG_STATE_HOME/localagent    locks/, logs/
"""

from __future__ import annotations

import os
from pathlib import Path

_DEFAULTS = {
    "XDG_CONFIG_HOME": ".config",
    "XDG_DATA_HOME": ".local/share",
    "XDG_CACHE_HOME": ".cache",
    "XDG_STATE_HOME": ".local/state",
}


def _base(variable: str) -> Path:
    value = os.environ.get(variable, "")
    # The XDG specification says to ignore relative paths.
    root = Path(value) if Path(value).is_absolute() else Path.home() / _DEFAULTS[variable]
    return root / "localagent"


def config_dir() -> Path:
    """The folder of the user's settings. The folder may not exist."""
    return _base("XDG_CONFIG_HOME")


def data_dir() -> Path:
    """The folder of models and sessions. The folder may not exist."""
    return _base("XDG_DATA_HOME")


def cache_dir() -> Path:
    """The folder of data that localagent can recreate. The folder may not exist."""
    return _base("XDG_CACHE_HOME")


def state_dir() -> Path:
    """The folder of locks and logs. The folder may not exist."""
    return _base("XDG_STATE_HOME")


def models_dir() -> Path:
    """The folder that holds model files."""
    return data_dir() / "models"


def sessions_dir() -> Path:
    """The folder that holds one folder for each session."""
    return data_dir() / "sessions"


def private(folder: Path) -> Path:
    """Create `folder` and its missing parents, readable only by their owner; return `folder`.

    Raises OSError.
    """
    for path in (*reversed(folder.parents), folder):  # `parents=True` would use the umask
        if not path.exists():
            path.mkdir(mode=0o700, exist_ok=True)
    return folder


def workspace_key(root: str | Path) -> str:
    """The base name of localagent's own files about the workspace at `root`."""
    from hashlib import sha256  # not at the start of commands that only print a text

    return sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:32]


def workspace_lock(root: str | Path) -> Path:
    """The file that a session locks while it may change the workspace at `root`.

    The file stays, so it says that commands could once write to `root`.
    """
    return state_dir() / "locks" / f"{workspace_key(root)}.lock"
