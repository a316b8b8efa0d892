"""One reading of a function gives many candidates: the tokens that the model expected there.

Reading a function costs seconds, and then the likely other tokens of every place are known (ADR 6).
The strategy reads the most suspicious functions, and tries these tokens alone. Then it lets the
model write on from the likeliest ones, many at once and to the line's end.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from localagent.agent.checks.runner import CheckResult
from localagent.agent.limits import SEARCH
from localagent.agent.repair.candidates import Base, Board, Draft, best_text
from localagent.agent.repair.function_text import FunctionText, LineEdit, read_function
from localagent.agent.repair.localize import suspicious_lines
from localagent.agent.repair.problem import Problem
from localagent.agent.repair.strategies.infill import comments
from localagent.agent.repair.suspects import suspicion
from localagent.agent.repair.token_edits import (
    TokenBranch,
    branches,
    exits,
    guard_edits,
    guard_of,
    line_end_edits,
    token_edits,
    usable,
)
from localagent.agent.turn import Turn
from localagent.models.alternatives import load_places
from localagent.models.base import RawText, Request

_NAME = "alternatives"


@dataclass
class _Reading:
    """A function, the tokens that the model expected in it, and their edits.

    `base` is the text that the edits change, None if the model does not see it as it is. `forms`
    are the syntax trees of the candidates so far.
    """

    function: FunctionText
    base: Base | None
    forms: set[str | None]
    found: list[TokenBranch] = field(default_factory=list)
    edits: list[LineEdit] = field(default_factory=list)


def alternatives(turn: Turn, problem: Problem, board: Board) -> Iterator[Sequence[Draft]]:
    """Try the other likely tokens in the suspicious functions of the best text.

    When a text improves, the strategy starts again with it.
    """
    done: set[str] = set()
    while turn.services.model.info.raw_text and problem.language.can("mutation"):
        text, result = best_text(problem, board)
        redacted = turn.services.redactor.redact(text)  # the search restores the secrets
        if result is None or not result.failing or redacted in done:
            yield []
            continue
        done.add(redacted)
        base = Base(text, result) if text == redacted else None
        found = _suspects(turn, problem, redacted, result)
        readings = [_Reading(function, base, {function.form()}) for function in found]
        moves = [move(reading) for move in (_tokens, _lines) for reading in readings]
        for drafts in itertools.chain.from_iterable(moves):
            yield drafts
            if best_text(problem, board)[1] is not result:
                break
    yield []


def _suspects(
    turn: Turn, problem: Problem, text: str, result: CheckResult
) -> Iterator[FunctionText]:
    """The functions that hold the most suspicious lines, each once."""
    lines = suspicious_lines(problem.path, text.splitlines(), result, problem.functions)
    weights = suspicion(result).get(problem.path, {}) or dict.fromkeys(lines, 1.0)
    above = [turn.services.redactor.redact(c) for c in comments(turn, problem, result, 0)]
    read: list[FunctionText] = []
    for line in lines:
        if any(function.first <= line <= function.last for function in read):
            continue
        function = read_function(text, line, weights, above, SEARCH.alternative_lines)
        if function is not None and turn.services.redactor.redact(function.text) == function.text:
            read.append(function)
            yield function
        if len(read) == SEARCH.alternative_functions:
            return


def _tokens(reading: _Reading) -> Iterator[Sequence[Draft]]:
    """Read a function, then try tokens alone."""
    function, replies = reading.function, list[str]()
    prompt = RawText(function.text, function.start, SEARCH.alternative_options)
    yield [_question(Request(prompt, max_tokens=0), replies.append)]
    reading.found = branches(function, load_places("".join(replies)))
    reading.edits = [edit for branch in reading.found for edit in token_edits(branch)]
    yield from _batches(reading, SEARCH.alternative_tokens)


def _lines(reading: _Reading) -> Iterator[Sequence[Draft]]:
    """Let the model continue the likeliest tokens, and the guards that it writes by a line."""
    function = reading.function
    chosen = [branch for branch in reading.found if not branch.ends]
    lines = dict.fromkeys(chosen[: SEARCH.alternative_branches], "")
    if lines:
        yield [_question(_continue(function, branch), _keep(lines, branch)) for branch in lines]
    guards = {b: guard for b, reply in lines.items() if (guard := guard_of(b, reply))}
    bodies = dict.fromkeys(list(guards)[: SEARCH.alternative_guards], "")
    if bodies:
        yield [_question(_block(function, b, guards[b]), _keep(bodies, b)) for b in bodies]
    for branch, reply in lines.items():
        reading.edits += line_end_edits(branch, reply)
    blocks = [reply.partition("\n")[0].strip() for reply in bodies.values()]
    for branch, block in zip(bodies, blocks, strict=True):
        others = [*exits(function), *blocks]
        reading.edits += guard_edits(branch, guards[branch], [block, *others])
    yield from _batches(reading, SEARCH.alternative_edits)


def _continue(function: FunctionText, branch: TokenBranch) -> Request:
    prompt = RawText(function.text, branch=(branch.place, branch.token))
    return Request(prompt, max_tokens=SEARCH.alternative_line_tokens, stop=("\n",))


def _block(function: FunctionText, branch: TokenBranch, guard: str) -> Request:
    """The question for the first line of a guard's block."""
    prompt = RawText(f"{function.before(branch.number)}{guard}\n")
    return Request(prompt, max_tokens=SEARCH.alternative_guard_tokens, stop=("\n",))


def _keep(lines: dict[TokenBranch, str], branch: TokenBranch) -> Callable[[str], None]:
    def keep(reply: str) -> None:
        lines[branch] = reply

    return keep


def _question(request: Request, take: Callable[[str], None]) -> Draft:
    """A question whose reply is no candidate."""

    def build(reply: str) -> list[str]:
        take(reply)
        return []

    return Draft(_NAME, request, build, may_be_cut=True, keeps_slot=True)


def _batches(reading: _Reading, most: int) -> Iterator[Sequence[Draft]]:
    """The likeliest new edits as drafts, in batches that take two seconds to judge."""
    ranked = sorted(reading.edits, key=lambda edit: -edit.score)
    edits = list(itertools.islice(usable(reading.function, ranked, reading.forms), most))
    end, size = time.monotonic() + SEARCH.alternative_seconds, SEARCH.alternative_first
    while edits and (start := time.monotonic()) < end:
        batch, edits = edits[:size], edits[size:]
        yield [Draft.of_text(_NAME, reading.function.file(edit), reading.base) for edit in batch]
        rate = len(batch) / max(0.001, time.monotonic() - start)
        size = max(1, min(SEARCH.alternative_batch, int(SEARCH.alternative_batch_seconds * rate)))
