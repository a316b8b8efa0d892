"""The `Tool` protocol, and `ToolSpec`, which has all facts about a tool.

A call has two steps, so that the user sees the exact effect in advance. `prepare` validates the
arguments and works out the effect without changing anything. It returns an `Action`, and
`Action.perform` carries out the call once it is permitted.
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
from localagent.permissions.handoff import runs_later
from localagent.redaction.redactor import Redactor
from localagent.sandbox.base import Sandbox
from localagent.workspace.workspace import Workspace

Effect = Literal["read", "write", "execute"]
Body = Literal["", "text", "command", "file", "blocks"]
"""The content of the body of a tool's block: nothing, any text, a command for the shell, the
content of the file `path`, or SEARCH/REPLACE blocks for that file."""


class ToolArguments(BaseModel):
    """Base of a tool's arguments: refuses unknown ones, and strips surrounding newlines."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("path", "function", "pattern", "lines", mode="before", check_fields=False)
    @classmethod
    def _strip(cls, value: object) -> object:
        return value.strip("\n") if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """The facts about a tool, for the parser of replies, the grammar, the rules and the screen.

    The tool's description for the model is the text `prompts/tools/<name>.md`. `effect` is the
    strongest effect of a call. `arguments` is None for a plug-in, which checks its own arguments.
    `body` is the content of the block's body. `positional` is the argument that gets a value
    without a name. `aliases` and `body_aliases` are names of the same tool and body in other
    agents. A plain code block with an info string in `fences` is a call if the reply has no other
    call. `grammar` is the tool's alternative in the rule `call`, and `rules` are the rules that
    `grammar` adds. `verb` names the action, as in "may I change x.py?".
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
"""The call `done`, which is not a tool: it ends the task, and its body is a summary."""


class RepairArguments(ToolArguments):
    """Arguments of `repair`."""

    test: str = ""


REPAIR = ToolSpec(
    "repair",
    "write",
    RepairArguments,
    positional="test",
    aliases=("fix_test", "repair_test"),
    grammar="repair",
    rules='repair  ::= "repair" (" test=" path)? "\\n"\n',
)
"""The call `repair`, which is not a tool: it hands a failing test to the search for a change."""

CHECK = ToolSpec("check", body="command", verb="run the check")
"""The project's check: the model cannot call `check`, but permission rules apply to it."""

HANDOFF = ToolSpec("handoff", verb="keep the change of")
"""The question about files that a command changed, and that other programs run or that may hold
secrets."""

MayHave = Callable[[str, Sequence[str], bool], Sequence[str]]
"""Returns the files that may contain a pattern. True marks the pattern as a regular expression."""


@dataclass(frozen=True, slots=True)
class ToolContext:
    """The workspace and the services that a tool uses.

    `apply` is the only way to change the workspace: it saves a checkpoint, then writes. A tool
    reports to `record_read` each file that the model reads, with the file's SHA-256. `may_have`
    leaves out files that cannot contain a pattern. `cancelled` says that the user stopped a long
    call. `redactor` redacts secrets, and restores them from their placeholders. `denies` says that
    the rules deny any change of a path, and `asks` that the user must agree to it. `runs_later`
    says that other programs run or obey the file at a path. `max_chars` bounds the model's part of
    a result. `entered` says that the user, not the model, made the call; the user's part of the
    result then also has the output.
    """

    workspace: Workspace
    sandbox: Sandbox
    apply: Callable[[Sequence[Change]], None]
    record_read: Callable[[str, str], None] = lambda _path, _sha256: None
    redactor: Redactor = field(default_factory=Redactor)
    denies: Callable[[str], bool] = lambda _path: False
    asks: Callable[[str], bool] = lambda _path: False
    runs_later: Callable[[str], bool] = runs_later
    may_have: MayHave = lambda _pattern, files, _regex: files
    cancelled: Callable[[], bool] = lambda: False
    max_chars: int = 4000
    shell_seconds: float = 120.0
    entered: bool = False


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A call that needs the user's answer before it changes some files.

    `changes` are files that other programs run later (permissions/handoff.py), or that may hold
    secrets, if the user entered the command. `resume` finishes the call; its argument says whether
    the user agrees to these changes.
    """

    changes: tuple[Change, ...]
    resume: Callable[[bool], ToolResult]


@dataclass(frozen=True, slots=True)
class Action:
    """One prepared call, which `perform` carries out.

    `subject` is the object of the permission: a path relative to the workspace, or a command line.
    `aliases` are other names of the path, by which the call names it through links. `preview` shows
    the user the effect (a diff, a command). `changes` are the writes that are known in advance.
    """

    tool: str
    effect: Effect
    subject: str
    preview: str
    perform: Callable[[], ToolResult | Confirmation]
    changes: tuple[Change, ...] = field(default=())
    aliases: tuple[str, ...] = ()


class Tool(Protocol):
    """One tool that the model can call."""

    @property
    def spec(self) -> ToolSpec:
        """The facts about the tool."""

    def prepare(self, arguments: dict[str, str], context: ToolContext) -> Action:
        """Check the arguments and work out the effect, without changing anything.

        Raises ToolError with a message that tells the model how to correct the call, and
        OutsideWorkspace for a path that leads out of the workspace.
        """


def model_specs(tools: Mapping[str, Tool], *, repairs: bool = False) -> ToolSpecs:
    """The specs of everything that the model can call: built-in tools, plug-ins, and `done`.

    With `repairs`, it can call `repair` too.
    """
    specs = {name: tool.spec for name, tool in tools.items()}
    return specs | ({REPAIR.name: REPAIR} if repairs else {}) | {DONE.name: DONE}


Arguments = TypeVar("Arguments", bound=ToolArguments)


def parse(model: type[Arguments], tool: str, raw: dict[str, str]) -> Arguments:
    """Validate `raw` as the arguments of `tool`. Raises ToolError."""
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
