"""`localagent context`: the code that a model would be shown for a question, and why."""

from __future__ import annotations

import argparse
import json
from contextlib import closing
from typing import TYPE_CHECKING

from localagent.cli.options import add_command, add_directory, add_scripted, whole_number
from localagent.cli.output import note, say
from localagent.core.errors import ModelNotInstalled, UsageError

if TYPE_CHECKING:
    from localagent.cli.options import Commands
    from localagent.context.builder import Gathered
    from localagent.context.excerpt import Count
    from localagent.workspace.workspace import Workspace

_DESCRIPTION = """\
Show the code that the model would be given to answer a question: which parts
of which files, how many tokens each takes, and why it was chosen. A change is
asked for in the same way, with the file to be changed beside its tests. Tokens
are counted by the model's own tokenizer; nothing else is asked of the model."""
_EPILOG = """\
examples:
  localagent context "where are retries counted?"
  localagent context "how does shop/cart.py apply a voucher?" --tokens 1500
  localagent context "where are retries counted?" --text

exit codes:
  0  something was found
  1  nothing was
"""
_CHARS = 3.5
"""Of code in a token of the default model, on average; used where no model is installed."""


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "context",
        "show the code that a model would be given",
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("question", metavar="QUESTION", help="as you would ask it")
    parser.add_argument(
        "--tokens",
        metavar="N",
        type=whole_number(1),
        help="fill N tokens (default: what localagent run uses of the model's window)",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--text", action="store_true", help="print the code itself")
    form.add_argument("--json", action="store_true", help="write one JSON object to stdout")
    parser.add_argument("--model", metavar="ID", help="a model of localagent models list")
    add_directory(parser)
    add_scripted(parser)
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Choose, and show what was chosen."""
    from localagent.agent.limits import LOOP
    from localagent.project.project import Project
    from localagent.session.models import open_models

    if not args.question.strip():
        raise UsageError("the question is empty", 'localagent context "what you would ask"')
    project = Project.open(args.directory, {"model": args.model})
    with closing(open_models(project, args.scripted)) as models:
        budget = args.tokens or int(models.info().profile.window * LOOP.answer_share)
        try:
            models.model()
            count = models.role("main").count
        except ModelNotInstalled:
            note("no model is installed, so tokens are estimated: localagent models fetch")
            count = _estimate
        found = _gathered(args.question, project.workspace, count, budget)
    _show(args, found, budget)
    return 0 if found.excerpts else 1


def _estimate(text: str) -> int:
    return int(len(text) / _CHARS) + 1


def _gathered(question: str, workspace: Workspace, count: Count, budget: int) -> Gathered:
    from localagent.agent.repair.localize import paths_in_task
    from localagent.cli.index import opened
    from localagent.context.builder import gather

    with opened(workspace) as index:
        named = paths_in_task(question, workspace, index.files())
        return gather(question, workspace, index, count, budget, named)


def _show(args: argparse.Namespace, found: Gathered, budget: int) -> None:
    if args.json:
        say(json.dumps(_as_json(found, budget)))
        return
    if args.text:
        parts = [*(one.text for one in found.excerpts), found.map]
        say("\n\n".join(part for part in parts if part))
        return
    for tokens, what, why in found.rows():
        say(f"{tokens:>6}  {what}{f'  ({why})' if why else ''}")
    say(f"{found.tokens:>6}  tokens of {budget}" if found.excerpts else "nothing was found")


def _as_json(found: Gathered, budget: int) -> dict[str, object]:
    return {
        "budget": budget,
        "tokens": found.tokens,
        "shown": [
            {
                "path": one.path,
                "lines": [list(span) for span in one.spans],
                "tokens": one.tokens,
                "reason": one.reason,
                "text": one.text,
            }
            for one in found.excerpts
        ],
        "map": {"text": found.map, "tokens": found.map_tokens},
    }
