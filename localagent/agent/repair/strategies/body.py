"""New bodies for the suspicious functions of the best text, under the cases that must hold.

The model does not see the old body, because a small model repeats a plausible body. It sees the
signature and the failing cases of the function: a tenth of the tokens of a question for the file.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from localagent.agent.checks.runner import CheckResult
from localagent.agent.limits import SEARCH
from localagent.agent.repair.candidates import Board, Draft, best_text, sample_request
from localagent.agent.repair.infill_prompt import infill_prompt
from localagent.agent.repair.parsed_text import Function, parse
from localagent.agent.repair.problem import Problem, likeliest
from localagent.agent.repair.strategies.infill import about, must_hold
from localagent.agent.turn import Turn
from localagent.models.base import Request

_STOPS = ("\ndef ", "\nclass ", "\n@", "\n\n\n", "\nif __name__")


def body(turn: Turn, problem: Problem, board: Board) -> Iterator[Sequence[Draft]]:
    """Ask for new bodies, a round a slot; when a text improves, start again with it."""
    if not turn.services.model.info.profile.fim or not problem.language.can("fill_in"):
        return
    rounds: Counter[str] = Counter()
    while True:
        text, result = best_text(problem, board)
        if rounds[text] == SEARCH.body_rounds or (result is not None and not result.failing):
            yield []
            continue
        for function in _suspects(turn, problem, text, result):
            yield _drafts(turn, problem, text, result, function, rounds[text])
            if best_text(problem, board)[0] != text:
                break
        else:
            yield []  # another strategy's turn; the next round has other cases
        rounds[text] += 1


def _drafts(
    turn: Turn,
    problem: Problem,
    text: str,
    result: CheckResult | None,
    function: Function,
    number: int,
) -> list[Draft]:
    """The drafts of a round; each round has other cases, and other samples."""
    lines = text.splitlines(keepends=True)
    has_docstring = ast.get_docstring(function) is not None and len(function.body) > 1
    head = function.body[1 if has_docstring else 0].lineno - 1
    end = function.end_lineno or function.lineno
    cases = _cases(problem.path, function, result, number)
    request = Request(
        infill_prompt(lines, head + 1, end + 1, [*about(turn, problem), *cases]),
        max_tokens=2 * turn.services.model.count("".join(lines[head:end])) + SEARCH.body_tokens,
        stop=_STOPS,
    )
    build = _between("".join(lines[:head]), "".join(lines[end:]))
    first = number * SEARCH.body_samples
    return [
        Draft("body", sample_request(turn, sample, request), build)
        for sample in range(first, first + SEARCH.body_samples)
    ]


def _suspects(
    turn: Turn, problem: Problem, text: str, result: CheckResult | None
) -> Sequence[Function]:
    """The functions that may be at fault, the most suspicious first."""
    tree = parse(text)
    nodes = ast.walk(tree) if tree is not None else ()
    functions = [node for node in nodes if isinstance(node, Function) and _is_multiline(node)]
    return likeliest(turn, problem, result, functions, lambda f: (f.name, _lines_of(f)))


def _is_multiline(function: Function) -> bool:
    return function.body[0].lineno > function.lineno


def _lines_of(function: Function) -> range:
    return range(function.body[0].lineno, (function.end_lineno or function.lineno) + 1)


def _cases(path: str, function: Function, result: CheckResult | None, first: int) -> list[str]:
    """Failing assertions of tests that ran the function, a line each, with the actual values.

    They begin with the one of number `first`.
    """
    if result is None:
        return []
    own = set(_lines_of(function))
    ran = [n for n, test in enumerate(result.failing) if own & test.lines.get(path, frozenset())]
    numbers = ran or list(range(len(result.failing)))
    begin = first % max(1, len(numbers))
    chosen = [*numbers[begin:], *numbers[:begin]][: SEARCH.body_cases]
    return list(dict.fromkeys(must_hold(result, n) for n in chosen))


def _between(prefix: str, suffix: str) -> Callable[[str], list[str]]:
    return lambda reply: [prefix + reply.strip("\n").rstrip() + "\n" + suffix]
