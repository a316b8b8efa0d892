"""A new function, written by itself and put into its file.

Asked for the whole file, a small model copies it and forgets what was to be added.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from localagent.agent.planners.plan_steps import new_function, own_text
from localagent.agent.repair.candidates import Board
from localagent.agent.repair.problem import Problem, context_messages
from localagent.agent.repair.strategies.base import Draft, sampled
from localagent.agent.turn import Turn
from localagent.core.messages import Message
from localagent.edits.python_definitions import add_definitions
from localagent.models.base import Request

TOKENS = 600


def addition(turn: Turn, problem: Problem, _board: Board) -> Iterator[Sequence[Draft]]:
    """Ask for the function that a step of a plan adds: greedily, then sampled."""
    name = new_function(own_text(turn.prompt), problem.text)
    if not name or not problem.path.endswith(".py"):
        return
    shared = context_messages(turn, problem)
    tail = turn.services.prompts.render("workflow/new-function", function=name, path=problem.path)
    user = Message("user", f"{shared[-1].content}\n{tail}")
    start = f"def {name}("
    request = Request(
        (*shared[:-1], user),
        max_tokens=TOKENS,
        stop=("\n```",),
        reply_start=f"```{problem.language}\n{start}",
    )
    for number in range(2):
        asked = sampled(turn, number, request)
        yield [Draft("new-function", asked, lambda reply: [_added(problem.text, start + reply)])]


def _added(text: str, code: str) -> str:
    return add_definitions(text, code.rstrip() + "\n")
