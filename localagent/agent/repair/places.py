"""Where in a file a repair begins: the best text so far, and its lines by suspicion."""

from __future__ import annotations

from collections.abc import Sequence

from localagent.agent.checks.runner import CheckResult
from localagent.agent.repair.candidates import Board
from localagent.agent.repair.localize import suspicion
from localagent.agent.repair.problem import Problem


def best_text(problem: Problem, board: Board) -> tuple[str, CheckResult | None]:
    """The text that passes most, and its result: the best candidate's, or the file as it is where
    no candidate is better."""
    best, start = board.best, problem.start
    if best is None or best.result is None:
        return problem.text, start
    if start is not None and start.score >= best.result.score and problem.text.strip():
        return problem.text, start
    return best.text, best.result


def other_text(_problem: Problem, board: Board) -> tuple[str, CheckResult | None]:
    """The best of those candidates that pass what the best one fails, where most tests pass."""
    for candidate in board.complements():
        if candidate.result is not None and most_pass(candidate.result):
            return candidate.text, candidate.result
    return "", None


def most_pass(result: CheckResult) -> bool:
    """Whether at least as many tests pass as fail, so that a small change may be all it takes."""
    return (result.passed or 0) >= (result.failed or 0)


def suspicious_lines(problem: Problem, lines: Sequence[str], result: CheckResult) -> list[int]:
    """The numbers of the lines in which a fault may lie, the most suspicious first: those of the
    failing tests' tracebacks, then those that failing tests ran and passing ones did not."""
    scores = suspicion(result).get(problem.path, {})
    code = [n for n, line in enumerate(lines, 1) if _is_code(line)]
    framed = [n for t in result.failing for path, n in t.frames if path == problem.path]

    def key(line: int) -> tuple[int, float, int]:
        return (-(line in framed), -scores.get(line, 0.0), -line)

    ranked = [n for n in code if not scores or scores.get(n, 0.0) > 0.0]
    return sorted(ranked, key=key)


def _is_code(line: str) -> bool:
    text = line.strip()
    return bool(text) and not text.startswith(("#", "def ", "class ", "@", "import ", "from ", '"'))
