"""Rewrite one paragraph of a text: the one that shares the most words with the task.

A small model that has to write a whole README again leaves out most of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from localagent.agent.limits import SEARCH
from localagent.agent.repair.candidates import Board, Draft
from localagent.agent.repair.problem import Problem, system_text
from localagent.agent.repair.strategies.whole_file import code_of
from localagent.agent.turn import Turn
from localagent.agent.word_overlap import by_share, words
from localagent.context.excerpt import code_block
from localagent.core.messages import Message
from localagent.models.base import Request

_PARAGRAPH = re.compile(r"(?:^[^\n]*\S[^\n]*(?:\n|\Z))+", re.MULTILINE)
_FENCE = "```"


def passage(turn: Turn, problem: Problem, _board: Board) -> Iterator[Sequence[Draft]]:
    """Ask for the paragraphs that share the most words with the task, greedily, one at a time."""
    query = words(turn.prompt) - words(problem.path)
    found = [match for match in _PARAGRAPH.finditer(problem.text) if _FENCE not in match[0]]
    known = [words(match[0]) for match in found]
    for match, have in by_share(found, known, query)[: SEARCH.text_passages]:
        if query.intersection(have):
            yield [Draft("passage", _request(turn, problem, match[0]), _replacing(problem, match))]


def _request(turn: Turn, problem: Problem, paragraph: str) -> Request:
    code = code_block(problem.path, paragraph, " (a part)")
    turn.ledger.record_text("code", code)
    values = {"task": turn.prompt.strip(), "part": code}
    user = turn.services.prompts.render("workflow/passage", **values)
    return Request(
        (Message("system", system_text(turn, problem.path)), Message("user", user)),
        max_tokens=2 * turn.services.model.count(paragraph) + SEARCH.passage_tokens,
        stop=(f"\n{_FENCE}",),
        reply_start=problem.fence,
    )


def _replacing(problem: Problem, match: re.Match[str]) -> Callable[[str], list[str]]:
    def build(reply: str) -> list[str]:
        text = code_of(reply)
        start, end = match.span()
        return [problem.text[:start] + text + problem.text[end:]] if text.strip() else []

    return build
