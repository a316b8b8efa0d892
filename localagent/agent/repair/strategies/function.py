"""Change one function at a time: rewrite it, or add a new function.

`rewrite` is for a fault in a file that mostly works; it tries the most suspicious functions first.
`new_function` asks for an added function alone. If the prompt asks for the whole file, a small
model copies the file and forgets the addition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from localagent.agent.intent import new_function as function_of_step
from localagent.agent.intent import step_text
from localagent.agent.limits import SEARCH
from localagent.agent.repair.candidates import Board, Draft, sample_request
from localagent.agent.repair.missing_names import imported_names, missing_names
from localagent.agent.repair.problem import Problem, context_messages, likeliest
from localagent.agent.turn import Turn
from localagent.code.symbols import Symbol
from localagent.context.builder import text_of
from localagent.core.messages import Message
from localagent.edits.python_edits import add_definitions, replace_function
from localagent.edits.textfile import TextFile, with_text
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


def new_function(turn: Turn, problem: Problem, board: Board) -> Iterator[Sequence[Draft]]:
    """Ask for the function that a step of a plan adds, or for those that failing tests miss.

    The first draft is greedy. Each function is added to the text with the functions before it,
    because tests of a file that cannot be imported tell nothing apart.
    """
    if not problem.language.can("structural_edit"):
        return
    text = problem.text
    for name in _new_names(turn, problem):
        current = replace(problem, old=with_text(problem.old or TextFile(""), text))
        shared = context_messages(turn, current)
        start = f"def {name}("
        tokens = SEARCH.new_function_tokens
        request = _request(turn, problem, shared, "workflow/new-function", name, tokens, start)
        known, before = len(board.tried), board.best_score
        for number in range(SEARCH.function_samples):
            build = _adding(text, start)
            yield [Draft("new-function", sample_request(turn, number, request), build)]
            if board.best_score[:3] > before[:3]:
                break
        made = [(c.result.score, c.text) for c in board.tried[known:] if c.result is not None]
        score, best = max(made, key=lambda each: each[0], default=(before, text))
        text = best if score[:3] >= before[:3] else text


def _new_names(turn: Turn, problem: Problem) -> list[str]:
    if name := function_of_step(step_text(turn.prompt), problem.text):
        return [name]
    missing = [each.name for each in missing_names(problem.start, [problem.path])]
    if missing and problem.start is not None:
        tests = {test.id.partition("::")[0] for test in problem.start.failing}
        texts = [text_of(turn.services.workspace, path) for path in sorted(tests)]
        missing += imported_names(problem.path, problem.text, texts)
    return [name for name in dict.fromkeys(missing) if name.islower()]


def _adding(text: str, start: str) -> Callable[[str], list[str]]:
    return lambda reply: [add_definitions(text, (start + reply).rstrip() + "\n")]


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
