"""The `write` tool: writes a whole file, new or in place of an existing file."""

from __future__ import annotations

import os

from localagent.core.errors import ToolError
from localagent.edits.textfile import replace_file
from localagent.tools.base import Action, ToolArguments, ToolContext, ToolSpec, parse
from localagent.tools.targets import change_action, load, locate
from localagent.workspace.workspace import Workspace


class WriteArguments(ToolArguments):
    """Arguments of `write`; `body` is the whole content."""

    path: str
    body: str = ""


class Write:
    """Writes a whole file, and makes its folders. An old file keeps its encoding and line ends."""

    spec = ToolSpec(
        "write",
        "write",
        WriteArguments,
        "file",
        "path",
        aliases=("write_file", "create_file", "writefile", "create"),
        body_aliases=("content", "contents", "text", "code", "file_text", "data"),
        grammar="write",
        rules='write   ::= "write path=" path "\\n" body\n',
        verb="write",
    )

    def prepare(self, arguments: dict[str, str], context: ToolContext) -> Action:
        """See `Tool.prepare`."""
        given = parse(WriteArguments, self.spec.name, arguments)
        workspace = context.workspace
        path = locate(workspace, given.path)
        before = load(workspace, path) if _is_there(workspace, path) else None
        if before is not None and not given.body.strip():
            raise ToolError(f"write needs the content of {path} in its block")
        body = context.redactor.restore(given.body, before.file.text) if before else given.body
        after = replace_file(before.file if before else None, body)
        return change_action(self.spec.name, context, given.path, before, after)


def _is_there(workspace: Workspace, path: str) -> bool:
    """Whether `path` exists. Raises ToolError if `path` cannot be a file."""
    if path == "." or path.endswith("/"):
        raise ToolError("write needs the path of a file")
    above = workspace.root / path
    for folder in above.parents:
        if folder == workspace.root:
            break
        # os.path's functions do not raise for a name that is too long.
        if os.path.exists(folder) and not os.path.isdir(folder):  # noqa: PTH110, PTH112
            shown = folder.relative_to(workspace.root).as_posix()
            raise ToolError(f"{shown} is a file, so nothing can be written below it")
    return workspace.exists(path)
