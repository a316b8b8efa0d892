"""The report of `localagent doctor`, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class DoctorProblem:
    """A problem, and what to do about it. `fatal` means that a run would fail."""

    what: str
    hint: str = ""
    fatal: bool = True


@dataclass(frozen=True, slots=True)
class Section:
    """One area of the report. `lines` are for users; `data` has the same facts for programs."""

    name: str
    lines: tuple[str, ...] = ()
    problems: tuple[DoctorProblem, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """The whole report of `localagent doctor`."""

    parts: tuple[Section, ...]

    @property
    def problems(self) -> tuple[DoctorProblem, ...]:
        """The problems of all parts, in order."""
        return tuple(problem for part in self.parts for problem in part.problems)

    @property
    def works(self) -> bool:
        """Whether a run would work."""
        return not any(problem.fatal for problem in self.problems)
