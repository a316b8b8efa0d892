"""The model writes the whole file anew: first greedily, then in answer to other questions.

A different question helps more than a higher temperature: where the greedy answer failed, eight
samples at temperature 0.8 failed, too (ADR 6). The prompt never contains the old attempt, because a
small model repeats its own code letter by letter. A small model also repeats its first approach in
code, but it names other approaches in words (search over plans: Wang et al., "Planning in natural
language improves LLM search for code generation", 2024).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from localagent.agent.limits import SEARCH
from localagent.agent.model_calls import continuations
from localagent.agent.repair.candidates import Board, Draft, sample_request
from localagent.agent.repair.problem import Problem, context_messages, failures
from localagent.agent.turn import Turn
from localagent.code.file_kinds import is_docs, is_test
from localagent.core.messages import Message
from localagent.edits.python_docstrings import speaks_of_prose, with_prose_of
from localagent.models.base import Request

_LIST_NUMBER = re.compile(r"^\s*(?:\d+[.):]|[-*])\s*")


def whole_file(turn: Turn, problem: Problem, _board: Board) -> Iterator[Sequence[Draft]]:
    """Ask for the whole file with a plain question, greedily.

    A reply that repeats itself is continued from a place where the repetition could have ended.
    """
    shared = context_messages(turn, problem)
    tail = _render(turn, problem, "file")
    cut: list[str] = []
    draft = _file_draft(turn, problem, shared, tail, 0.0, 0)
    yield [replace(draft, on_cut=cut.append)]
    for text in cut:
        most = min(SEARCH.file_escapes, turn.services.model.info.profile.candidates)
        starts = continuations(text, most)
        yield [_file_draft(turn, problem, shared, tail, 0.0, 0, start) for start in starts]


def whole_file_again(turn: Turn, problem: Problem, board: Board) -> Iterator[Sequence[Draft]]:
    """Ask for the whole file with failing cases, with steps first, in another style, and
    sampled."""
    shared = context_messages(turn, problem)
    profile = turn.services.model.info.profile
    names = ("file-plan", "file-loops", "file-helpers")
    ways = [_render(turn, problem, name) for name in names]
    tails = [tail for tail in (_cases(turn, problem, board, 0, "file-cases"), *ways) if tail]
    drafts = [
        _file_draft(turn, problem, shared, tail, 0.0, 1) for tail in tails[: profile.candidates - 1]
    ]
    plain = _render(turn, problem, "file")
    for number in range(len(drafts) + 1, profile.candidates):
        drafts.append(_file_draft(turn, problem, shared, plain, profile.temperature, number))
    yield from _in_groups(turn, board, drafts)


def whole_file_cases(turn: Turn, problem: Problem, board: Board) -> Iterator[Sequence[Draft]]:
    """Sample the whole file again and again, each time with other failing cases in the prompt."""
    shared = context_messages(turn, problem)
    profile = turn.services.model.info.profile
    seed = profile.candidates
    for number in range(1, SEARCH.file_rounds + 1):
        plain = _render(turn, problem, "file")
        tail = _cases(turn, problem, board, number, "file-cases") or plain
        seeds = range(seed, seed + _together(turn, board))
        seed = seeds.stop
        yield [
            _file_draft(turn, problem, shared, tail, profile.temperature, seed) for seed in seeds
        ]


def file_ideas(turn: Turn, problem: Problem, board: Board) -> Iterator[Sequence[Draft]]:
    """Ask for ideas in words, then for the whole file by each idea; repeat with other cases."""
    shared = context_messages(turn, problem)
    profile = turn.services.model.info.profile
    used: set[str] = set()
    for number in range(SEARCH.idea_rounds):
        tail = _cases(turn, problem, board, number, "ideas")
        if not tail:
            return
        replies: list[str] = []
        user = Message("user", f"{shared[-1].content}\n{tail}")
        plain = Request((*shared[:-1], user), max_tokens=SEARCH.idea_tokens, reply_start="1.")
        request = sample_request(turn, number, plain)
        build = _collecting(replies)
        yield [Draft("ideas", request, build, may_be_cut=True, keeps_slot=True)]
        new = [idea for idea in list_ideas("1." + "".join(replies)) if idea not in used]
        used.update(new)
        tails = [_render(turn, problem, "file-idea", idea=i) for i in new[: profile.candidates]]
        drafts = [
            _file_draft(turn, problem, shared, tail, request.temperature, n, strategy="idea")
            for n, tail in enumerate(tails)
        ]
        yield from _in_groups(turn, board, drafts)


def _collecting(replies: list[str]) -> Callable[[str], list[str]]:
    def build(reply: str) -> list[str]:
        replies.append(reply)
        return []

    return build


def list_ideas(text: str) -> list[str]:
    """The items of a reply's list, without their numbers; the list ends where code begins."""
    lines = text.split("```", 1)[0].splitlines()
    items = [_LIST_NUMBER.sub("", x).strip().strip("*") for x in lines if _LIST_NUMBER.match(x)]
    return list(dict.fromkeys(item for item in items if len(item) >= SEARCH.idea_chars))


def _render(turn: Turn, problem: Problem, name: str, **values: str) -> str:
    return turn.services.prompts.render(f"workflow/{name}", path=problem.path, **values)


def _in_groups(turn: Turn, board: Board, drafts: list[Draft]) -> Iterator[Sequence[Draft]]:
    """Group the drafts; a group has as many drafts as the model can write in one round."""
    while drafts:
        now = _together(turn, board)
        yield drafts[:now]
        drafts = drafts[now:]


def _together(turn: Turn, board: Board) -> int:
    """The number of whole files to ask for side by side.

    The model can write this many files of the best text's length in `SEARCH.file_seconds` on this
    machine. Repairs come between two rounds, and the next questions use the repairs' results.
    """
    most = turn.services.model.info.profile.candidates
    usage = turn.ledger.usage
    if board.best is None or not usage.decode_seconds:
        return most
    rate = usage.completion_tokens / usage.decode_seconds
    tokens = turn.services.model.count(board.best.text)
    return max(2, min(most, int(SEARCH.file_seconds * rate / tokens)))


def _cases(turn: Turn, problem: Problem, board: Board, skipped: int, name: str) -> str:
    """The question `name` with the cases that the best candidate fails; "" if it fails none.

    The first `skipped` failing cases move to the end of the list.
    """
    result = board.best.result if board.best is not None else None
    if result is None or not result.failing:
        return ""
    start = skipped % len(result.failing)
    turned = replace(result, tests=(*result.failing[start:], *result.failing[:start]))
    return _render(turn, problem, name, failures=failures(turned, SEARCH.file_cases))


def _file_draft(
    turn: Turn,
    problem: Problem,
    shared: list[Message],
    tail: str,
    temperature: float,
    number: int,
    start: str = "",
    strategy: str = "file",
) -> Draft:
    """A draft that asks for the whole file; the file's text begins with `start`."""
    model = turn.services.model
    user = Message("user", f"{shared[-1].content}\n{tail}")
    profile = model.info.profile
    room = max(SEARCH.file_tokens, 2 * model.count(problem.text))
    used = sum(model.count(m.content) for m in (*shared[:-1], user)) + 64
    request = Request(
        (*shared[:-1], user),
        max_tokens=max(16, min(room, profile.window - used)),
        stop=("\n```", *_test_starts(turn, problem)),
        temperature=temperature,
        top_p=profile.top_p,
        top_k=profile.top_k,
        seed=turn.request.seed + number,
        reply_start=problem.fence + start,
    )

    def build(reply: str) -> list[str]:
        text = code_of(start + reply)
        if problem.language.can("structural_edit") and not speaks_of_prose(turn.prompt):
            text = with_prose_of(problem.text, text)  # the docstrings of the old file stay
        return [] if is_docs(problem.path) and _loses_lines(problem.text, text) else [text]

    return Draft(strategy, request, build)


def _loses_lines(old: str, new: str) -> bool:
    """Whether a text has become much shorter; a small model leaves out what it should keep."""
    before, after = (sum(map(bool, map(str.strip, t.splitlines()))) for t in (old, new))
    return after < SEARCH.kept_lines * before


def _test_starts(turn: Turn, problem: Problem) -> list[str]:
    """First lines of the tests in the prompt: a reply that reaches one is copying the tests."""
    symbols = [s for p in problem.neighbors if is_test(p) for s in turn.services.index.symbols(p)]
    starts = [f"\n{'class' if s.kind == 'class' else 'def'} {s.name}(" for s in symbols]
    return [s for s in starts if s not in problem.text and "." not in s][: SEARCH.file_stops]


def code_of(reply: str) -> str:
    """The code in a reply that begins inside a code fence."""
    text = reply.split("\n```", 1)[0].strip("\n")
    return text.removesuffix("```").rstrip("\n") + "\n"
