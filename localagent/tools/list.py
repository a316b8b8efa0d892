"""The `list` tool: shows the files of a folder as a tree, without ignored files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from localagent.core.errors import ToolError
from localagent.core.messages import ToolResult
from localagent.tools.base import Action, ToolArguments, ToolContext, ToolSpec, parse
from localagent.tools.targets import locate, nearest
from localagent.workspace.workspace import Workspace

_MAX_DEPTH = 8


class ListArguments(ToolArguments):
    """Arguments of `list`; `depth` is the number of levels of open folders."""

    path: str = "."
    depth: int = 2


@dataclass(slots=True)
class _Folder:
    """A folder's subfolders and files, and the number of all files below the folder."""

    folders: dict[str, _Folder] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    total: int = 0


class List:
    """Shows the tree of files below a folder; a closed folder shows only its number of files."""

    spec = ToolSpec(
        "list",
        "read",
        ListArguments,
        positional="path",
        aliases=("list_files", "list_dir", "list_directory", "ls"),
        grammar="list",
        rules='list    ::= "list" (" path=" path)? "\\n"\n',
    )

    def prepare(self, arguments: dict[str, str], context: ToolContext) -> Action:
        """See `Tool.prepare`."""
        given = parse(ListArguments, self.spec.name, arguments)
        workspace = context.workspace
        path = locate(workspace, given.path)
        if not workspace.exists(path):
            raise ToolError(f"there is no folder {path}{nearest(workspace, path)}")
        depth = min(max(given.depth, 1), _MAX_DEPTH)
        return Action(
            tool=self.spec.name,
            effect="read",
            subject=path,
            preview=f"list {path}",
            perform=lambda: _list(workspace, path, depth, context.max_chars),
        )


def _list(workspace: Workspace, path: str, depth: int, max_chars: int) -> ToolResult:
    """The tree below `path`, as deep as `depth` and `max_chars` allow."""
    if not os.path.isdir(workspace.root / path):  # noqa: PTH112 - never raises
        text = f"{path} is a file; use read"
        return ToolResult(True, text, text)
    prefix = "" if path == "." else f"{path}/"
    tree = _tree(name.removeprefix(prefix) for name in workspace.files() if name.startswith(prefix))
    if not tree.total:
        text = f"{path} has no files (that git does not ignore)"
        return ToolResult(True, text, text)
    head = f"{prefix or './'} ({_counted(tree.total)})"
    lines: list[str] = []
    for opened in range(depth, 0, -1):
        lines = list(_lines(tree, opened))
        if sum(len(line) + 1 for line in lines) <= max_chars - 200:
            break
    kept = _fitting(lines, max_chars - 200)
    rest = ""
    if len(kept) < len(lines):
        rest = f"\n… {len(lines) - len(kept)} more entries, list a folder with path="
    return ToolResult(True, "\n".join([head, *kept]) + rest, head)


def _tree(names: Iterator[str]) -> _Folder:
    tree = _Folder()
    for name in names:
        folder = tree
        folder.total += 1
        *parents, last = name.split("/")
        for parent in parents:
            folder = folder.folders.setdefault(parent, _Folder())
            folder.total += 1
        folder.files.append(last)
    return tree


def _lines(folder: _Folder, depth: int, indent: str = "") -> Iterator[str]:
    for name, inner in folder.folders.items():
        if depth > 1:
            yield f"{indent}{_one_line(name)}/"
            yield from _lines(inner, depth - 1, indent + "  ")
        else:
            yield f"{indent}{_one_line(name)}/ ({_counted(inner.total)})"
    for name in folder.files:
        yield indent + _one_line(name)


def _fitting(lines: list[str], room: int) -> list[str]:
    kept = []
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    return kept


def _one_line(name: str) -> str:
    return name.replace("\n", "\\n")


def _counted(files: int) -> str:
    return f"{files} file{'s' * (files != 1)}"
