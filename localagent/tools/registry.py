"""The tools that a session has."""

from __future__ import annotations

from localagent.tools.base import Tool
from localagent.tools.edit import Edit
from localagent.tools.list import List
from localagent.tools.read import Read
from localagent.tools.search import Search
from localagent.tools.shell import Shell
from localagent.tools.write import Write


def standard_tools() -> dict[str, Tool]:
    """The built-in tools by name, in the order in which the model is told of them."""
    tools: tuple[Tool, ...] = (Read(), List(), Search(), Edit(), Write(), Shell())
    return {tool.name: tool for tool in tools}
