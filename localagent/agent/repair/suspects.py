"""Rank the functions that may have to change, by what tests ran and by words.

The score of a function is a weighted sum of evidence. Each part is a number from 0 to 1:

- difference: The most similar passing test did not run some lines that a failing test ran (nearest
  neighbor; Renieris and Reiss, 2003).
- spectrum: Few passing tests ran the lines that failing tests ran (DStar).
- coverage: Many of the failing tests ran the function, because one fault is likelier than several.
- traceback: The function is in the traceback of a failing test, near the error.
- words: Rare words of the task, the tests' names and the messages are in its name and code.
- length: Failing tests ran many of its lines.

A function that only passes values on to another suspect comes after all others: none of 47
measured fixes is in one.

`scripts/bench bugs --rank-only` measures the ranking. The weights were fitted on one half.
"""

from __future__ import annotations

import ast
import math
import textwrap
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from localagent.agent.checks.runner import CheckResult, TestResult
from localagent.agent.repair.parsed_text import parse
from localagent.agent.word_overlap import rarity, share, words
from localagent.code.symbols import Symbol

_FAILING = 8  # failing tests that count; more tests say the same
_PASSING = 300  # passing tests that are compared to the failing ones
_DIFFERENT = 3  # lines that only the failing test ran, from which on the part is 1
_LONG = 60  # executed lines from which on the part is 1

WEIGHTS = {
    "difference": 2.0,
    "spectrum": 1.0,
    "coverage": 2.0,
    "traceback": 1.2,
    "name and task": 1.2,
    "class and task": 1.5,
    "name and tests": 2.4,
    "code and task": 1.9,
    "code and messages": 0.9,
    "length": 1.9,
}

_COMPUTING = (
    *(ast.BinOp, ast.BoolOp, ast.UnaryOp, ast.Compare, ast.IfExp, ast.If, ast.For, ast.While),
    *(ast.Try, ast.Raise, ast.Assert, ast.Subscript, ast.comprehension, ast.JoinedStr),
    *(ast.AugAssign, ast.Yield, ast.YieldFrom, ast.Await, ast.Match, ast.Delete),
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The task, its traced check, and the definitions and texts of the files that it ran."""

    task: str
    result: CheckResult
    symbols: Mapping[str, Sequence[Symbol]]
    texts: Mapping[str, str]


@dataclass(slots=True)
class Suspect:
    """A function that failing tests ran: the lines that they ran, its code, and its score."""

    symbol: Symbol
    lines: list[int]
    code: str
    score: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)


def rank_functions(evidence: Evidence) -> list[Suspect]:
    """The functions that failing tests ran, the most suspicious first."""
    suspects = _executed(evidence)
    failing = evidence.result.failing[:_FAILING]
    _add_spectrum(suspects, evidence.result)
    _add_coverage(suspects, evidence.result.failing)
    _add_differences(suspects, evidence.result, failing)
    _add_tracebacks(suspects, failing)
    _add_words(suspects, evidence.task, failing)
    for suspect in suspects:
        size = math.log1p(len(suspect.lines)) / math.log1p(_LONG)
        suspect.parts["length"] = min(1.0, size)
        suspect.score = sum(WEIGHTS[name] * value for name, value in suspect.parts.items())
    names = {suspect.symbol.last for suspect in suspects}
    return sorted(suspects, key=lambda suspect: (_forwards(suspect, names), -suspect.score))


def _executed(evidence: Evidence) -> list[Suspect]:
    """The functions in which failing tests ran a line after the first one."""
    ran: dict[str, set[int]] = defaultdict(set)
    for test in evidence.result.failing:
        for path, executed in test.lines.items():
            ran[path] |= executed
    suspects = []
    for path, symbols in evidence.symbols.items():
        text = evidence.texts.get(path, "").splitlines()
        for symbol in symbols:
            lines = sorted(n for n in ran[path] if symbol.line < n <= symbol.end_line)
            if symbol.is_callable and lines:
                code = "\n".join(text[symbol.line - 1 : symbol.end_line])
                suspects.append(Suspect(symbol, lines, code))
    return suspects


def _forwards(suspect: Suspect, names: Collection[str]) -> bool:
    """Whether a Python function only passes values on to a function in `names`."""
    tree = parse(textwrap.dedent(suspect.code))
    nodes = list(ast.walk(tree)) if tree is not None else []
    calls = [node.func for node in nodes if isinstance(node, ast.Call)]
    called = {f.attr if isinstance(f, ast.Attribute) else getattr(f, "id", "") for f in calls}
    called.discard(suspect.symbol.last)
    return not called.isdisjoint(names) and not any(isinstance(n, _COMPUTING) for n in nodes)


def _add_spectrum(suspects: Sequence[Suspect], result: CheckResult) -> None:
    scores = suspicion(result)
    for suspect in suspects:
        lines = scores.get(suspect.symbol.path, {})
        suspect.parts["spectrum"] = max(lines.get(n, 0.0) for n in suspect.lines)


def _add_coverage(suspects: Sequence[Suspect], failing: Sequence[TestResult]) -> None:
    for suspect in suspects:
        lines = set(suspect.lines)
        ran = sum(not lines.isdisjoint(test.lines.get(suspect.symbol.path, ())) for test in failing)
        suspect.parts["coverage"] = ran / len(failing)


def suspicion(result: CheckResult) -> dict[str, dict[int, float]]:
    """The suspiciousness of each executed line, from 0 to 1, by path and line.

    The formula is DStar with exponent 2 (Wong et al., 2014) as a share: f² / (f² + p + m). Here f
    failing and p passing tests ran the line, and m failing tests did not. The formula favors lines
    that all failing tests ran, because one fault is likelier than several.
    """
    ran: dict[tuple[str, int], list[int]] = {}
    for test in result.tests:
        failed = test.outcome == "failed"
        for path, lines in test.lines.items():
            for line in lines:
                ran.setdefault((path, line), [0, 0])[failed] += 1
    total = len(result.failing)
    scores: dict[str, dict[int, float]] = {}
    for (path, line), (passed, failing) in ran.items():
        if failing:
            score = failing**2 / (failing**2 + passed + total - failing)
            scores.setdefault(path, {})[line] = score
    return scores


def _add_differences(
    suspects: Sequence[Suspect], result: CheckResult, failing: Sequence[TestResult]
) -> None:
    different = differences(result, failing)
    for suspect in suspects:
        path = suspect.symbol.path
        count = sum(different[path, line] for line in suspect.lines)
        suspect.parts["difference"] = min(1.0, count / max(1, len(failing)) / _DIFFERENT)


def differences(result: CheckResult, failing: Sequence[TestResult]) -> Counter[tuple[str, int]]:
    """How many failing tests ran a line that their most similar passing test did not run.

    Similar tests ran the same lines (Jaccard index). Without a passing test, all lines count.
    """
    passing = [_places(test) for test in result.tests if test.outcome == "passed"][:_PASSING]
    counts: Counter[tuple[str, int]] = Counter()
    for ran in map(_places, failing):
        likeness = [len(ran & other) / (len(ran | other) or 1) for other in passing]
        best = max(range(len(passing)), key=likeness.__getitem__, default=-1)
        counts.update(ran - passing[best] if passing else ran)
    return counts


def _places(test: TestResult) -> frozenset[tuple[str, int]]:
    return frozenset((path, line) for path, lines in test.lines.items() for line in lines)


def _add_tracebacks(suspects: Sequence[Suspect], failing: Sequence[TestResult]) -> None:
    paths = {suspect.symbol.path for suspect in suspects}
    for suspect in suspects:
        suspect.parts["traceback"] = 0.0
    for test in failing:
        # a frame's path may have more folders
        frames = [
            (path, line)
            for at, line in reversed(test.frames)
            for path in paths
            if at == path or at.endswith(f"/{path}")
        ]
        for depth, (path, line) in enumerate(frames):
            for suspect in suspects:
                symbol = suspect.symbol
                if symbol.path == path and symbol.line <= line <= symbol.end_line:
                    part = max(suspect.parts["traceback"], 1 / (1 + depth))
                    suspect.parts["traceback"] = part


def _add_words(suspects: Sequence[Suspect], task: str, failing: Sequence[TestResult]) -> None:
    names = [words(suspect.symbol.last) for suspect in suspects]
    owners = [words(suspect.symbol.name.rpartition(".")[0]) for suspect in suspects]
    codes = [words(suspect.code) for suspect in suspects]
    tests = words(" ".join(test.id.partition("::")[2] for test in failing))
    messages = words(" ".join(f"{test.message} {test.statement}" for test in failing))
    of_task = words(task)
    both = [name | owner for name, owner in zip(names, owners, strict=True)]
    of_name, of_code = rarity(both), rarity(codes)
    for n, suspect in enumerate(suspects):
        suspect.parts |= {
            "name and task": share(names[n], of_task, of_name),
            "class and task": share(owners[n], of_task, of_name),
            "name and tests": share(both[n], tests, of_name),
            "code and task": share(codes[n], of_task, of_code),
            "code and messages": share(codes[n], messages, of_code),
        }
