"""Change one function at a time: rewrite it, or add a new function, method or class.

`rewrite` is for a fault in a file that mostly works; it tries the most suspicious functions first.
`new_function` asks for an added definition alone. If the prompt asks for the whole file, a small
model copies the file and forgets the addition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from localagent.agent.intent import new_function as function_of_step
from localagent.agent.intent import step_text
from localagent.agent.limits import SEARCH
from localagent.agent.new_definitions import NewDefinition, new_definitions
from localagent.agent.repair.candidates import Board, Draft, sample_request
from localagent.agent.repair.missing_names import imported_names, missing_names
from localagent.agent.repair.problem import Problem, context_messages, failures, likeliest
from localagent.agent.turn import Turn
from localagent.code.symbols import Symbol
from localagent.context.builder import text_of
from localagent.core.errors import EditError
from localagent.core.messages import Message
from localagent.edits.python_definitions import definitions
from localagent.edits.python_edits import add_definitions, add_methods, replace_function
from localagent.edits.textfile import TextFile, with_text
from localagent.models.base import Request


def rewrite(turn: Turn, problem: Problem, _board: Board) -> Iterator[Sequence[Draft]]:
    """Ask for the corrected function, with the file in the prompt; the first draft is greedy."""
    suspects = _suspects(turn, problem)
    shared = context_messages(turn, problem, focus=suspects)
    prompt = "workflow/function" if failures(problem.start) else "workflow/function-task"
    for symbol in suspects:
        tail = turn.services.prompts.render(prompt, function=symbol.name, path=problem.path)
        tokens = max(200, 2 * _tokens(turn, problem, symbol) + 100)
        request = _request(problem, shared, tail, tokens)
        build = _replacing(problem, symbol)
        yield [
            Draft("function", sample_request(turn, number, request), build)
            for number in range(SEARCH.function_samples)
        ]


def new_function(turn: Turn, problem: Problem, board: Board) -> Iterator[Sequence[Draft]]:
    """Ask for the definition that a task or a step adds, or for those that failing tests miss.

    The first draft is greedy. Each definition is added to the text with those before it, because
    tests of a file that cannot be imported tell nothing apart.
    """
    if not problem.language.can("structural_edit"):
        return
    text = problem.text
    for new in _new_definitions(turn, problem):
        current = replace(problem, old=with_text(problem.old or TextFile(""), text))
        shared = context_messages(turn, current)
        what = _described(new)
        tail = turn.services.prompts.render(
            "workflow/new-function", definition=what, path=problem.path
        )
        start = _start(new)
        request = _request(problem, shared, tail, SEARCH.new_function_tokens, start)
        known, before = len(board.tried), board.best_score
        for number in range(SEARCH.function_samples):
            build = _adding(text, new, start)
            yield [Draft("new-function", sample_request(turn, number, request), build)]
            if board.best_score[:3] > before[:3]:
                break
        made = [(c.result.score, c.text) for c in board.tried[known:] if c.result is not None]
        score, best = max(made, key=lambda each: each[0], default=(before, text))
        text = best if score[:3] >= before[:3] else text


def _new_definitions(turn: Turn, problem: Problem) -> list[NewDefinition]:
    """What a step or a task asks to add to the file, or what failing tests miss in it."""
    if turn.request.is_step and (name := function_of_step(step_text(turn.prompt), problem.text)):
        return [NewDefinition(name)]
    missing = [each.name for each in missing_names(problem.start, [problem.path])]
    if missing and problem.start is not None:
        tests = {test.id.partition("::")[0] for test in problem.start.failing}
        texts = [text_of(turn.services.workspace, path) for path in sorted(tests)]
        missing += imported_names(problem.path, problem.text, texts)
    if missing or failures(problem.start) or turn.request.is_step:
        return [NewDefinition(name) for name in dict.fromkeys(missing) if name.islower()]
    return _lacking(problem.text, new_definitions(turn.typed))


def _lacking(text: str, asked: Sequence[NewDefinition]) -> list[NewDefinition]:
    """The new definitions that a file lacks; one whose class is elsewhere becomes a function."""
    try:
        known = definitions(text)
    except EditError:
        return []
    classes = {each.name.rpartition(".")[2] for each in known if each.is_class}
    placed = [new if new.owner in classes else replace(new, owner="") for new in asked]
    names = {each.name for each in known}
    return [new for new in placed if f"{new.owner}.{new.name}".lstrip(".") not in names]


def _described(new: NewDefinition) -> str:
    """The definition as the prompt names it: "method `peek` of `Stack`"."""
    kind = "class" if new.is_class else "method" if new.owner else "function"
    name = f" `{new.name}`" if new.name else ""
    return f"{kind}{name}" + (f" of `{new.owner}`" if new.owner else "")


def _start(new: NewDefinition) -> str:
    """How the definition's code begins. The model's next token brings the space before a name."""
    keyword = "class" if new.is_class else "def"
    if not new.name:
        return keyword
    return f"{keyword} {new.name}" if new.is_class else f"{keyword} {new.name}("


def _adding(text: str, new: NewDefinition, start: str) -> Callable[[str], list[str]]:
    def build(reply: str) -> list[str]:
        code = (start + reply).rstrip() + "\n"
        return [add_methods(text, new.owner, code) if new.owner else add_definitions(text, code)]

    return build


def _request(
    problem: Problem, shared: Sequence[Message], tail: str, tokens: int, start: str = ""
) -> Request:
    """The shared prompt and a question about one definition; the reply begins with `start`."""
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
