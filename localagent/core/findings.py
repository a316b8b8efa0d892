"""A finding: a statement of a program or a model on a place in the code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "note"]
Confidence = Literal["high", "medium", "low"]

LEVELS: tuple[Level, ...] = ("error", "warning", "note")
"""The levels, from the worst to the mildest."""


@dataclass(frozen=True, slots=True)
class CodeFinding:
    """A statement on a place in the code, or on a whole run if `path` is "". Lines count from 1.

    `rule` is the name of a rule, with the program that has the rule ("ruff F401", "review").
    """

    rule: str
    level: Level
    message: str
    path: str = ""
    line: int = 1
    confidence: Confidence = "high"
