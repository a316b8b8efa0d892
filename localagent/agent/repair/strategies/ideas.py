"""Whole candidates again, each after another idea that the model had itself.

What a small model writes first it writes again and again, however hot it is sampled; asked for ways
to solve the task in words, it names ways that it had not taken (search over plans: Wang et al.,
"Planning in natural language improves LLM search for code generation", 2024).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from localagent.agent.repair.candidates import Board
from localagent.agent.repair.problem import Problem, context_messages
from localagent.agent.repair.strategies.base import Draft, sampled
from localagent.agent.repair.strategies.whole_file import cases, in_groups, whole_draft
from localagent.agent.turn import Turn
from localagent.core.messages import Message
from localagent.models.base import Request

ROUNDS = 4
TOKENS = 240
_MIN_CHARS = 12
_NUMBER = re.compile(r"^\s*(?:\d+[.):]|[-*])\s*")


def ideas(turn: Turn, problem: Problem, board: Board) -> Iterator[Sequence[Draft]]:
    """Ask for ideas, then for the whole file after each of them; again with other cases."""
    shared = context_messages(turn, problem)
    profile = turn.services.model.info.profile
    used: set[str] = set()
    for number in range(ROUNDS):
        tail = cases(turn, problem, board, number, "ideas")
        if not tail:
            return
        replies: list[str] = []
        user = Message("user", f"{shared[-1].content}\n{tail}")
        plain = Request((*shared[:-1], user), max_tokens=TOKENS, reply_start="1.")
        request = sampled(turn, number, plain)
        yield [Draft("ideas", request, _keeping(replies), may_be_cut=True, leads_on=True)]
        new = [idea for idea in named("1." + "".join(replies)) if idea not in used]
        used.update(new)
        tails = [
            turn.services.prompts.render("workflow/file-idea", path=problem.path, idea=idea)
            for idea in new[: profile.candidates]
        ]
        drafts = [
            whole_draft(turn, problem, shared, tail, request.temperature, n, strategy="idea")
            for n, tail in enumerate(tails)
        ]
        yield from in_groups(turn, board, drafts)


def named(text: str) -> list[str]:
    """The ideas of a numbered list, one a line, without their numbers; code is no idea."""
    lines = text.split("```", 1)[0].splitlines()
    found = [_NUMBER.sub("", line).strip().strip("*") for line in lines if _NUMBER.match(line)]
    return list(dict.fromkeys(idea for idea in found if len(idea) >= _MIN_CHARS))


def _keeping(replies: list[str]) -> Callable[[str], list[str]]:
    def build(reply: str) -> list[str]:
        replies.append(reply)
        return []

    return build
