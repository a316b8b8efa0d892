"""Whole candidates: the file is written anew. First greedily, then by asking differently.

Asking differently beats asking hotter: where the greedy answer fails, eight samples at temperature
0.8 failed too (measured on the default model). The old attempt is never put in view; shown its own
code, a small model gives it back letter for letter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from localagent.agent.model_calls import ways_out
from localagent.agent.repair.candidates import Board
from localagent.agent.repair.problem import Problem, context_messages, failures
from localagent.agent.repair.strategies.base import Draft
from localagent.agent.turn import Turn
from localagent.code.file_kinds import is_test
from localagent.core.messages import Message
from localagent.edits.python_docstrings import speaks_of_prose, with_prose_of
from localagent.models.base import Request

# A new file of this many tokens is about 120 lines; a longer file may also double.
MIN_REPLY_TOKENS = 1000
SHOWN_CASES = 6
WAYS_OUT = 3
MOST_STOPS = 4
ROUNDS = 24
"""How often the whole file is asked for with other cases: as many as fit into ten minutes."""
SECONDS = 40.0


def whole_file(turn: Turn, problem: Problem, _board: Board) -> Iterator[Sequence[Draft]]:
    """The whole file, asked for plainly, greedily. A reply that went round in circles is gone on
    with from where it could have left them."""
    shared = context_messages(turn, problem)
    tail = turn.services.prompts.render("workflow/file", path=problem.path)
    cut: list[str] = []
    draft = whole_draft(turn, problem, shared, tail, 0.0, 0)
    yield [replace(draft, cut=cut.append)]
    for text in cut:
        ways = ways_out(text, min(WAYS_OUT, turn.services.model.info.profile.candidates))
        yield [whole_draft(turn, problem, shared, tail, 0.0, 0, start) for start in ways]


def whole_file_again(turn: Turn, problem: Problem, board: Board) -> Iterator[Sequence[Draft]]:
    """The whole file, asked for differently, side by side: with the cases that the best attempt
    got wrong, with steps first, in another style, and sampled."""
    shared = context_messages(turn, problem)
    profile = turn.services.model.info.profile
    tails = [
        tail
        for tail in (cases(turn, problem, board, 0, "file-cases"), *_ways(turn, problem))
        if tail
    ]
    drafts = [
        whole_draft(turn, problem, shared, tail, 0.0, 1) for tail in tails[: profile.candidates - 1]
    ]
    plain = turn.services.prompts.render("workflow/file", path=problem.path)
    for number in range(len(drafts) + 1, profile.candidates):
        drafts.append(whole_draft(turn, problem, shared, plain, profile.temperature, number))
    yield from in_groups(turn, board, drafts)


def whole_file_cases(turn: Turn, problem: Problem, board: Board) -> Iterator[Sequence[Draft]]:
    """The whole file, again and again, each time with other cases that the best attempt by now got
    wrong, sampled."""
    shared = context_messages(turn, problem)
    profile = turn.services.model.info.profile
    seed = profile.candidates
    for number in range(1, ROUNDS + 1):
        plain = turn.services.prompts.render("workflow/file", path=problem.path)
        tail = cases(turn, problem, board, number, "file-cases") or plain
        seeds = range(seed, seed + _together(turn, board))
        seed = seeds.stop
        yield [
            whole_draft(turn, problem, shared, tail, profile.temperature, seed) for seed in seeds
        ]


def in_groups(turn: Turn, board: Board, drafts: list[Draft]) -> Iterator[Sequence[Draft]]:
    """Questions for whole files, as many at once as there is time for."""
    while drafts:
        now = _together(turn, board)
        yield drafts[:now]
        drafts = drafts[now:]


def _together(turn: Turn, board: Board) -> int:
    """How many whole files are asked for side by side: as many as are written in `SECONDS` by this
    model on this machine, if they are as long as the best one. What is written is mended, and the
    next questions tell of it; eight long files at once would take all the time there is."""
    most = turn.services.model.info.profile.candidates
    seconds = turn.ledger.usage.decode_seconds
    if board.best is None or not seconds:
        return most
    rate = turn.ledger.usage.completion_tokens / seconds
    return max(2, min(most, int(SECONDS * rate / turn.services.model.count(board.best.text))))


def _ways(turn: Turn, problem: Problem) -> list[str]:
    names = ("file-plan", "file-loops", "file-helpers")
    return [turn.services.prompts.render(f"workflow/{name}", path=problem.path) for name in names]


def cases(turn: Turn, problem: Problem, board: Board, skipped: int, name: str) -> str:
    """The question `name` with the cases that the best attempt got wrong, `skipped` of them moved
    to the end; "" where there are none."""
    result = board.best.result if board.best is not None else None
    if result is None or not result.failing:
        return ""
    start = skipped % len(result.failing)
    turned = replace(result, tests=(*result.failing[start:], *result.failing[:start]))
    text = failures(turned, SHOWN_CASES)
    return turn.services.prompts.render(f"workflow/{name}", path=problem.path, failures=text)


def whole_draft(
    turn: Turn,
    problem: Problem,
    shared: list[Message],
    tail: str,
    temperature: float,
    number: int,
    start: str = "",
    strategy: str = "file",
) -> Draft:
    """A question for the whole file, of which `start` is there already."""
    model = turn.services.model
    user = Message("user", f"{shared[-1].content}\n{tail}")
    profile = model.info.profile
    room = max(MIN_REPLY_TOKENS, 2 * model.count(problem.text))
    used = sum(model.count(m.content) for m in (*shared[:-1], user)) + 64
    request = Request(
        (*shared[:-1], user),
        max_tokens=max(16, min(room, profile.window - used)),
        stop=("\n```", *_of_tests(turn, problem)),
        temperature=temperature,
        top_p=profile.top_p,
        top_k=profile.top_k,
        seed=turn.request.seed + number,
        reply_start=f"```{problem.language}\n{start}",
    )
    return Draft(strategy, request, lambda reply: [_kept(turn, problem, _clean(start + reply))])


def _kept(turn: Turn, problem: Problem, text: str) -> str:
    """A new file with the old one's docstrings, unless the request is about such."""
    if not problem.path.endswith(".py") or speaks_of_prose(turn.prompt):
        return text
    return with_prose_of(problem.text, text)


def _of_tests(turn: Turn, problem: Problem) -> list[str]:
    """How the definitions of the tests in view begin: a reply that gets there copies them."""
    found = [s for p in problem.beside if is_test(p) for s in turn.services.index.symbols(p)]
    starts = [f"\n{'class' if s.kind == 'class' else 'def'} {s.name}(" for s in found]
    return [s for s in starts if s not in problem.text and "." not in s][:MOST_STOPS]


def _clean(reply: str) -> str:
    """The code of a reply that began inside a fence."""
    text = reply.split("\n```", 1)[0].strip("\n")
    return text.removesuffix("```").rstrip("\n") + "\n"
