"""Localising: which file is to be changed, and what belongs beside it in front of the model.

The order of evidence: files that the task names; source lines that failing tests ran and passing
ones did not; frames of tracebacks; what the failing tests import; what the index finds.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from localagent.agent.checks.runner import CheckResult
from localagent.agent.repair.candidates import Board
from localagent.agent.repair.problem import Problem
from localagent.agent.turn import Turn
from localagent.code.file_kinds import is_docs, is_test
from localagent.code.tracebacks import frames
from localagent.workspace.workspace import Workspace


def levels(imported: Mapping[str, Collection[str]]) -> dict[str, int]:
    """For each file how long the longest chain of imports is that it begins. `imported` has what
    each imports, of these files. Those that import each other in a circle count as one file."""
    groups = circles(imported)
    place = {path: number for number, group in enumerate(groups) for path in group}
    lengths: list[int] = []
    for number, group in enumerate(groups):  # what a group imports comes before it
        below = {place[other] for path in group for other in imported[path]} - {number}
        lengths.append(max((lengths[other] + 1 for other in below), default=0))
    return {path: lengths[place[path]] for path in imported}


def circles(imported: Mapping[str, Collection[str]]) -> list[list[str]]:
    """The files in groups that reach each other, each group after all that it imports.

    Strongly connected components (Tarjan, 1972), without recursion: chains are long.
    """
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    waiting: dict[str, None] = {}  # visited, and in no group yet
    path: list[tuple[str, Iterator[str]]] = []
    groups: list[list[str]] = []

    def enter(node: str) -> None:
        order[node] = lowest[node] = len(order)
        waiting[node] = None
        path.append((node, iter(sorted(imported[node]))))

    for start in imported:
        if start not in order:
            enter(start)
        while path:
            node, rest = path[-1]
            other = next(rest, None)
            if other is None:
                path.pop()
                if path:
                    above = path[-1][0]
                    lowest[above] = min(lowest[above], lowest[node])
                if lowest[node] == order[node]:
                    group: list[str] = []
                    while not group or group[-1] != node:
                        group.append(waiting.popitem()[0])
                    groups.append(group)
            elif other not in order:
                enter(other)
            elif other in waiting:
                lowest[node] = min(lowest[node], order[other])
    return groups


# A path as people write it: at least a name with a suffix, perhaps folders before it.
_PATH = re.compile(
    r"(?<![\w/.:~-])((?:~|\.{1,2}|[\w@+.-]+)?(?:/[\w@+.~-]+)*/?[\w@+~-]*\.\w{1,8})\b"
)
_OUTPUT_CHARS = 4000
_QUOTED = re.compile(r"`([^`\n]+)`|\"([^\"\n]+)\"|'([^'\n]+)'")
_ABSOLUTE = re.compile(r"(?<![\w:/.])(/(?:[\w@+.~-]+/)*[\w@+.~-]+)")


def named_paths(prompt: str, workspace: Workspace, files: Sequence[str]) -> list[str]:
    """The paths that the task names, in their order; some may not exist yet.

    A bare file name stands for the one file of that name in the workspace. Raises
    OutsideWorkspace for a path that leads out of it.
    """
    found: list[str] = []
    by_name: dict[str, list[str]] = {}
    for file in files:
        by_name.setdefault(PurePosixPath(file).name, []).append(file)
    for text in _path_like(prompt):
        if text.startswith("/") and not text.startswith(str(workspace.root)) and not _exists(text):
            continue  # a URL's path, "and/or" and the like; nothing on this machine
        path = workspace.relative(text)
        same_name = by_name.get(PurePosixPath(path).name, [])
        if not workspace.exists(path) and len(same_name) == 1:
            path = same_name[0]
        if path not in found and path != ".":
            found.append(path)
    return found


def _path_like(prompt: str) -> Iterable[str]:
    """Strings of the task that could be paths: with a suffix, quoted and existing, or absolute."""
    text = re.sub(r"\b\w+://\S+", " ", prompt)
    places = [(m.start(1), m.group(1)) for m in _PATH.finditer(text)]
    places += [(m.start(1), m.group(1)) for m in _ABSOLUTE.finditer(text)]
    for match in _QUOTED.finditer(text):
        inner = next(g for g in match.groups() if g is not None)
        if "/" in inner and " " not in inner:
            places.append((match.start(), inner))
    for _, value in sorted(places):
        if not re.fullmatch(r"[\d.]+|(e\.g|i\.e|etc|vs)\.?\w*", value):
            yield value


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:
        return False


def targets(turn: Turn, named: Sequence[str], start: CheckResult | None) -> list[str]:
    """The files that may have to be changed, the likeliest first."""
    wanted = [p for p in named if not is_test(p) and not is_docs(p)]
    if wanted:
        return wanted
    only_named = [p for p in named if is_test(p) or is_docs(p)]
    if only_named and start is None:
        return only_named  # "add a test for X to test_x.py", "fix the typo in README.md"
    ranked = [*_executed(turn, start), *_frames(turn, start), *_imported(turn, start)]
    query = turn.prompt + "\n" + _said(start)
    ranked += [hit.path for hit in turn.services.index.search(query, 10)]
    sources = [p for p in dict.fromkeys(ranked) if not is_test(p) and not is_docs(p)]
    return sources or only_named


def _said(start: CheckResult | None) -> str:
    """What the check said of its failures: of its output only where no test reported any."""
    if start is None or start.ok:
        return ""
    return "\n".join(t.message for t in start.failing[:5]) or start.output[-_OUTPUT_CHARS:]


def sources_to_trace(turn: Turn, start: CheckResult) -> list[str]:
    """Python files whose executed lines would tell where the fault is; none without pytest."""
    if not start.failing:
        return []
    files = [f for f in turn.services.index.files() if f.endswith(".py") and not is_test(f)]
    return files[:2000]


def suspicion(result: CheckResult) -> dict[str, dict[int, float]]:
    """How suspicious each executed line is, by path and line, from 0 to 1.

    DStar with the exponent 2 (Wong et al., 2014) as a share: f² / (f² + p + m), where f failing
    and p passing tests ran the line, and m failing ones did not. It favours lines that all failing
    tests have in common, as one fault is likelier than several.
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


def _executed(turn: Turn, start: CheckResult | None) -> list[str]:
    """The files whose lines the failing tests ran, the most suspicious first.

    Where a call only passes through, caller and callee are equally suspicious. What is imported
    comes first then: a caller that is at fault mostly has lines that the callee has not.
    """
    if start is None:
        return []
    scores = {path: max(lines.values()) for path, lines in suspicion(start).items()}
    top = max(scores.values(), default=0.0)
    level = _levels(turn, [path for path, score in scores.items() if score == top])
    return sorted(scores, key=lambda path: (-scores[path], level.get(path, 0), path))


def _levels(turn: Turn, paths: Sequence[str]) -> dict[str, int]:
    """For each Python file how long the longest chain of imports is that it begins among these."""
    by_name: dict[str, list[str]] = {}  # an import names a module, or a package by its folder
    for path in paths:
        place = PurePosixPath(path)
        by_name.setdefault(place.stem, []).append(path)
        by_name.setdefault(place.parent.name, []).append(path)
    inner = {
        path: {
            other
            for module in imports(turn.services.workspace, path)
            for other in by_name.get(module.rpartition(".")[2], ())
            if other != path and _is_module(other, module)
        }
        for path in paths
    }
    return levels(inner)


def _is_module(path: str, module: str) -> bool:
    tail = module.replace(".", "/")
    return any(
        path == name or path.endswith(f"/{name}") for name in (f"{tail}.py", f"{tail}/__init__.py")
    )


def _frames(turn: Turn, start: CheckResult | None) -> list[str]:
    """Source files in the failing tests' tracebacks, those nearest to the error first."""
    if start is None:
        return []
    known = set(turn.services.index.files())
    found: list[str] = []
    for test in start.failing:
        found += [path for path, _ in reversed(test.frames)]
    found += [path for path, _ in reversed(frames(start.output))]
    root = f"{turn.services.workspace.root}/"
    inside = (f.removeprefix(root).removeprefix("./") for f in found)
    return [path for written in inside if (path := _meant(written, known))]


def names_source(turn: Turn, start: CheckResult) -> bool:
    """Whether what a failed check printed names a line of a source file that is no test."""
    return not start.ok and any(not is_test(path) for path in _frames(turn, start))


def _meant(written: str, known: Collection[str]) -> str:
    """The file that a path of a frame means, whose folders may be missing or not be ours; "" where
    that is not plain."""
    if written in known:
        return written
    hits = [path for path in known if path.endswith(f"/{written}")]
    return hits[0] if len(hits) == 1 else ""


def _imported(turn: Turn, start: CheckResult | None) -> list[str]:
    """Workspace files that the failing tests import."""
    if start is None:
        return []
    known = turn.services.index.files()
    found: list[str] = []
    for test_file in dict.fromkeys(t.id.split("::")[0] for t in start.failing):
        for module in imports(turn.services.workspace, test_file):
            found += [f for f in known if _is_module(f, module)]
    return found


def imports(workspace: Workspace, path: str) -> list[str]:
    """The modules that a Python file imports, dotted; empty where it is none or does not parse."""
    if not path.endswith(".py") or not workspace.exists(path):
        return []
    try:
        tree = ast.parse(workspace.read_bytes(path))
    except (SyntaxError, ValueError):
        return []
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


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
