"""The `Tool` protocol, and the `ToolSpec` that says everything there is to know about a tool.

A call has two steps, so that the user sees exactly what would happen before it happens. `prepare`
validates the arguments and works out the effect without touching anything. It returns an `Action`,
and `Action.perform` carries the call out after permission was given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from localagent.core.changes import Change
from localagent.core.errors import ToolError
from localagent.core.messages import ToolResult
from localagent.redaction.redactor import Redactor
from localagent.sandbox.base import Sandbox
from localagent.workspace.workspace import Workspace

Effect = Literal["read", "write", "execute"]
Body = Literal["", "text", "command", "file", "blocks"]
"""What the body of a tool's block holds: nothing, any text, a command for the shell, the content of
the file `path`, or SEARCH/REPLACE blocks for it."""


class ToolArguments(BaseModel):
    """Base of each tool's arguments: unknown arguments are errors, newlines around are stripped."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("path", "function", "pattern", "lines", mode="before", check_fields=False)
    @classmethod
    def _strip(cls, value: object) -> object:
        return value.strip("\n") if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """The facts about a tool: for the parser of replies, the grammar, the rules and the screen.

    Its description for the model is the text `prompts/tools/<name>.md`. `effect` is the most that
    a call does. `arguments` is None for a plug-in, which checks its own. `body` is what the block's
    body holds, and `positional` the argument that a value without a name stands for. `aliases` and
    `body_aliases` are names that models know the tool and its body by from other agents; only for
    tools that take the same thing. A plain code block with an info string of `fences` is a call
    where the reply has no other. `grammar` is the alternative of the rule `call`, and `rules` are
    the rules that it adds. `verb` is what the tool does, as in "may I change x.py?".
    """

    name: str
    effect: Effect = "execute"
    arguments: type[ToolArguments] | None = None
    body: Body = ""
    positional: str = ""
    aliases: tuple[str, ...] = ()
    body_aliases: tuple[str, ...] = ()
    fences: tuple[str, ...] = ()
    grammar: str = ""
    rules: str = ""
    verb: str = ""

    @property
    def prompt(self) -> str:
        """The name of the prompt text that describes the tool to the model."""
        return f"tools/{self.name}"


ToolSpecs = Mapping[str, ToolSpec]
"""The tools that the model can call, by name, in the order of their descriptions."""


class DoneArguments(ToolArguments):
    """Arguments of `done`."""

    body: str = ""


DONE = ToolSpec(
    "done",
    "read",
    DoneArguments,
    "text",
    "body",
    aliases=("finish", "complete", "attempt_completion"),
    body_aliases=("summary", "message", "result", "answer", "text"),
    grammar='"done\\n" body',
)
"""Not a tool: the call that ends the task, with a summary as its body."""

CHECK = ToolSpec("check", body="command", verb="run the check")
"""Not a tool: the project's check, which the model cannot call and permission is asked for."""

MayHave = Callable[[str, Sequence[str], bool], Sequence[str]]
"""The files, of a sequence, that may contain a pattern. True: it is a regular expression."""


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool works on.

    `apply` is the only way to change the workspace: it saves a checkpoint, then writes.
    `record_read` takes each file that the model sees, with its SHA-256. `may_have` leaves out files
    that need not be read for a pattern. `cancelled` says that the user stopped a long call.
    `redactor` redacts secrets and restores their placeholders. `denies` says that no change of a
    path is kept. `max_chars` bounds the part of a result that the model sees. `entered` says that
    the user, not the model, made the call: the part for the user then holds the output too.
    """

    workspace: Workspace
    sandbox: Sandbox
    apply: Callable[[Sequence[Change]], None]
    record_read: Callable[[str, str], None] = lambda _path, _sha256: None
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

    `subject` is what permission is asked for: a path relative to the workspace, or a command line.
    `preview` shows the user what would happen (a diff, a command). `changes` are the writes that
    are known beforehand.
    """

    tool: str
    effect: Effect
    subject: str
    preview: str
    perform: Callable[[], ToolResult]
    changes: tuple[Change, ...] = field(default=())


class Tool(Protocol):
    """One tool."""

    @property
    def spec(self) -> ToolSpec:
        """The facts about the tool."""

    def prepare(self, arguments: dict[str, str], context: ToolContext) -> Action:
        """Check the arguments and work out the effect; touch nothing.

        Raises ToolError with a message that tells the model what would be right, and
        OutsideWorkspace for a path that leads out of the workspace.
        """


def model_specs(tools: Mapping[str, Tool]) -> ToolSpecs:
    """What the model can call: the tools, built in and plug-ins, and then `done`."""
    return {name: tool.spec for name, tool in tools.items()} | {DONE.name: DONE}


Arguments = TypeVar("Arguments", bound=ToolArguments)


def parse(model: type[Arguments], tool: str, raw: dict[str, str]) -> Arguments:
    """`raw` as the arguments of `tool`. Raises ToolError."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    usage = ", ".join(
        ("a body" if key == "body" else key) + ("" if each.is_required() else " (optional)")
        for key, each in model.model_fields.items()
    )
    if first["type"] == "extra_forbidden":
        raise ToolError(f"{tool} has no argument {name[:40]!r}; it takes {usage}")
    if first["type"] == "missing":
        what = "needs a body in its block" if name == "body" else f"needs {name}"
        raise ToolError(f"{tool} {what}; it takes {usage}")
    message = re.sub(r"^Value error, ", "", first["msg"])
    raise ToolError(f"{tool}: {name}: {message}")
