"""Short infills at suspicious places, climbing by passed tests.

A small model does not repair by rewriting, but it does by filling in (ADR 6). The strategy takes
the best candidate and puts the failing assertion above the function as a comment. Then it samples a
line or two at one place after another, in the order of suspicion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from localagent.agent.checks.failure_messages import condense
from localagent.agent.checks.runner import CheckResult
from localagent.agent.limits import SEARCH
from localagent.agent.repair.candidates import (
    Board,
    Draft,
    best_text,
    complement_text,
    most_pass,
    sample_request,
)
from localagent.agent.repair.localize import suspicious_lines
from localagent.agent.repair.problem import Problem
from localagent.agent.turn import Turn
from localagent.models.base import Infill, Request

_Pick = Callable[[Problem, Board], tuple[str, CheckResult | None]]


def quick_infill(turn: Turn, problem: Problem, board: Board) -> Iterator[Sequence[Draft]]:
    """Try the few most suspicious places greedily, where most tests pass already.

    Its prompts are a tenth as long as those with tests and task. On a small machine it takes
    seconds, where they take a minute.
    """
    _, result = best_text(problem, board)
    if result is not None and most_pass(result):
        yield from _climb(turn, problem, board, SEARCH.quick_places, 1, best_text)


def infill(turn: Turn, problem: Problem, board: Board) -> Iterator[Sequence[Draft]]:
    """Replace a line, or insert one before it, at the most suspicious places of the best text."""
    places, samples = SEARCH.infill_places, SEARCH.infill_samples
    yield from _climb(turn, problem, board, places, samples, best_text)


def infill_complement(turn: Turn, problem: Problem, board: Board) -> Iterator[Sequence[Draft]]:
    """The same in a text that passes what the best one fails."""
    places, samples = SEARCH.infill_places, SEARCH.infill_samples
    yield from _climb(turn, problem, board, places, samples, complement_text)


def infill_context(lines: Sequence[str], first: int, after: int) -> tuple[str, str]:
    """The text before line `first` and the text from line `after` on, both from 1.

    `lines` include their line ends. Of a long file only the head and the surroundings remain.
    """
    before, following = lines[: first - 1], lines[after - 1 :]
    most = SEARCH.infill_head + SEARCH.infill_before
    if len(before) > most:
        before = [*before[: SEARCH.infill_head], "\n", *before[-SEARCH.infill_before :]]
    if len(lines) > most:
        following = following[: SEARCH.infill_after]
    return "".join(before), "".join(following)


def _climb(
    turn: Turn, problem: Problem, board: Board, places: int, samples: int, pick: _Pick
) -> Iterator[Sequence[Draft]]:
    if not turn.services.model.info.profile.fim or problem.start is None:
        return
    done: set[str] = set()
    while True:
        text, result = pick(problem, board)
        if result is None or not result.failing or text in done:
            yield []
            continue
        for drafts in _rounds(turn, problem, text, result, places, samples):
            yield drafts
            if pick(problem, board)[0] != text:
                break  # the better text has other suspicious places
        else:
            done.add(text)


def _rounds(
    turn: Turn, problem: Problem, text: str, result: CheckResult, most: int, samples: int
) -> Iterator[Sequence[Draft]]:
    """Infills at each place of `text`, one place a list.

    All places are tried greedily before any is sampled. Where nearly all tests pass, the likeliest
    places are sampled early. The drafts of one place share their prefix.
    """
    lines = text.splitlines(keepends=True)
    places = suspicious_lines(problem.path, lines, result)[:most]
    together = max(1, turn.services.model.info.profile.parallel // 2)
    # The first round is greedy; each later one fills the model's sequences.
    rounds = [
        range(1),
        *(range(n, min(n + together, samples)) for n in range(1, samples, together)),
    ]
    early = _early_rounds(result)
    every = [(number, place) for number in range(len(rounds)) for place in range(len(places))]
    order = [*(each for each in early if each in every), *every]
    for number, place in dict.fromkeys(order):
        note, line = _note(result, number), places[place]
        tokens = max(SEARCH.infill_tokens, 2 * turn.services.model.count(lines[line - 1]))
        drafts = [
            _draft(turn, lines, line, replaced, note, sample, tokens)
            for replaced in (1, 0)
            for sample in rounds[number]
        ]
        yield [replace(draft, keeps_slot=(number, place) in early) for draft in drafts]


def _early_rounds(result: CheckResult) -> list[tuple[int, int]]:
    """The (round, place) pairs that come before anything is written anew.

    Where most tests pass: the greedy round at the likeliest places. Where nearly all pass: samples
    at the very likeliest, too.
    """
    if not most_pass(result):
        return []
    greedy = [(0, place) for place in range(SEARCH.quick_places)]
    if (result.failed or 0) > SEARCH.near_failures * (result.passed or 0):
        return greedy
    return [*greedy, *((number, p) for number in (1, 2) for p in range(SEARCH.near_places))]


def _draft(
    turn: Turn, lines: Sequence[str], line: int, replaced: int, note: str, number: int, tokens: int
) -> Draft:
    """Sample `number` of an infill at `line` that replaces 1 or 0 lines; number 0 is greedy."""
    indent = _indent(lines[line - 1])
    prefix, suffix = infill_context(lines, line, line + replaced)
    request = Request(
        Infill(_with_note(prefix, note, line) + indent, suffix),
        max_tokens=tokens,
        stop=("\n\n",),
    )
    before, after = "".join(lines[: line - 1]) + indent, "".join(lines[line - 1 + replaced :])

    def build(reply: str) -> list[str]:
        """The text with one, two and all lines of the reply."""
        new = reply.rstrip().splitlines()
        shapes = ["\n".join(new[:count]) for count in (1, 2, len(new)) if count <= len(new)]
        return [before + shape + "\n" + after for shape in dict.fromkeys(shapes) if shape.strip()]

    return Draft("infill", sample_request(turn, number, request), build, may_be_cut=True)


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _note(result: CheckResult, number: int) -> str:
    """A failing assertion and the actual value; another one each round, for variety.

    Without the "not", the model reads an error as one that the code should raise.
    """
    test = result.failing[number % len(result.failing)]
    message = test.message
    if test.statement:  # the prompt does not contain the test
        message = "\n".join([test.statement, *message.splitlines()[1:]])
    text = condense(message)
    return text.replace(" | ", ", not ", 1)[: SEARCH.infill_note_chars]


def _with_note(prefix: str, note: str, line: int) -> str:
    """`prefix` with the failing assertion as a comment above the function that holds the line."""
    lines = prefix.splitlines(keepends=True)
    for index in range(min(line, len(lines)) - 1, -1, -1):
        if lines[index].lstrip().startswith(("def ", "async def ")):
            comment = f"{_indent(lines[index])}# Must hold: {note}\n"
            return "".join([*lines[:index], comment, *lines[index:]])
    return f"# Must hold: {note}\n{prefix}"
