"""Locates, permits and decodes the files that tools work on; a ToolError explains a failure."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass

from localagent.code.syntax_check import added_fault, syntax_error
from localagent.core.changes import Change, file_change
from localagent.core.errors import ToolError
from localagent.core.messages import ToolResult
from localagent.edits.diff import unified
from localagent.edits.textfile import TextFile, decode, encode, is_binary
from localagent.redaction.secret_files import is_secret
from localagent.tools.base import Action, ToolContext
from localagent.workspace.workspace import Workspace

# A file with more bytes than this is data, not source.
MAX_BYTES = 2 << 20


@dataclass(frozen=True, slots=True)
class Target:
    """A file: its path in the workspace, its bytes and its text."""

    path: str
    data: bytes
    file: TextFile


def locate(workspace: Workspace, path: str, *, secrets: bool = False) -> str:
    """The workspace path of `path`. With `secrets`, a file that looks like it has secrets is left
    to the permission gate.

    Raises OutsideWorkspace. Raises ToolError for git's own files and for files with secrets.
    """
    names = workspace.names(path)
    for name in names:
        if ".git" in name.lower().split("/"):
            raise ToolError(
                f"{name} belongs to git, so no file tool may use it; use the shell for git"
            )
        if not secrets and is_secret(name):
            raise ToolError(f"{name} looks like it holds secrets, so no tool may use it")
    return names[0]


def ensure_readable(workspace: Workspace, path: str) -> None:
    """Raise ToolError if a rule denies reading `path` by one of its names."""
    if workspace.hides(path):
        raise ToolError(f"a rule denies reading {workspace.relative(path)}")


def load(
    workspace: Workspace, path: str, max_bytes: int = MAX_BYTES, *, secrets: bool = False
) -> Target:
    """The existing text file at `path`; `secrets`: see `locate`.

    Raises OutsideWorkspace. Raises ToolError for a missing file (with the nearest names), a folder,
    and a binary or large file.
    """
    rel = locate(workspace, path, secrets=secrets)
    target = workspace.root / rel
    if os.path.isdir(target):  # noqa: PTH112 - False for a name that is too long
        raise ToolError(f"{rel} is a folder; use list, or name a file in it")
    if not workspace.exists(rel):
        raise ToolError(f"there is no file {rel}{nearest(workspace, rel)}")
    try:
        data = workspace.read_bytes(rel, limit=max_bytes + 1)
    except OSError as error:
        raise ToolError(f"{rel} cannot be read: {error.strerror or error}") from None
    if is_binary(data):
        raise ToolError(f"{rel} is a binary file ({describe(data)}, {_size(workspace, rel)} bytes)")
    if len(data) > max_bytes:
        raise ToolError(
            f"{rel} has {_size(workspace, rel)} bytes, which is too large; use search or shell"
        )
    return Target(rel, data, decode(data))


def nearest(workspace: Workspace, rel: str) -> str:
    """The text after "there is no file", which names the paths most similar to `rel`."""
    files = workspace.files()
    if not files:
        return "; the workspace has no files"
    name = rel.rsplit("/", 1)[-1].lower()
    same = [f for f in files if f.rsplit("/", 1)[-1].lower() == name]
    close = same[:3] or difflib.get_close_matches(rel, files[:20_000], n=3, cutoff=0.6)
    if not close:
        names = {f.rsplit("/", 1)[-1]: f for f in files}
        near = difflib.get_close_matches(name, list(names)[:20_000], n=3, cutoff=0.6)
        close = [names[n] for n in near]
    return f"; there is {', '.join(close)}" if close else "; use list to see what there is"


def describe(data: bytes) -> str:
    """The kind of a binary file, by the magic numbers in the specifications of the formats."""
    kinds = (
        (b"\x89PNG", "a PNG image"), (b"\xff\xd8\xff", "a JPEG image"), (b"GIF8", "a GIF image"),
        (b"%PDF", "a PDF"), (b"PK\x03\x04", "a zip archive or office document"),
        (b"\x7fELF", "a program"), (b"MZ", "a program"), (b"\x1f\x8b", "gzip data"),
        (b"SQLite format 3", "an SQLite database"), (b"GGUF", "a model"),
        (b"\x00asm", "WebAssembly"), (b"\xca\xfe\xba\xbe", "a Java class or program"),
    )  # fmt: skip
    return next((kind for magic, kind in kinds if data.startswith(magic)), "of unknown kind")


def _size(workspace: Workspace, rel: str) -> int:
    return (workspace.root / rel).stat().st_size


def change_action(
    tool: str, context: ToolContext, path: str, before: Target | None, after: TextFile
) -> Action:
    """The action that writes `after` to `path`, as the call names it.

    `before` is the old content, None for a new file. Raises ToolError if the text no longer parses,
    or has a placeholder that the file lacks. The user is not asked about such an edit.
    """
    path, *aliases = context.workspace.names(path)
    old = before.file.text if before else ""
    if mark := context.redactor.first_placeholder(after.text, old):
        raise ToolError(
            f"{mark} stands for something that is hidden from you and that {path} does not have "
            "there; nothing was changed: edit around it"
        )
    wrong = syntax_error(path, after.text)
    if wrong is not None and (before is None or syntax_error(path, before.file.text) is None):
        raise ToolError(f"{path} would not parse after this edit; nothing was changed: {wrong}")
    wrong = added_fault(path, before.file.text if before else "", after.text)
    if wrong is not None:
        raise ToolError(f"{path} would not parse after this edit; nothing was changed: {wrong}")
    change = file_change(path, encode(after))
    diff = unified(path, before.file.text if before else None, after.text)
    return Action(
        tool=tool,
        effect="write",
        subject=path,
        preview=diff,
        perform=_performer(context, path, before, change, diff),
        changes=(change,),
        aliases=tuple(aliases),
    )


def _performer(
    context: ToolContext, path: str, before: Target | None, change: Change, diff: str
) -> Callable[[], ToolResult]:
    def perform() -> ToolResult:
        ensure_unchanged(context.workspace, path, before)
        context.apply([change])
        added, removed = count(diff)
        verb = "created" if before is None else "changed"
        text = f"{verb} {path} (+{added} -{removed} lines)"
        return ToolResult(True, text, text)

    return perform


def ensure_unchanged(workspace: Workspace, path: str, before: Target | None) -> None:
    """Raise ToolError if `path` has changed since the edit was prepared."""
    try:
        now = workspace.read_bytes(path) if workspace.exists(path) else None
    except OSError as error:
        raise ToolError(f"{path} cannot be read: {error.strerror or error}") from None
    if now != (before.data if before else None):
        raise ToolError(f"{path} has changed since this edit was prepared; read it again")


def count(diff: str) -> tuple[int, int]:
    """Count the lines that a unified diff adds and removes."""
    body = diff.split("\n")[2:]
    added = sum(line.startswith("+") for line in body)
    return added, sum(line.startswith("-") for line in body)
