"""What a strategy yields: requests to the model, and how each reply becomes a file's new text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from localagent.agent.repair.candidates import Board
from localagent.agent.repair.problem import Problem
from localagent.agent.turn import Turn
from localagent.models.base import Request


def _ignore(_: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Draft:
    """One question to the model. `build` turns the reply's text into the new texts of the file to
    judge, in order; it raises EditError where the reply cannot be used. A reply that reached its
    limit of tokens, or went round in circles, is used only if it `may_be_cut`; otherwise `cut` is
    given its text. Without a `request` nothing is asked, and `build` is given an empty reply. After
    a draft that `leads_on`, as its reply is for the next drafts or as it is cheap, its strategy
    keeps its turn.
    """

    strategy: str
    request: Request | None
    build: Callable[[str], list[str]]
    may_be_cut: bool = False
    cut: Callable[[str], None] = _ignore
    leads_on: bool = False


def sampled(turn: Turn, number: int, request: Request) -> Request:
    """The request as sample `number` of several: the first is greedy, the others are drawn as the
    model's profile says."""
    profile = turn.services.model.info.profile
    return replace(
        request,
        temperature=profile.temperature if number else 0.0,
        top_p=profile.top_p,
        top_k=profile.top_k,
        seed=turn.request.seed + number,
    )


Strategy = Callable[[Turn, Problem, Board], Iterator[Sequence[Draft]]]
"""Yields drafts that are asked for side by side; an empty list where there is nothing to ask before
another strategy has found something."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which strategies a search uses: those of `first` are used up in this order; then the
    `repairs`, which build upon the best candidate, have a turn each, and one of `anew`, which write
    afresh, and so on; with `anew_first` the other way round."""

    first: Sequence[Strategy]
    repairs: Sequence[Strategy] = ()
    anew: Sequence[Strategy] = ()
    anew_first: bool = False
