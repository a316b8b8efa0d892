"""Change one function at a time: rewrite it, or add a new function.

`rewrite` is for a fault in a file that mostly works; it tries the most suspicious functions first.
`new_function` asks for an added function alone. If the prompt asks for the whole file, a small
model copies the file and forgets the addition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from localagent.agent.intent import new_function as function_of_step
from localagent.agent.intent import step_text
from localagent.agent.limits import SEARCH
from localagent.agent.repair.candidates import Board, Draft, sample_request
from localagent.agent.repair.problem import Problem, context_messages, likeliest
from localagent.agent.turn import Turn
from localagent.code.symbols import Symbol
from localagent.core.messages import Message
from localagent.edits.python_edits import add_definitions, replace_function
from localagent.models.base import Request


def rewrite(turn: Turn, problem: Problem, _board: Board) -> Iterator[Sequence[Draft]]:
    """Ask for the corrected function, with the file in the prompt; the first draft is greedy."""
    suspects = _suspects(turn, problem)
    shared = context_messages(turn, problem, focus=suspects)
    for symbol in suspects:
        request = _request(
            turn,
            problem,
            shared,
            "workflow/function",
            symbol.name,
            max(200, 2 * _tokens(turn, problem, symbol) + 100),
        )
        build = _replacing(problem, symbol)
        yield [
            Draft("function", sample_request(turn, number, request), build)
            for number in range(SEARCH.function_samples)
        ]


def new_function(turn: Turn, problem: Problem, _board: Board) -> Iterator[Sequence[Draft]]:
    """Ask for the function that a step of a plan adds; the first draft is greedy."""
    name = function_of_step(step_text(turn.prompt), problem.text)
    if not name or not problem.language.can("structural_edit"):
        return
    shared = context_messages(turn, problem)
    start = f"def {name}("
    tokens = SEARCH.new_function_tokens
    request = _request(turn, problem, shared, "workflow/new-function", name, tokens, start)
    for number in range(SEARCH.function_samples):
        yield [
            Draft(
                "new-function",
                sample_request(turn, number, request),
                lambda reply: [add_definitions(problem.text, (start + reply).rstrip() + "\n")],
            )
        ]


def _request(
    turn: Turn,
    problem: Problem,
    shared: Sequence[Message],
    prompt: str,
    function: str,
    tokens: int,
    start: str = "",
) -> Request:
    """The shared prompt and a question about one function; the reply's code begins with `start`."""
    tail = turn.services.prompts.render(prompt, function=function, path=problem.path)
    return Request(
        (*shared[:-1], Message("user", f"{shared[-1].content}\n{tail}")),
        max_tokens=tokens,
        stop=("\n```",),
        reply_start=problem.fence + start,
    )


def _suspects(turn: Turn, problem: Problem) -> list[Symbol]:
    """The file's functions that may be at fault, the most suspicious first."""
    symbols = [s for s in turn.services.index.symbols(problem.path) if s.kind != "class"]
    return likeliest(
        turn, problem, problem.start, symbols, lambda s: (s.name, range(s.line, s.end_line + 1))
    )


def _replacing(problem: Problem, symbol: Symbol) -> Callable[[str], list[str]]:
    return lambda reply: [replace_function(problem.text, symbol.name, reply.strip("\n") + "\n")]


def _tokens(turn: Turn, problem: Problem, symbol: Symbol) -> int:
    lines = problem.text.splitlines()
    return turn.services.model.count("\n".join(lines[symbol.line - 1 : symbol.end_line]))
