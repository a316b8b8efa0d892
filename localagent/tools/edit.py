"""The `edit` tool: replaces passages, or one function, in an existing file."""

from __future__ import annotations

from localagent.code.languages import language_of
from localagent.core.errors import EditError, ToolError
from localagent.edits.python_definitions import definitions
from localagent.edits.python_edits import replace_function
from localagent.edits.reply_blocks import FORMAT, code, fence_line, search_replace_blocks
from localagent.edits.search_replace import apply_search_replace
from localagent.edits.textfile import sha256, with_text
from localagent.tools.base import Action, ToolArguments, ToolContext, ToolSpec, parse
from localagent.tools.targets import Target, change_action, ensure_readable, load

_GRAMMAR = r"""
edit    ::= "edit path=" path (" function=" [A-Za-z_.0-9]+ "\n" body | "\n" change)
change  ::= "<<<<<<< SEARCH\n" part "=======\n" part ">>>>>>> REPLACE\n"
""".lstrip()


class EditArguments(ToolArguments):
    """Arguments of `edit`; `body` has SEARCH/REPLACE blocks, or the code of `function`."""

    path: str
    body: str
    function: str = ""


class Edit:
    """Changes parts of a file; either all blocks of a call are applied, or none."""

    spec = ToolSpec(
        "edit",
        "write",
        EditArguments,
        "blocks",
        "path",
        aliases=("edit_file", "editfile"),
        body_aliases=("blocks", "block", "diff", "edits", "code", "content", "new_code", "patch"),
        grammar="edit",
        rules=_GRAMMAR,
        verb="change",
    )

    def prepare(self, arguments: dict[str, str], context: ToolContext) -> Action:
        """See `Tool.prepare`."""
        given = parse(EditArguments, self.spec.name, _with_path(arguments))
        ensure_readable(context.workspace, given.path)
        target = load(context.workspace, given.path)
        # The message about a failed edit shows the model lines of the file.
        context.record_read(target.path, sha256(target.data))
        body = context.redactor.restore(given.body, target.file.text)
        text = _edited(target, given.model_copy(update={"body": body}), context)
        return change_action(
            self.spec.name, context, given.path, target, with_text(target.file, text)
        )


def _with_path(arguments: dict[str, str]) -> dict[str, str]:
    """The arguments; if the call names no path, the path comes from its blocks."""
    if arguments.get("path") or "body" not in arguments:
        return arguments
    paths = {block.path for block in search_replace_blocks(arguments["body"]) if block.path}
    return {**arguments, "path": paths.pop()} if len(paths) == 1 else arguments


def _edited(target: Target, given: EditArguments, context: ToolContext) -> str:
    """The whole text of the file after the edit."""
    blocks = search_replace_blocks(given.body)
    if blocks:
        text = target.file.text
        for number, block in enumerate(blocks, 1):
            if block.path and context.workspace.relative(block.path) != target.path:
                raise ToolError(f"this call edits {target.path}; edit {block.path} in another call")
            try:
                text = apply_search_replace(text, block.search, block.replace)
            except EditError as error:
                which = f"block {number}: " if len(blocks) > 1 else ""
                raise EditError(f"{which}{error.message}") from None
        return text
    body = _unfenced(given.body)
    name = given.function or _only_definition(target, body)
    if name:
        return replace_function(target.file.text, name, body)
    raise ToolError(f"edit needs blocks like this in its body:\n{FORMAT}")


def _unfenced(body: str) -> str:
    """`body` without a code fence around it; a fence inside a docstring stays."""
    return code(body) if fence_line(body.lstrip().split("\n", 1)[0]) else body


def _only_definition(target: Target, body: str) -> str:
    """The name of the only definition in `body`, if the file defines this name once; else ""."""
    if not language_of(target.path).can("structural_edit"):
        return ""
    try:
        new = [found.name for found in definitions(body) if not found.parents]
        old = [found.name.rsplit(".", 1)[-1] for found in definitions(target.file.text)]
    except EditError:
        return ""
    return new[0] if len(new) == 1 and old.count(new[0]) == 1 else ""
