"""Plug-ins: tools and planners of the user and of a project, one Python file each.

    <config>/tools/NAME.py, <config>/planners/NAME.py           the user's
    .localagent/tools/NAME.py, .localagent/planners/NAME.py     a project's, after consent by hash

A tool's file defines `DESCRIPTION`, the description for the model, and `prepare(arguments,
context)`, which returns a `tools.base.Action`. A planner's file defines `plan(turn)` as in
`agent.planners.base.Planner`. Plug-ins run in localagent's process, only in a session, and after
the egress lock is in force. Of a project's plug-in, exactly the bytes that the user agreed to are
run. An error in a plug-in is reported with the plug-in's file and line.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn, get_args

from localagent.agent.planners.base import Planner, PlannerDefaults, Result
from localagent.agent.turn import Services, Turn
from localagent.core.errors import LocalAgentError, PluginError, ToolError
from localagent.core.events import Event
from localagent.core.messages import Message, ToolResult
from localagent.core.paths import config_dir
from localagent.edits.textfile import sha256
from localagent.permissions.consent import MAX_FILES, Kind, program_text
from localagent.project.project import ProjectFiles, read_user_file
from localagent.tools.base import Action, Confirmation, Effect, ToolContext, ToolSpec

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True, slots=True)
class PluginTool:
    """A tool from a file. Permission rules refer to the tool by `name`, the file's base name."""

    name: str
    file: str
    sha256: str
    description: str
    _prepare: Callable[[dict[str, str], ToolContext], object]

    @property
    def spec(self) -> ToolSpec:
        """The tool's name only, because the plug-in reads its own arguments."""
        return ToolSpec(self.name)

    def prepare(self, arguments: dict[str, str], context: ToolContext) -> Action:
        """Call the plug-in's `prepare`. Raises ToolError for any error in the plug-in."""
        action = self._run(lambda: self._prepare(arguments, context))
        if not isinstance(action, Action) or action.effect not in get_args(Effect):
            raise ToolError(f"the plug-in {self.file} failed: prepare must return an Action")
        return replace(action, tool=self.name, perform=lambda: self._perform(action))

    def _perform(self, action: Action) -> ToolResult | Confirmation:
        result = self._run(action.perform)
        if not isinstance(result, ToolResult | Confirmation):
            raise ToolError(f"the plug-in {self.file} failed: perform must return a ToolResult")
        return result

    def _run(self, step: Callable[[], object]) -> object:
        try:
            return step()
        except LocalAgentError:
            raise
        except Exception as error:
            raise ToolError(f"the plug-in {self.file} failed: {_what(error, self.file)}") from error


@dataclass(frozen=True, slots=True)
class PluginPlanner(PlannerDefaults):
    """A planner from a file."""

    name: str
    file: str
    _plan: Callable[[Turn], Generator[Event, None, Result]]

    def opening(self, services: Services, conversation: Sequence[Message]) -> list[Message]:  # noqa: ARG002
        """A guess of the planner's first messages, because a plug-in does not announce them."""
        return [Message("system", services.prompts.text("workflow/system"))]

    def plan(self, turn: Turn) -> Generator[Event, None, Result]:
        """Run the plug-in's `plan`. Raises PluginError for any error in the plug-in."""
        try:
            result = yield from self._plan(turn)
        except LocalAgentError:
            raise
        except Exception as error:
            raise PluginError(
                f"the plug-in {self.file} failed: {_what(error, self.file)}",
                "use another planner: --planner workflow or --planner react",
            ) from error
        if not isinstance(result, Result):
            raise PluginError(f"the plug-in {self.file} failed: plan must return a Result")
        return result


@dataclass(frozen=True, slots=True)
class Plugins:
    """All plug-ins by name. `warnings` name the files that are not used."""

    tools: Mapping[str, PluginTool] = field(default_factory=dict)
    planners: Mapping[str, Planner] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def descriptions(self) -> dict[str, str]:
        """The tools' descriptions for the model, by the name of their prompt."""
        return {tool.spec.prompt: tool.description for tool in self.tools.values()}

    def files(self) -> dict[str, tuple[str, str]]:
        """The file of each description and the file's SHA-256, by the name of the prompt."""
        return {tool.spec.prompt: (tool.file, tool.sha256) for tool in self.tools.values()}


def load_plugins(project: ProjectFiles, built_in: Collection[str]) -> Plugins:
    """Load the user's plug-ins, and the project's plug-ins that the user agreed to.

    If both have a plug-in of the same name, the user's is used. A tool must not have a name in
    `built_in`. Raises PluginError.
    """
    warnings: list[str] = []
    found_tools: dict[str, PluginTool] = {}
    for name, file, data in _files("tool", project, warnings):
        if name in built_in:
            raise PluginError(f"the plug-in {file} has the name of a built-in tool", "rename it")
        module = _module("tool", name, file, data)
        text = getattr(module, "DESCRIPTION", None)
        if not isinstance(text, str) or not text.strip():
            _lacks(file, "DESCRIPTION, the text that describes the tool to the model")
        prepare = _function(module, "prepare", file)
        found_tools[name] = PluginTool(name, file, sha256(data), text.strip(), prepare)
    planners: dict[str, Planner] = {}
    for name, file, data in _files("planner", project, warnings):
        module = _module("planner", name, file, data)
        planners[name] = PluginPlanner(name, file, _function(module, "plan", file))
    return Plugins(found_tools, planners, tuple(warnings))


def _files(
    kind: Kind, project: ProjectFiles, warnings: list[str]
) -> Sequence[tuple[str, str, bytes]]:
    """The name, file and content of each plug-in of one kind, the user's plug-ins first."""
    folder = config_dir() / f"{kind}s"
    own = sorted(folder.glob("*.py"))[:MAX_FILES] if folder.is_dir() else []
    files = [(str(p), _content(p)) for p in own if not p.name.startswith((".", "_"))]
    files += [(file.path, file.data) for file in project.of(kind)]
    found: dict[str, tuple[str, str, bytes]] = {}
    for file, data in files:
        name = Path(file).stem
        if not _NAME.fullmatch(name):
            raise PluginError(
                f"{file} is not a valid name for a plug-in", "use a-z, 0-9 and _ in the name"
            )
        if name in found:
            warnings.append(f"{file} is not used: {found[name][1]} has the same name")
        else:
            found[name] = (name, file, data)
    return list(found.values())


def _content(path: Path) -> bytes:
    try:
        return read_user_file(path)
    except ValueError as error:
        raise PluginError(f"the plug-in {path} cannot be loaded: {error}") from None


def _module(kind: Kind, name: str, file: str, data: bytes) -> ModuleType:
    """Run the bytes `data` as a module. The file is not read again: it may have changed."""
    module = ModuleType(f"localagent_{kind}_{name}")
    module.__file__ = file
    sys.modules[module.__name__] = module  # dataclasses look up their module there
    try:
        source = program_text(data)
        exec(compile(source, file, "exec", dont_inherit=True), module.__dict__)
    except LocalAgentError:
        raise
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        raise PluginError(
            f"the plug-in {file} cannot be loaded: {_what(error, file)}",
            "fix or remove it; for a project's plug-in: localagent trust remove",
        ) from error
    return module


def _function(module: ModuleType, name: str, file: str) -> Callable[..., Any]:
    function: Any = getattr(module, name, None)
    if not callable(function):
        _lacks(file, f"function {name}")
    return function  # type: ignore[no-any-return]


def _lacks(file: str, what: str) -> NoReturn:
    raise PluginError(f"the plug-in {file} has no {what}", "see: localagent docs extending")


def _what(error: BaseException, file: str) -> str:
    """The error in one line of text, with the number of the line in the plug-in."""
    line = error.lineno if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    text = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())[:300]
    where = f" (line {line})" if line else ""
    return f"{type(error).__name__}: {text}{where}"
