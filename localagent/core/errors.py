"""Every error that localagent raises on purpose.

The tree, with the exit code that `localagent run` ends with:

    LocalAgentError
    ├── UsageError            2    wrong flags, unknown ids, unusable folder
    │   ├── ConfigError       2    a settings file that cannot be read or holds a bad value
    │   ├── LockError         2    models.lock is unreadable or invalid
    │   ├── PluginError       2    a plug-in that cannot be loaded, or a planner's that failed
    │   ├── ModelNotInstalled 2    a model of the lock that is not on this machine
    │   └── WorkspaceError    2    no folder, no access, locked by another session
    ├── RefusedError          3    a permission rule, the sandbox or the workspace border said no
    │   ├── OutsideWorkspace  3    a path that leads out of the workspace
    │   ├── SandboxError      3    the sandbox could not be set up; the command did not run
    │   └── NotLocal          3    a model's server, or what it asks, is not on this machine
    ├── BackendError          4    the model could not do its part
    │   ├── ModelFileError    4    a model file that is not what the lock pins
    │   ├── ModelLoadError    4    the backend could not load the model, or is not there
    │   ├── WorkerDied        4    the model's process or server ended in mid-request
    │   ├── WorkerHung        4    the model's process or server fell silent
    │   ├── ServerError       4    a model's server that failed, is too old or talks nonsense
    │   ├── PromptTruncated   4    a model's server that read only a part of the prompt
    │   └── ContextOverflow   4    the prompt does not fit the model's window
    ├── LimitReached          5    a limit on time or tokens that the user set
    ├── Interrupted         130    the user stopped the turn
    └── ToolError             -    the model's mistake; becomes a tool result, never ends a run
        └── EditError         -    an edit that cannot be read or does not fit the file

The user's mistakes are one line and a hint. What is not in this tree is our own mistake, and shows
a traceback.
"""

from __future__ import annotations


class LocalAgentError(Exception):
    """An error with a message for a person and, where there is one, a hint on what to do."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(LocalAgentError):
    """The request cannot be carried out as it was put."""

    exit_code = 2


class ConfigError(UsageError):
    """A settings file is unreadable or holds a bad value."""


class PluginError(UsageError):
    """A plug-in cannot be loaded, or one that plans failed; the message names its file."""


class LockError(UsageError):
    """A models.lock is unreadable or invalid."""


class ModelNotInstalled(UsageError):
    """The model is in the lock but its file is not on this machine."""


class WorkspaceError(UsageError):
    """The workspace cannot be used."""


class RefusedError(LocalAgentError):
    """A rule or the sandbox refused an action."""

    exit_code = 3


class OutsideWorkspace(RefusedError):
    """A path leads out of the workspace, directly or through a link."""


class SandboxError(RefusedError):
    """The sandbox could not be set up, so the command did not run."""


class NotLocal(RefusedError):
    """A prompt would have left this machine, for a host that nobody allowed."""


class BackendError(LocalAgentError):
    """The model or its backend failed."""

    exit_code = 4


class ModelFileError(BackendError):
    """A model differs from what the lock pins."""


class ModelLoadError(BackendError):
    """The backend could not load the model, or its server does not answer."""


class WorkerDied(BackendError):
    """The model's process or server ended in mid-request; `signal` is the signal's number, or 0."""

    def __init__(self, message: str, hint: str = "", signal: int = 0) -> None:
        super().__init__(message, hint)
        self.signal = signal


class WorkerHung(BackendError):
    """The model's process or server said nothing for longer than it may."""


class ServerError(BackendError):
    """A model's server failed, is too old, or does not keep to its protocol."""


class PromptTruncated(BackendError):
    """A model's server left out a part of the prompt, so that its reply is worth nothing."""


class ContextOverflow(BackendError):
    """The prompt does not fit the window; `needed` and `window` are in tokens."""

    def __init__(self, needed: int, window: int) -> None:
        super().__init__(
            f"the prompt needs {needed} tokens and the model's window holds {window}",
            "name fewer or smaller files, or choose a model with a larger window",
        )
        self.needed = needed
        self.window = window


class LimitReached(LocalAgentError):
    """A limit on time or tokens was reached."""

    exit_code = 5


class Interrupted(LocalAgentError):
    """The user stopped the turn."""

    exit_code = 130


class ToolError(LocalAgentError):
    """The model used a tool wrongly; the message tells it what would be right."""


class EditError(ToolError):
    """An edit cannot be read, or does not fit the file; the message says what would fit."""
