"""What a strategy yields: a request to the model, and how its reply becomes a file's new text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from localagent.agent.candidates import Board
from localagent.agent.problem import Problem
from localagent.agent.turn import Turn
from localagent.models.base import Request


@dataclass(frozen=True, slots=True)
class Draft:
    """One question to the model. `build` turns the reply's text into the new texts of the file to
    judge, in order; it raises EditError where the reply cannot be used."""

    strategy: str
    request: Request
    build: Callable[[str], list[str]]


Strategy = Callable[[Turn, Problem, Board], Iterator[Draft]]
