"""`localagent context`: show the code that a model gets for a question, and why."""

from __future__ import annotations

import argparse
from contextlib import closing
from typing import TYPE_CHECKING

from localagent.cli.index import open_index
from localagent.cli.options import (
    add_command,
    add_directory,
    add_number,
    add_scripted,
)
from localagent.cli.output import CliResult
from localagent.core.errors import ModelNotInstalled, UsageError
from localagent.ui.chat.output import Output

if TYPE_CHECKING:
    from localagent.cli.options import Commands
    from localagent.context.builder import Gathered

_DESCRIPTION = """\
Show the code that the model would get to answer a question: which parts of
which files, how many tokens each takes, and why it was chosen. For a change,
name the file: its tests come along. The model's own tokenizer counts the
tokens; the model itself does not run."""
_EPILOG = """\
examples:
  localagent context "where are retries counted?"
  localagent context "how does shop/cart.py apply a voucher?" --tokens 1500
  localagent context "where are retries counted?" --text

exit codes:
  0  code was found
  1  nothing was found
"""
_CODE_CHARS_PER_TOKEN = 3.5
"""Average of the default model's tokenizer; used for estimates if no model is installed."""


def register(commands: Commands) -> None:
    """Add the command context to the parser."""
    parser = add_command(
        *(commands, "context", "show the code that a model would get", execute),
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument(
        "question", metavar="QUESTION", help="the question, as you would ask the agent"
    )
    add_number(
        parser,
        "--tokens",
        1,
        "fill N tokens (default: what localagent run uses of the model's window)",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--text", action="store_true", help="print the code itself")
    form.add_argument("--json", action="store_true", help="write one JSON object to stdout")
    parser.add_argument("--model", metavar="ID", help="a model of localagent models list")
    add_directory(parser)
    add_scripted(parser)


def execute(args: argparse.Namespace) -> CliResult:
    """Choose the code for a question, and list its parts."""
    from localagent.agent.limits import LOOP
    from localagent.agent.repair.localize import paths_in_task
    from localagent.context.builder import gather
    from localagent.project.project import Project
    from localagent.session.models import open_models

    if not args.question.strip():
        raise UsageError("the question is empty", 'localagent context "your question"')
    project = Project.open(args.directory, {"model": args.model})
    notes = []
    with closing(open_models(project, args.scripted)) as models:
        budget = args.tokens or int(models.info().profile.window * LOOP.answer_share)
        try:
            models.model()
            count = models.role("main").count
        except ModelNotInstalled:
            text = "no model is installed, so tokens are estimated: localagent models fetch"
            notes.append(Output("note", text))
            count = _estimated_tokens
        with open_index(project.workspace, args.console) as index:
            named = paths_in_task(args.question, project.workspace, index.files())
            code = gather(args.question, project.workspace, index, count, budget, named)
    text = _text(code) if args.text else _list(code, budget)
    return CliResult(
        [*notes, Output("text", text)], _as_json(code, budget), exit_code=0 if code.excerpts else 1
    )


def _estimated_tokens(text: str) -> int:
    return int(len(text) / _CODE_CHARS_PER_TOKEN) + 1


def _text(code: Gathered) -> str:
    parts = [*(part.text for part in code.excerpts), code.map]
    return "\n\n".join(part for part in parts if part)


def _list(code: Gathered, budget: int) -> str:
    if not code.excerpts:
        return "nothing was found"
    lines = [f"{n:>6}  {part}{f'  ({why})' if why else ''}" for n, part, why in code.rows()]
    return "\n".join([*lines, f"{code.tokens:>6}  tokens of {budget}"])


def _as_json(code: Gathered, budget: int) -> dict[str, object]:
    return {
        "budget": budget,
        "tokens": code.tokens,
        "shown": [
            {
                "path": part.path,
                "lines": [list(span) for span in part.spans],
                "tokens": part.tokens,
                "reason": part.reason,
                "text": part.text,
            }
            for part in code.excerpts
        ],
        "map": {"text": code.map, "tokens": code.map_tokens},
    }
