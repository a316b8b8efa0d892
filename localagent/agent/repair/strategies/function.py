"""One function at a time: rewritten whole, or written anew from its signature.

For a fault in a file that mostly works. The functions are tried in the order of suspicion. Writing
the body anew hides the old one, since a small model that sees a plausible body repeats it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence

from localagent.agent.repair.candidates import Board
from localagent.agent.repair.localize import suspicion
from localagent.agent.repair.problem import Problem, context_messages
from localagent.agent.repair.strategies.base import Draft, sampled
from localagent.agent.repair.strategies.infill import around
from localagent.agent.turn import Turn
from localagent.code.symbols import Symbol
from localagent.core.messages import Message
from localagent.edits.apply import replace_function
from localagent.models.base import Infill, Request

MAX_FUNCTIONS = 3


def suspects(turn: Turn, problem: Problem) -> list[Symbol]:
    """The functions of the file in which the fault may be, the most suspicious first.

    Without executed lines they are in the order of how often the task and the failing tests name
    them.
    """
    symbols = [s for s in turn.services.index.symbols(problem.path) if s.kind != "class"]
    lines = suspicion(problem.start).get(problem.path, {}) if problem.start else {}
    words = (
        turn.prompt + "".join(t.message + t.id for t in problem.start.failing)
        if (problem.start)
        else turn.prompt
    )

    def score(symbol: Symbol) -> tuple[float, int]:
        inside = [lines.get(n, 0.0) for n in range(symbol.line, symbol.end_line + 1)]
        return (max(inside, default=0.0), words.count(symbol.name.split(".")[-1]))

    ranked = sorted(symbols, key=score, reverse=True)
    return [s for s in ranked if score(s) > (0.0, 0)][:MAX_FUNCTIONS] or ranked[:1]


def rewrite(turn: Turn, problem: Problem, _board: Board) -> Iterator[Sequence[Draft]]:
    """Ask for the corrected function, with the file in view: greedily, then sampled."""
    found = suspects(turn, problem)
    shared = context_messages(turn, problem, focus=found)
    for symbol in found:
        tail = turn.services.prompts.render(
            "workflow/function", function=symbol.name, path=problem.path
        )
        user = Message("user", f"{shared[-1].content}\n{tail}")
        request = Request(
            (*shared[:-1], user),
            max_tokens=max(200, 2 * _tokens(turn, problem, symbol) + 100),
            stop=("\n```",),
            reply_start=f"```{problem.language}\n",
        )
        build = _replacing(problem, symbol)
        yield [Draft("function", sampled(turn, number, request), build) for number in range(2)]


def body(turn: Turn, problem: Problem, _board: Board) -> Iterator[Sequence[Draft]]:
    """Have the body filled in anew between the signature and what follows the function."""
    profile = turn.services.model.info.profile
    if not profile.fim or not problem.path.endswith(".py"):
        return
    lines = problem.text.splitlines(keepends=True)
    for symbol in suspects(turn, problem):
        head = _signature_end(lines, symbol)
        if head is None:
            continue
        prefix = "".join(lines[:head])
        suffix = "".join(lines[symbol.end_line :])
        near = Infill(*around(lines, head + 1, symbol.end_line + 1))
        request = Request(
            near,
            max_tokens=2 * _tokens(turn, problem, symbol) + 60,
            stop=("\ndef ", "\nclass ", "\n@", "\n\n\n", "\nif __name__"),
        )
        build = _joining(prefix, suffix)
        yield [Draft("body", sampled(turn, number, request), build) for number in range(3)]


def _joining(prefix: str, suffix: str) -> Callable[[str], list[str]]:
    return lambda reply: [prefix + reply.strip("\n").rstrip() + "\n" + suffix]


def _replacing(problem: Problem, symbol: Symbol) -> Callable[[str], list[str]]:
    return lambda reply: [replace_function(problem.text, symbol.name, reply.strip("\n") + "\n")]


def _tokens(turn: Turn, problem: Problem, symbol: Symbol) -> int:
    lines: Sequence[str] = problem.text.splitlines()
    return turn.services.model.count("\n".join(lines[symbol.line - 1 : symbol.end_line]))


def _signature_end(lines: Sequence[str], symbol: Symbol) -> int | None:
    """The number of lines up to the end of the signature and docstring; None where unclear."""
    try:
        tree = ast.parse("".join(lines))
    except (SyntaxError, ValueError):
        return None
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if symbol.line <= node.lineno <= symbol.end_line and node.end_lineno == symbol.end_line:
            first = node.body[0]
            has_docstring = ast.get_docstring(node) is not None and len(node.body) > 1
            return (node.body[1].lineno if has_docstring else first.lineno) - 1
    return None
