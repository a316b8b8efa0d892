"""The `Tool` protocol.

A call has two steps, so that a person can be shown exactly what would happen before it does:
`prepare` validates the arguments and works out the effect without touching anything; the
`Action` that it returns is carried out by `perform`, after permission was given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from localagent.core.changes import Change
from localagent.core.messages import ToolResult
from localagent.redaction.redactor import Redactor
from localagent.sandbox.base import Sandbox
from localagent.workspace.workspace import Workspace

Effect = Literal["read", "write", "execute"]


MayHave = Callable[[str, Sequence[str], bool], Sequence[str]]
"""Those of some files that may have a pattern, which is a regular expression where that is True."""


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool works on.

    `apply` is the only way to change the workspace: it checkpoints, then writes. `saw` is told of
    each file that the model is shown, with its SHA-256. `may_have` leaves out files that need not
    be read for a pattern. `cancelled` is asked by tools that take long. `marks` hides secrets from
    the model and turns its marks back. `denies` says that no change of a path is kept. `max_chars`
    bounds the half of a result that the model sees. `entered` says that the user entered the call:
    the half for the person then holds the output, too.
    """

    workspace: Workspace
    sandbox: Sandbox
    apply: Callable[[Sequence[Change]], None]
    saw: Callable[[str, str], None] = lambda _path, _sha256: None
    redactor: Redactor = field(default_factory=Redactor)
    denies: Callable[[str], bool] = lambda _path: False
    may_have: MayHave = lambda _pattern, files, _regex: files
    cancelled: Callable[[], bool] = lambda: False
    max_chars: int = 4000
    shell_seconds: float = 120.0
    entered: bool = False


@dataclass(frozen=True, slots=True)
class Action:
    """One prepared call.

    `subject` is what permission is asked for: a path relative to the workspace, or a command
    line. `preview` shows a person what would happen (a diff, a command). `changes` are the writes
    that are known beforehand.
    """

    tool: str
    effect: Effect
    subject: str
    preview: str
    perform: Callable[[], ToolResult]
    changes: tuple[Change, ...] = field(default=())


class Tool(Protocol):
    """One tool. Its description for the model is `prompts/tools/<name>.md`."""

    @property
    def name(self) -> str:
        """The name that the model calls it by."""

    def prepare(self, arguments: dict[str, str], context: ToolContext) -> Action:
        """Check the arguments and work out the effect; touch nothing.

        Raises ToolError with a message that tells the model what would be right, and
        OutsideWorkspace for a path that leads out of the workspace.
        """
