"""Whole candidates: the file is written anew. First greedily, then by asking differently.

Asking differently beats asking hotter: where the greedy answer fails, eight samples at temperature
0.8 failed too (measured on the default model). The old attempt is never put in view; shown its own
code, a small model gives it back letter for letter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from localagent.agent.candidates import Board
from localagent.agent.problem import Problem, context_messages, failures
from localagent.agent.strategies.base import Draft
from localagent.agent.turn import Turn
from localagent.messages import Message
from localagent.models.base import Request

# A new file of this many tokens is about 120 lines; a longer file may also double.
MIN_REPLY_TOKENS = 1000


def whole_file(turn: Turn, problem: Problem, _board: Board) -> Iterator[Sequence[Draft]]:
    """The whole file, asked for plainly, greedily."""
    shared = context_messages(turn, problem)
    tail = turn.services.prompts.render("workflow/file", path=problem.path)
    yield [_draft(turn, problem, shared, tail, 0.0, 0)]


def whole_file_again(turn: Turn, problem: Problem, board: Board) -> Iterator[Sequence[Draft]]:
    """The whole file, asked for differently: with a plan first, with the failed cases, sampled."""
    render = turn.services.prompts.render
    shared = context_messages(turn, problem)
    profile = turn.services.model.info.profile
    drafts: list[Draft] = []
    for number in range(1, profile.candidates):
        temperature = 0.0
        if number == 1:
            tail = render("workflow/file-plan", path=problem.path)
        elif number == 2 and board.best is not None and failures(board.best.result):
            text = failures(board.best.result, 6)
            tail = render("workflow/file-cases", path=problem.path, failures=text)
        else:
            tail = render("workflow/file", path=problem.path)
            temperature = profile.temperature
        drafts.append(_draft(turn, problem, shared, tail, temperature, number))
    if drafts:
        yield drafts


def _draft(
    turn: Turn,
    problem: Problem,
    shared: list[Message],
    tail: str,
    temperature: float,
    number: int,
) -> Draft:
    model = turn.services.model
    user = Message("user", f"{shared[-1].content}\n{tail}")
    profile = model.info.profile
    room = max(MIN_REPLY_TOKENS, 2 * model.count(problem.text))
    used = sum(model.count(m.content) for m in (*shared[:-1], user)) + 64
    request = Request(
        (*shared[:-1], user),
        max_tokens=max(16, min(room, profile.window - used)),
        stop=("\n```",),
        temperature=temperature,
        top_p=profile.top_p,
        top_k=profile.top_k,
        seed=turn.seed + number,
        reply_start=f"```{problem.language}\n",
    )
    return Draft("file", request, lambda reply: [_clean(reply)])


def _clean(reply: str) -> str:
    """The code of a reply that began inside a fence."""
    text = reply.split("\n```", 1)[0].strip("\n")
    return text.removesuffix("```").rstrip("\n") + "\n"
