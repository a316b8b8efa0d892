"""Short infills at suspicious places; each improved text is the base of the next infills.

A small model seldom repairs a fault by rewriting code, but often by filling in a line (ADR 6). The
strategy puts the failing assertion as a comment above the function of the best candidate. Then it
samples a line or two at one place after another, the most suspicious place first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from localagent.agent.checks.failure_messages import condense
from localagent.agent.checks.runner import CheckResult, most_pass
from localagent.agent.limits import SEARCH
from localagent.agent.repair.candidates import (
    Board,
    Draft,
    best_text,
    complement_text,
    sample_request,
)
from localagent.agent.repair.infill_prompt import infill_prompt
from localagent.agent.repair.localize import suspicious_lines
from localagent.agent.repair.problem import Problem
from localagent.agent.turn import Turn
from localagent.agent.word_overlap import words
from localagent.models.base import Request

_Pick = Callable[[Problem, Board], tuple[str, CheckResult | None]]


def quick_infill(turn: Turn, problem: Problem, board: Board) -> Iterator[Sequence[Draft]]:
    """Try a greedy infill at the few most suspicious places, if most tests pass already.

    These infill prompts contain neither the tests nor the task. On a small machine the model reads
    an infill prompt in seconds, and a full prompt in a minute.
    """
    _, result = best_text(problem, board)
    if result is not None and most_pass(result):
        yield from _climb(turn, problem, board, SEARCH.quick_places, 1, best_text)


def infill(turn: Turn, problem: Problem, board: Board) -> Iterator[Sequence[Draft]]:
    """At the most suspicious places of the best text, replace a line or insert a line before it."""
    places, samples = SEARCH.infill_places, SEARCH.infill_samples
    yield from _climb(turn, problem, board, places, samples, best_text)


def infill_complement(turn: Turn, problem: Problem, board: Board) -> Iterator[Sequence[Draft]]:
    """Make infills in the best candidate among those that pass a test that the best text fails."""
    places, samples = SEARCH.infill_places, SEARCH.infill_samples
    yield from _climb(turn, problem, board, places, samples, complement_text)


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
                break  # the improved text has other suspicious places
        else:
            done.add(text)


def _rounds(
    turn: Turn, problem: Problem, text: str, result: CheckResult, most: int, samples: int
) -> Iterator[Sequence[Draft]]:
    """Lists of infill drafts for `text`; each list is for one place.

    The first round is greedy at all places, and later rounds sample. If nearly all tests pass, the
    likeliest places are sampled early. The drafts of one place share a prompt prefix.
    """
    lines = text.splitlines(keepends=True)
    places = suspicious_lines(problem.path, lines, result, problem.functions)[:most]
    together = max(1, turn.services.model.info.profile.parallel // 2)
    # The first round is greedy; each later round has a draft for each of the model's sequences.
    rounds = [
        range(1),
        *(range(n, min(n + together, samples)) for n in range(1, samples, together)),
    ]
    early = _early_rounds(result)
    every = [(number, place) for number in range(len(rounds)) for place in range(len(places))]
    order = [*(each for each in early if each in every), *every]
    for number, place in dict.fromkeys(order):
        above, line = comments(turn, problem, result, number), places[place]
        tokens = max(SEARCH.infill_tokens, 2 * turn.services.model.count(lines[line - 1]))
        drafts = [
            _draft(turn, problem, lines, line, replaced, above, sample, tokens)
            for replaced in (1, 0)
            for sample in rounds[number]
        ]
        yield [replace(draft, keeps_slot=(number, place) in early) for draft in drafts]


def _early_rounds(result: CheckResult) -> list[tuple[int, int]]:
    """The (round, place) pairs that come before any other strategy writes from scratch.

    If most tests pass, these are the greedy round at the likeliest places. If nearly all tests
    pass, samples at the very likeliest places are added.
    """
    if not most_pass(result):
        return []
    greedy = [(0, place) for place in range(SEARCH.quick_places)]
    if (result.failed or 0) > SEARCH.near_failures * (result.passed or 0):
        return greedy
    return [*greedy, *((number, p) for number in (1, 2) for p in range(SEARCH.near_places))]


def _draft(
    turn: Turn,
    problem: Problem,
    lines: Sequence[str],
    line: int,
    replaced: int,
    above: Sequence[str],
    number: int,
    tokens: int,
) -> Draft:
    """Sample `number` of an infill at `line` that replaces one line or none; number 0 is greedy."""
    indent = _indent(lines[line - 1])
    prompt = infill_prompt(lines, line, line + replaced, above)
    request = Request(
        replace(prompt, prefix=prompt.prefix + indent),
        max_tokens=tokens,
        stop=("\n\n",),
    )
    before, after = "".join(lines[: line - 1]) + indent, lines[line - 1 + replaced :]

    def build(reply: str) -> list[str]:
        """The file's text with the reply without lines that follow anyway, then with its first one
        and two lines, with all lines, and in forks with all lines in place of as many.
        """
        new = reply.rstrip().splitlines()
        repeated = _overlap(new, after)
        counts = [len(new) - repeated] if repeated else []
        counts += [count for count in (1, 2, len(new)) if count <= len(new)]
        texts = [
            before + "\n".join([*new[:count], ""]) + "".join(after) for count in counts if count
        ]
        if len(new) > 1 and problem.has_forks:
            texts.append(before + "\n".join([*new, ""]) + "".join(after[len(new) - replaced :]))
        return list(dict.fromkeys(texts)) if reply.strip() else []

    return Draft("infill", sample_request(turn, number, request), build, may_be_cut=True)


def _overlap(new: Sequence[str], after: Sequence[str]) -> int:
    """How many lines at the end of `new` are the first lines of `after`."""
    ends, follow = [line.strip() for line in new], [line.strip() for line in after[: len(new)]]
    return next((n for n in range(len(new), 0, -1) if ends[-n:] == follow[:n]), 0)


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def comments(turn: Turn, problem: Problem, result: CheckResult, number: int) -> list[str]:
    """The comments above the function: the request if it is about this file, and a failing case."""
    return [*about(turn, problem), must_hold(result, number)]


def about(turn: Turn, problem: Problem) -> list[str]:
    """The request's first line, if at least two of its words are in the file."""
    line = turn.prompt.strip().partition("\n")[0][: SEARCH.infill_note_chars]
    shared = words(line) & words(problem.text)
    return [turn.services.redactor.redact(line)] if len(shared) > 1 else []


def must_hold(result: CheckResult, number: int) -> str:
    """A failing assertion with the actual value; each round takes another assertion for variety.

    The word "not" keeps the model from reading an error as one that the code should raise.
    """
    test = result.failing[number % len(result.failing)]
    message = test.message
    if test.statement:  # the prompt does not contain the test
        message = "\n".join([test.statement, *message.splitlines()[1:]])
    text = condense(message)
    return f"Must hold: {text.replace(' | ', ', not ', 1)[: SEARCH.infill_note_chars]}"
