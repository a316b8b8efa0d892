"""The built-in tools, and the specs of all tools by name."""

from __future__ import annotations

from functools import cache

from localagent.tools.base import CHECK, DONE, HANDOFF, REPAIR, Tool, ToolSpec
from localagent.tools.edit import Edit
from localagent.tools.list import List
from localagent.tools.logs import Logs
from localagent.tools.read import Read
from localagent.tools.search import Search
from localagent.tools.shell import Shell
from localagent.tools.write import Write


def standard_tools() -> dict[str, Tool]:
    """The built-in tools by name, in the order in which their descriptions reach the model."""
    tools: tuple[Tool, ...] = (Read(), List(), Search(), Logs(), Edit(), Write(), Shell())
    return {tool.spec.name: tool for tool in tools}


@cache
def specs() -> dict[str, ToolSpec]:
    """The specs of built-in tools, calls and questions. Plug-ins cannot have these names."""
    return {name: tool.spec for name, tool in standard_tools().items()} | {
        spec.name: spec for spec in (DONE, REPAIR, CHECK, HANDOFF)
    }


def spec_of(name: str) -> ToolSpec:
    """The spec of the built-in tool with this name, otherwise a spec for a plug-in."""
    return specs().get(name) or ToolSpec(name)
