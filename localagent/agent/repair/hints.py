"""What failing tests say about the change that they need: texts, lookups and exceptions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from localagent.agent.checks.failure_messages import Edit, text_edits
from localagent.agent.checks.runner import CheckResult, TestResult
from localagent.agent.limits import SEARCH

_LOOKUP = re.compile(r"^(?:Key|Index)Error\b", re.M)
_NOT_RAISED = re.compile(r"DID NOT RAISE (?:<class '(?:\w+\.)*(\w+)'>|(\w+))|(\w+) not raised")
_MATCH = re.compile(r"""\bmatch=r?(["'])(.+?)\1""")
_RAISED = re.compile(
    r"^(?:E\s+)?(?:\w+\.)*(\w*(?:Error|Exception|Interrupt|StopIteration))\b", re.MULTILINE
)
_PATTERN_SIGNS = re.compile(r"\.[*+]|[\\^$]")


@dataclass(frozen=True, slots=True)
class Expected:
    """An exception that a test expects, and the message that the test expects of it, or ""."""

    name: str
    message: str


@dataclass(frozen=True, slots=True)
class Hints:
    """The hints for one file.

    `edits` are the differences of texts, the most frequent first. `failing_lookups` are the lines
    where a key or index was missing. `expected` are exceptions that no code raised. `raised` has
    the exceptions that the tests did not expect, by the lines that they passed.
    """

    edits: tuple[Edit, ...] = ()
    failing_lookups: frozenset[int] = frozenset()
    expected: tuple[Expected, ...] = ()
    raised: Mapping[int, str] = field(default_factory=dict)


def hints_of(path: str, result: CheckResult) -> Hints:
    """The hints that the failing tests of a check give for the file `path`."""
    counts = Counter(edit for test in result.failing for edit in text_edits(test.message))
    edits = tuple(edit for edit, _ in counts.most_common(SEARCH.guided_edits))
    expected = tuple(dict.fromkeys(one for test in result.failing for one in _expected(test)))
    raised: dict[int, str] = {}
    for test in result.failing:
        names = [name for name in _RAISED.findall(test.message) if name != "AssertionError"]
        if names:
            raised |= {line: names[-1] for at, line in test.frames if at == path}
    return Hints(edits, frozenset(failing_lookups(path, result)), expected, raised)


def failing_lookups(path: str, result: CheckResult) -> set[int]:
    """The file's lines on which a lookup of a key or index failed."""
    tests = [test for test in result.failing if _LOOKUP.search(test.message) and test.frames]
    return {line for test in tests for at, line in test.frames[-1:] if at == path}


def _expected(test: TestResult) -> Iterator[Expected]:
    for match in _NOT_RAISED.finditer(test.message):
        name = next(filter(None, match.groups()))
        pattern = _MATCH.search(f"{test.statement}\n{test.message}")
        text = _PATTERN_SIGNS.sub("", pattern[2]) if pattern else ""
        yield Expected(name, text.strip())
