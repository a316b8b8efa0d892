"""Short infills at suspicious places, with the tests as judge; climbing by tests passed.

Rewriting does not repair and filling in does (measured on the default model): the best candidate is
taken, the failing assertion is put above the function as a comment, and a line or two are sampled
at one place after the other, in the order of suspicion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from localagent.agent.checks.failure_messages import condensed
from localagent.agent.checks.runner import CheckResult
from localagent.agent.repair.candidates import Board
from localagent.agent.repair.localize import best_text, most_pass, other_text, suspicious_lines
from localagent.agent.repair.problem import Problem
from localagent.agent.repair.strategies.base import Draft, sampled
from localagent.agent.turn import Turn
from localagent.models.base import Infill, Request

HEAD, BEFORE, AFTER = 20, 120, 40
"""Lines of the file's start, before the place and after it."""


def around(lines: Sequence[str], first: int, after: int) -> tuple[str, str]:
    """The text before line `first` and the text from line `after` on, both from 1; `lines` keep
    their ends."""
    before, following = lines[: first - 1], lines[after - 1 :]
    if len(before) > HEAD + BEFORE:
        before = [*before[:HEAD], "\n", *before[-BEFORE:]]
    return "".join(before), "".join(following[:AFTER] if len(lines) > HEAD + BEFORE else following)


SAMPLES = 12
QUICK_PLACES = 4
NEAR_PLACES = 2
NEARLY = 0.15
"""The most failing tests for one that passes, where nearly all pass."""
MAX_PLACES = 12
MAX_TOKENS = 48
"""Two lines; where one is replaced that is longer, twice as many as it has."""
NOTE_CHARS = 200


_Pick = Callable[[Problem, Board], tuple[str, CheckResult | None]]


def quick_infill(turn: Turn, problem: Problem, board: Board) -> Iterator[Sequence[Draft]]:
    """A first, greedy look at the few most suspicious places, where most tests pass already.

    Its prompts are a tenth as long as those that show tests and task, so on a small machine it
    takes seconds where these take a minute.
    """
    _, result = best_text(problem, board)
    if result is not None and most_pass(result):
        yield from _climb(turn, problem, board, QUICK_PLACES, 1, best_text)


def infill(turn: Turn, problem: Problem, board: Board) -> Iterator[Sequence[Draft]]:
    """Replace a line, or insert one before it, at the most suspicious places of the best text."""
    yield from _climb(turn, problem, board, MAX_PLACES, SAMPLES, best_text)


def infill_other(turn: Turn, problem: Problem, board: Board) -> Iterator[Sequence[Draft]]:
    """The same in a text that passes what the best one fails."""
    yield from _climb(turn, problem, board, MAX_PLACES, SAMPLES, other_text)


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
        for drafts in _around(turn, problem, text, result, places, samples):
            yield drafts
            if pick(problem, board)[0] != text:
                break  # climb: the places of the better text are other ones
        else:
            done.add(text)


def _around(
    turn: Turn, problem: Problem, text: str, result: CheckResult, most: int, samples: int
) -> Iterator[Sequence[Draft]]:
    """Infills at each place of `text`: all places greedily before any is sampled, but where nearly
    all tests pass, the likeliest are sampled soon. What is asked for at one place shares its
    prefix, so it is asked for side by side."""
    lines = text.splitlines(keepends=True)
    places = suspicious_lines(problem, lines, result)[:most]
    together = max(1, turn.services.model.info.profile.parallel // 2)
    # Once greedily, then in as many rounds as fill the model's sequences.
    rounds = [
        range(1),
        *(range(n, min(n + together, samples)) for n in range(1, samples, together)),
    ]
    at_once = _at_once(result)
    every = [(number, place) for number in range(len(rounds)) for place in range(len(places))]
    order = [*(each for each in at_once if each in every), *every]
    for number, place in dict.fromkeys(order):
        note, line = _note(result, number), places[place]
        room = max(MAX_TOKENS, 2 * turn.services.model.count(lines[line - 1]))
        drafts = [
            _draft(turn, lines, line, replaced, note, sample, room)
            for replaced in (1, 0)
            for sample in rounds[number]
        ]
        yield [replace(draft, leads_on=(number, place) in at_once) for draft in drafts]


def _at_once(result: CheckResult) -> list[tuple[int, int]]:
    """The rounds and places that come before anything is written anew: where most tests pass, a
    greedy look at the likeliest places; where nearly all do, samples at the very likeliest."""
    if not most_pass(result):
        return []
    looks = [(0, place) for place in range(QUICK_PLACES)]
    if (result.failed or 0) > NEARLY * (result.passed or 0):
        return looks
    return [*looks, *((number, place) for number in (1, 2) for place in range(NEAR_PLACES))]


def _draft(
    turn: Turn, lines: Sequence[str], line: int, replaced: int, note: str, number: int, room: int
) -> Draft:
    """Sample `number` of an infill at `line`, of at most `room` tokens, in place of so many lines;
    number 0 is greedy."""
    before, after = lines[: line - 1], lines[line - 1 + replaced :]
    indent = _indent(lines[line - 1])
    prefix, suffix = around(lines, line, line + replaced)
    request = Request(
        Infill(_with_note(prefix, note, line) + indent, suffix),
        max_tokens=room,
        stop=("\n\n",),
    )
    build = _joining("".join(before) + indent, "".join(after))
    return Draft("infill", sampled(turn, number, request), build, may_be_cut=True)


def _joining(prefix: str, suffix: str) -> Callable[[str], list[str]]:
    def build(reply: str) -> list[str]:
        lines = reply.rstrip().splitlines()
        shapes = ["\n".join(lines[:count]) for count in (1, 2, len(lines)) if count <= len(lines)]
        return [prefix + shape + "\n" + suffix for shape in dict.fromkeys(shapes) if shape.strip()]

    return build


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _note(result: CheckResult, number: int) -> str:
    """One failing assertion, and what came instead; another one each time round, as variety has to
    come from asking. Without the "not" an error that is told of is an error that is raised."""
    test = result.failing[number % len(result.failing)]
    message = test.message
    if test.statement:  # the test is not shown with it
        message = "\n".join([test.statement, *message.splitlines()[1:]])
    text = condensed(message)
    return text.replace(" | ", ", not ", 1)[:NOTE_CHARS]


def _with_note(prefix: str, note: str, line: int) -> str:
    """`prefix` with the failing assertion as a comment above the function that holds the line."""
    kept = prefix.splitlines(keepends=True)
    for index in range(min(line, len(kept)) - 1, -1, -1):
        if kept[index].lstrip().startswith(("def ", "async def ")):
            comment = f"{_indent(kept[index])}# Must hold: {note}\n"
            return "".join([*kept[:index], comment, *kept[index:]])
    return f"# Must hold: {note}\n{prefix}"
