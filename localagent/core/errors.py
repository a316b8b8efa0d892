"""The errors that localagent raises on purpose.

The tree of errors, with the exit code of `localagent run` for each:

        LocalAgentError
        ├── UsageError            2    wrong flags, unknown ids, an unusable folder
        │   ├── ConfigError       2    a settings file is unreadable or holds a wrong value
        │   ├── LockError         2    models.lock is unreadable or invalid
        │   ├── PluginError       2    a plug-in cannot be loaded, or a planner plug-in failed
        │   ├── ModelNotInstalled 2    a model of models.lock is not on this machine
        │   └── WorkspaceError    2    the folder is missing, unreadable or in use
        ├── RefusedError          3    a permission rule or the sandbox denied an action
        │   ├── ChangeRefused     3    the user refused a change of a file
        │   ├── OutsideWorkspace  3    a path leads out of the workspace
        │   ├── SandboxError      3    the sandbox could not be set up
        │   └── NotLocal          3    a model server is not on this machine
        ├── BackendError          4    the model or its backend failed
        │   ├── ModelFileError    4    a model file differs from its pin
        │   ├── ModelLoadError    4    the backend cannot load the model
        │   ├── WorkerDied        4    the model process or server ended during a request
        │   ├── WorkerHung        4    the model process or server fell silent
        │   ├── ServerError       4    a model server failed or is too old
        │   ├── PromptTruncated   4    a model server read only part of the prompt
        │   └── ContextOverflow   4    the prompt is longer than the window
        ├── LimitReached          5    a limit on time or tokens is reached
        ├── Interrupted         130    the user stopped the turn
        └── ToolError             -    a mistake of the model; becomes a tool result
            └── EditError         -    an edit is unreadable or does not fit the file

localagent shows an error of this tree as one line and a hint. Any other exception is a bug of
localagent, which shows the traceback.
"""

from __future__ import annotations


class LocalAgentError(Exception):
    """An error with a message for the user, and a hint on the next step, or ""."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(LocalAgentError):
    """A wrong request of the user."""

    exit_code = 2


class ConfigError(UsageError):
    """A settings file is unreadable or holds a wrong value."""


class PluginError(UsageError):
    """A plug-in cannot be loaded, or a planner plug-in failed; the message names its file."""


class LockError(UsageError):
    """A file models.lock is unreadable or invalid."""


class ModelNotInstalled(UsageError):
    """The model is in models.lock, but not on this machine."""


class WorkspaceError(UsageError):
    """The workspace is missing, unreadable or in use."""


class RefusedError(LocalAgentError):
    """A permission rule or the sandbox denied an action."""

    exit_code = 3


class ChangeRefused(RefusedError):
    """The user refused a change of the file `path`. `reason` is the user's own words, or ""."""

    def __init__(self, message: str, hint: str, path: str, reason: str) -> None:
        super().__init__(message, hint)
        self.path = path
        self.reason = reason


class OutsideWorkspace(RefusedError):
    """A path leads out of the workspace, directly or through a link."""


class SandboxError(RefusedError):
    """The sandbox could not be set up, so the command did not run."""


class NotLocal(RefusedError):
    """A model server is not on this machine, and the policy does not allow its host."""


class BackendError(LocalAgentError):
    """The model or its backend failed."""

    exit_code = 4


class ModelFileError(BackendError):
    """A model file differs from its pin in models.lock."""


class ModelLoadError(BackendError):
    """The backend could not load the model, or its server does not answer."""


class WorkerDied(BackendError):
    """The model process or server ended during a request, by `signal` (0: by no signal)."""

    def __init__(self, message: str, hint: str = "", signal: int = 0) -> None:
        super().__init__(message, hint)
        self.signal = signal


class WorkerHung(BackendError):
    """The model process or server was silent for longer than `silence_seconds`."""


class ServerError(BackendError):
    """A model server failed, is too old, or breaks its protocol."""


class PromptTruncated(BackendError):
    """A model server dropped a part of the prompt, so the model's reply is worthless."""


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
    """The model used a tool wrongly; the message tells the model the right way."""


class EditError(ToolError):
    """An edit is unreadable or does not fit the file; the message says which edit would fit."""
