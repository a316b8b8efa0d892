"""Fault localization: find the files to change and their suspicious lines.

Files that the task names come first, then files with lines that failing tests ran and passing tests
did not run. Next come files in tracebacks, files that failing tests import, and the index's hits
for the task.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from localagent.agent.checks.runner import CheckResult, run_check
from localagent.agent.limits import SEARCH
from localagent.agent.turn import Turn
from localagent.code.file_kinds import is_data, is_docs, is_test
from localagent.code.languages import language_of
from localagent.code.symbols import Symbol
from localagent.code.tracebacks import frames
from localagent.core.events import Event
from localagent.workspace.workspace import Workspace

# A path as people write it: a name with a suffix, after any number of folders.
_PATH = re.compile(
    r"(?<![\w/.:~-])((?:~|\.{1,2}|[\w@+.-]+)?(?:/[\w@+.~-]+)*/?[\w@+~-]*\.\w{1,8})\b(?!\()"
)
_SETTINGS = (".cfg", ".ini", ".conf", ".env", ".properties", ".proto", ".tf")
_QUOTED = re.compile(r"`([^`\n]+)`|\"([^\"\n]+)\"|'([^'\n]+)'")
_ABSOLUTE = re.compile(r"(?<![\w:/.])(/(?:[\w@+.~-]+/)*[\w@+.~-]+)")


def paths_in_task(prompt: str, workspace: Workspace, files: Sequence[str]) -> list[str]:
    """The paths that the task names, in the task's order; some may not exist yet.

    A bare file name stands for the workspace's only file of that name. Raises OutsideWorkspace for
    a path that leads out of the workspace.
    """
    paths: dict[str, None] = {}
    by_name: dict[str, list[str]] = {}
    for file in files:
        by_name.setdefault(PurePosixPath(file).name, []).append(file)
    for text in _path_like(prompt):
        if text.startswith("/") and not text.startswith(str(workspace.root)) and not _exists(text):
            continue  # a URL's path, or a text like "and/or", which is no file here
        path = workspace.relative(text)
        same_name = by_name.get(PurePosixPath(path).name, [])
        exists = workspace.exists(path)
        if not exists and len(same_name) == 1:
            path = same_name[0]
        elif not exists and "/" not in text and not _has_known_suffix(path):
            continue  # an attribute in code, such as "Session.close"
        if path != ".":
            paths[path] = None
    return list(paths)


def _path_like(prompt: str) -> Iterator[str]:
    """Texts that may be paths, in order: with a suffix, absolute, or with a slash inside quotes."""
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


def _has_known_suffix(path: str) -> bool:
    known = bool(language_of(path).name) or is_docs(path) or is_data(path)
    return known or path.endswith(_SETTINGS)


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:
        return False


def targets(turn: Turn, named: Sequence[str], start: CheckResult | None) -> list[str]:
    """The files that the task may have to change, the likeliest first."""
    sources = [p for p in named if not is_test(p) and not is_docs(p)]
    if sources:
        return sources
    if named and start is None:
        return list(named)  # "add a test for X to test_x.py", "fix the typo in README.md"
    ranked = [*_executed(turn, start), *_traceback_files(turn, start), *_imported(turn, start)]
    ranked += [h.path for h in turn.services.index.search(_query(turn, start), SEARCH.index_hits)]
    return [p for p in dict.fromkeys(ranked) if not is_test(p) and not is_docs(p)] or list(named)


def _query(turn: Turn, start: CheckResult | None) -> str:
    """The index query: the task with the tests' failures, or with the check's output."""
    if start is None or start.ok:
        return f"{turn.prompt}\n"
    messages = "\n".join(t.message for t in start.failing[: SEARCH.query_failures])
    return f"{turn.prompt}\n{messages or start.output[-SEARCH.query_output_chars :]}"


def trace(
    turn: Turn, named: Sequence[str], start: CheckResult
) -> Generator[Event, None, CheckResult]:
    """Run the check again with executed lines; return `start` if they would locate nothing."""
    sources = [p for p in named if not is_test(p) and not is_docs(p)]
    traced = [p for p in sources or sources_to_trace(turn, start) if language_of(p).can("tracing")]
    if not traced or not start.failing or (sources and not start.passed):
        return start
    result = yield from run_check(turn, start.command, trace=traced)
    if not turn.services.index.ready():
        turn.services.index.refresh()
    return result


def sources_to_trace(turn: Turn, start: CheckResult) -> list[str]:
    """The source files in which executed lines could locate the fault; empty without pytest."""
    if not start.failing:
        return []
    index = turn.services.index
    files = index.files() if index.ready() else turn.services.workspace.files()
    sources = [f for f in files if language_of(f).can("tracing") and not is_test(f)]
    return sources[: SEARCH.traced_files]


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


def suspects(turn: Turn, paths: Sequence[str], result: CheckResult) -> list[Symbol]:
    """The functions in `paths` that failing tests ran, the most suspicious first."""
    scores = suspicion(result)
    ranked: list[tuple[float, Symbol]] = []
    for path in paths:
        lines = scores.get(path, {})
        for symbol in turn.services.index.symbols(path):
            inside = [lines.get(n, 0.0) for n in range(symbol.line + 1, symbol.end_line + 1)]
            if symbol.is_callable and max(inside, default=0.0):
                ranked.append((max(inside), symbol))
    return [symbol for _, symbol in sorted(ranked, key=lambda pair: -pair[0])]


def suspicious_lines(path: str, lines: Sequence[str], result: CheckResult) -> list[int]:
    """The numbers of the file's lines that may be at fault, the most suspicious first.

    Lines in the failing tests' tracebacks come first, then lines that failing tests ran and passing
    tests did not.
    """
    scores = suspicion(result).get(path, {})
    in_traceback = {n for test in result.failing for at, n in test.frames if at == path}
    code = [n for n, line in enumerate(lines, 1) if _is_statement(line)]
    ranked = [n for n in code if not scores or scores.get(n, 0.0) > 0.0]
    return sorted(ranked, key=lambda n: (n not in in_traceback, -scores.get(n, 0.0), -n))


def _is_statement(line: str) -> bool:
    text = line.strip()
    return bool(text) and not text.startswith(("#", "def ", "class ", "@", "import ", "from ", '"'))


def _executed(turn: Turn, start: CheckResult | None) -> list[str]:
    """The files that the failing tests ran, the most suspicious first.

    If a caller only forwards a call, caller and callee are equally suspicious. The imported file
    then comes first, because a faulty caller mostly has suspicious lines of its own.
    """
    if start is None:
        return []
    scores = {path: max(lines.values()) for path, lines in suspicion(start).items()}
    top = max(scores.values(), default=0.0)
    level = _levels(turn, [path for path, score in scores.items() if score == top])
    return sorted(scores, key=lambda path: (-scores[path], level.get(path, 0), path))


def _levels(turn: Turn, paths: Sequence[str]) -> dict[str, int]:
    """The import level of each Python file among `paths`; see `import_levels`."""
    # an import names a module by its file, or a package by its folder
    by_name: dict[str, list[str]] = {}
    for path in paths:
        place = PurePosixPath(path)
        by_name.setdefault(place.stem, []).append(path)
        by_name.setdefault(place.parent.name, []).append(path)
    return import_levels(
        {
            path: {
                other
                for module in imports(turn.services.workspace, path)
                for other in by_name.get(module.rpartition(".")[2], ())
                if other != path and _is_module(other, module)
            }
            for path in paths
        }
    )


def _is_module(path: str, module: str) -> bool:
    tail = module.replace(".", "/")
    return any(
        path == name or path.endswith(f"/{name}") for name in (f"{tail}.py", f"{tail}/__init__.py")
    )


def _traceback_files(turn: Turn, start: CheckResult | None) -> list[str]:
    """The workspace's files in the failing tests' tracebacks, the nearest to the error first."""
    if start is None:
        return []
    paths = [path for test in start.failing for path, _ in reversed(test.frames)]
    paths += [path for path, _ in reversed(frames(start.output))]
    known = set(turn.services.index.files())
    root = f"{turn.services.workspace.root}/"
    inside = (_match(p.removeprefix(root).removeprefix("./"), known) for p in paths)
    return [path for path in inside if path]


def names_source(turn: Turn, start: CheckResult) -> bool:
    """Whether a failed check's output names a line of a source file other than a test."""
    return not start.ok and any(not is_test(path) for path in _traceback_files(turn, start))


def _match(path: str, known: Collection[str]) -> str:
    """The workspace's file that a frame's path means, or "" if several files or none match.

    A frame's path may lack the first folders.
    """
    if path in known:
        return path
    hits = [other for other in known if other.endswith(f"/{path}")]
    return hits[0] if len(hits) == 1 else ""


def _imported(turn: Turn, start: CheckResult | None) -> list[str]:
    """The workspace's files that the failing tests import."""
    tests = dict.fromkeys(t.id.split("::")[0] for t in start.failing) if start is not None else ()
    return [
        file
        for test in tests
        for module in imports(turn.services.workspace, test)
        for file in turn.services.index.files()
        if _is_module(file, module)
    ]


def imports(workspace: Workspace, path: str) -> list[str]:
    """The dotted names of the modules that a Python file imports; empty if it does not parse."""
    if not language_of(path).can("import_analysis") or not workspace.exists(path):
        return []
    try:
        tree = ast.parse(workspace.read_bytes(path))
    except (SyntaxError, ValueError):
        return []
    modules: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return modules


def import_levels(imported: Mapping[str, Collection[str]]) -> dict[str, int]:
    """For each file, the length of the longest chain of imports that begins there.

    `imported` maps each file to the files that it imports, which must also be keys. Files that
    import each other in a cycle count as one.
    """
    groups = import_cycles(imported)
    place = {path: number for number, group in enumerate(groups) for path in group}
    lengths: list[int] = []
    # imported groups come before the groups that import them
    for number, group in enumerate(groups):
        below = {place[other] for path in group for other in imported[path]} - {number}
        lengths.append(max((lengths[other] + 1 for other in below), default=0))
    return {path: lengths[place[path]] for path in imported}


def import_cycles(imported: Mapping[str, Collection[str]]) -> list[list[str]]:
    """Groups of files that import each other, each group after the groups that it imports.

    The groups are strongly connected components (Tarjan, 1972). The algorithm does not recurse,
    because import chains can be long.
    """
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_nodes: dict[str, None] = {}  # visited files that are in no group yet
    path: list[tuple[str, Iterator[str]]] = []
    groups: list[list[str]] = []

    def enter(node: str) -> None:
        order[node] = lowest[node] = len(order)
        open_nodes[node] = None
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
                        group.append(open_nodes.popitem()[0])
                    groups.append(group)
            elif other not in order:
                enter(other)
            elif other in open_nodes:
                lowest[node] = min(lowest[node], order[other])
    return groups
