"""Fault localization: find the files to change and their suspicious lines.

Files that the task names come first, then modules that lack a name, then the files of the most
suspicious functions and other files that failing tests ran. Next come files in tracebacks, files
that failing tests import, and the index's hits for the task.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from localagent.agent.checks.runner import CheckResult, run_check
from localagent.agent.limits import SEARCH
from localagent.agent.repair.missing_names import (
    is_module,
    missing_names,
    missing_parameters,
)
from localagent.agent.repair.parsed_text import parse
from localagent.agent.repair.suspects import Evidence, Suspect, rank_functions, suspicion
from localagent.agent.turn import Turn
from localagent.code.file_kinds import is_data, is_docs, is_test
from localagent.code.languages import language_of
from localagent.code.tracebacks import frames
from localagent.context.builder import text_of
from localagent.core.errors import EditError
from localagent.core.events import Event, Warned
from localagent.edits.python_definitions import PythonDefinition, definitions
from localagent.workspace.workspace import Workspace

# A path as people write it: a name with a suffix, after any number of folders.
_PATH = re.compile(
    r"(?<![\w/.:~-])((?:~|\.{1,2}|[\w@+.-]+)?(?:/[\w@+.~-]+)*/?[\w@+~-]*\.\w{1,8})\b(?!\()"
)
_CREATES = re.compile(
    r"\b(create|write|new|generate|save|extract|split|move|rename|called|named|into|export)\b", re.I
)
# Words of tasks that take their demands from docs: "implement the steps in PLAN.md"
_DEMANDS = re.compile(
    r"\b(?:implement|build|solve|describ|explain|instruct|specif|follow|accord|demand|require|steps?"
    r"|tests?|fail|pass)(?:s|es|ed|ing|ion|ions|ment|ments|ication)?\b",
    re.I,
)
_SETTINGS = (".cfg", ".ini", ".conf", ".env", ".properties", ".proto", ".tf")
_QUOTED = re.compile(r"`([^`\n]+)`|\"([^\"\n]+)\"|'([^'\n]+)'")
_ABSOLUTE = re.compile(r"(?<![\w:/.])(/(?:[\w@+.~-]+/)*[\w@+.~-]+)")


def paths_in_task(prompt: str, workspace: Workspace, files: Sequence[str]) -> list[str]:
    """The paths that the task names, in the task's order; some may not exist yet.

    A bare file name stands for the workspace's only file of that name. "@" before a path says that
    the file exists, so a missing one is left out. Raises OutsideWorkspace for a path that leads out
    of the workspace.
    """
    paths: dict[str, None] = {}
    by_name: dict[str, list[str]] = {}
    for file in files:
        by_name.setdefault(PurePosixPath(file).name, []).append(file)
    for text in _path_like(prompt, [file for file in files if " " in file]):
        if text.startswith("/") and not text.startswith(str(workspace.root)) and not _exists(text):
            continue  # a URL's path, or a text like "and/or", which is no file here
        is_mention = text.startswith("@") and not workspace.exists(text)
        path = workspace.relative(text.removeprefix("@") if is_mention else text)
        same_name = by_name.get(PurePosixPath(path).name, [])
        exists = workspace.exists(path)
        if not exists and len(same_name) == 1:
            path = same_name[0]
        elif not exists and (is_mention or ("/" not in text and not has_known_suffix(path))):
            continue  # no file, or an attribute in code, such as "Session.close"
        if path != ".":
            paths[path] = None
    return list(paths)


def creates_files(task: str) -> bool:
    """Whether a task's words say that it may create a file."""
    return _CREATES.search(task) is not None


def missing_files(turn: Turn, named: Sequence[str]) -> Iterator[Warned]:
    """A warning about the paths in `named` that do not exist; none if the task creates a file."""
    workspace = turn.services.workspace
    missing = [path for path in named if not workspace.exists(path)]
    if missing and not turn.request.is_step and not creates_files(turn.typed):
        yield Warned(f"there is no file {', '.join(missing)}")


def _path_like(prompt: str, spaced: Sequence[str]) -> Iterator[str]:
    """Texts that may be paths, in order: with a suffix, absolute, or with a slash inside quotes.

    `spaced` are the files whose paths have spaces; only such a file's own name is found.
    """
    text = re.sub(r"\b\w+://\S+|#!\S+", " ", prompt)  # a URL, or a script's interpreter
    text, spaced_places = _cut_spaced(text, spaced)
    places = [*spaced_places]
    places += [(m.start(1), m.group(1)) for m in _PATH.finditer(text)]
    places += [(m.start(1), m.group(1)) for m in _ABSOLUTE.finditer(text)]
    for match in _QUOTED.finditer(text):
        inner = next(g for g in match.groups() if g is not None)
        if "/" in inner and " " not in inner:
            places.append((match.start(), inner))
    for _, value in sorted(places):
        if not re.fullmatch(r"[\d.]+|(e\.g|i\.e|etc|vs)\.?\w*", value):
            yield value


def _cut_spaced(text: str, files: Sequence[str]) -> tuple[str, list[tuple[int, str]]]:
    """Blank out the paths and names of these files; return the text, and each position and name."""
    names = {*files, *(name for file in files if " " in (name := PurePosixPath(file).name))}
    places: list[tuple[int, str]] = []
    for name in sorted((name for name in names if name in text), key=len, reverse=True):
        for match in reversed([*re.finditer(rf"(?<![\w/.-]){re.escape(name)}(?!\w)", text)]):
            places.append((match.start(), name))
            text = f"{text[: match.start()]}{' ' * len(name)}{text[match.end() :]}"
    return text, places


def has_known_suffix(path: str) -> bool:
    """Whether a file of this name is code, documentation, data or settings."""
    known = bool(language_of(path).name) or is_docs(path) or is_data(path)
    return known or path.endswith(_SETTINGS)


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:
        return False


def task_sources(named: Sequence[str]) -> list[str]:
    """The source files among the paths that a task names."""
    return [p for p in named if not is_test(p) and not is_docs(p)]


def changes_docs(task: str, named: Sequence[str]) -> bool:
    """Whether a task changes the docs that it names, and does not only find its demands there."""
    return bool(named) and all(map(is_docs, named)) and _DEMANDS.search(task) is None


def targets(
    turn: Turn,
    named: Sequence[str],
    start: CheckResult | None,
    functions: Sequence[Suspect] = (),
) -> list[str]:
    """The files that the task may have to change, the likeliest first.

    `functions` are the suspects, the most suspicious first.
    """
    sources = task_sources(named)
    if sources:
        return sources
    if changes_docs(turn.typed, named) or (named and start is None):
        return list(named)  # "add a test for X to test_x.py", "fix the typo in README.md"
    files = turn.services.files()
    ranked = [missing.path for missing in missing_names(start, files)]
    ranked += [suspect.symbol.path for suspect in functions]
    ranked += [*_executed(start), *_traceback_files(turn, start, files)]
    ranked += _imported(turn, start, files)
    ranked += [h.path for h in turn.services.index.search(_query(turn, start), SEARCH.index_hits)]
    return [p for p in dict.fromkeys(ranked) if not is_test(p) and not is_docs(p)] or list(named)


def _query(turn: Turn, start: CheckResult | None) -> str:
    """The index query: the task with the tests' failures, or with the check's output."""
    if start is None or start.ok:
        return f"{turn.prompt}\n"
    messages = "\n".join(t.message for t in start.failing[: SEARCH.query_failures])
    return f"{turn.prompt}\n{messages or start.output[-SEARCH.query_output_chars :]}"


def paths_to_trace(turn: Turn, named: Sequence[str], start: CheckResult) -> list[str]:
    """The files whose executed lines `trace` records; empty if they would locate nothing."""
    sources = task_sources(named)
    traced = [p for p in sources or sources_to_trace(turn, start) if language_of(p).can("tracing")]
    useless = not start.tests or not start.failing or (sources and not start.passed)
    return [] if useless else traced


def trace(
    turn: Turn, traced: Sequence[str], start: CheckResult
) -> Generator[Event, None, CheckResult]:
    """Run the check again with the executed lines of `traced`; return `start` if it is empty."""
    if not traced:
        return start
    result = yield from run_check(turn, start.command, trace=traced)
    if not turn.services.index.ready():
        turn.services.index.refresh()
    return result


def sources_to_trace(turn: Turn, start: CheckResult) -> list[str]:
    """The source files in which executed lines could locate the fault; empty without pytest."""
    if not start.tests or not start.failing:
        return []
    files = turn.services.files()
    sources = [f for f in files if language_of(f).can("tracing") and not is_test(f)]
    return sources[: SEARCH.traced_files]


def suspects(turn: Turn, result: CheckResult | None) -> list[Suspect]:
    """The functions that may be at fault, the most suspicious first; see `suspects.py`.

    Those that lack a parameter, which failing tests pass, come before those that the tests ran.
    """
    if result is None:
        return []
    index, workspace = turn.services.index, turn.services.workspace
    paths = sorted({path for test in result.failing for path in test.lines})
    ranked = rank_functions(
        Evidence(
            turn.prompt,
            result,
            {path: index.symbols(path) for path in paths},
            {path: text_of(workspace, path) for path in paths},
        )
    )
    missing = dict.fromkeys(each.function for each in missing_parameters(result))
    lacking = [
        Suspect(symbol, [], "")
        for function in missing
        for symbol in index.definitions(function)
        if symbol.name == function and symbol.is_callable and not is_test(symbol.path)
    ]
    known = {(each.symbol.path, each.symbol.name) for each in lacking}
    return [*lacking, *(s for s in ranked if (s.symbol.path, s.symbol.name) not in known)]


def suspicious_lines(
    path: str, lines: Sequence[str], result: CheckResult, functions: Sequence[str] = ()
) -> list[int]:
    """The numbers of the file's lines that may be at fault, the most suspicious first.

    Lines in the failing tests' tracebacks come first, then lines that failing tests ran and passing
    tests did not. With `functions`, the names of the file's suspects, the lines of a function come
    before those of later ones, a few from each in turn; after the lines of the first
    `SEARCH.constant_functions` come the module's constants that these use.
    """
    scores = suspicion(result).get(path, {})
    in_traceback = {n for test in result.failing for at, n in test.frames if at == path}
    code = [n for n, line in enumerate(lines, 1) if _is_statement(line)]
    ranked = [n for n in code if not scores or scores.get(n, 0.0) > 0.0]
    ranked.sort(key=lambda n: (n not in in_traceback, -scores.get(n, 0.0), -n))
    text = "\n".join(map(str.rstrip, lines))
    known = _functions_of(text, functions)
    owner = {
        n: place
        for place, one in reversed([*enumerate(known)])
        for n in range(one.start + 1, one.end + 1)
    }
    taken: Counter[int] = Counter()
    place: dict[int, int] = {}
    for n in ranked:
        function = owner.get(n, len(known))
        place[n] = taken[function] // SEARCH.lines_at_once + function
        taken[function] += 1
    for n in _constants(text, known[: SEARCH.constant_functions]):
        if n not in place and _is_statement(lines[n - 1]):
            ranked.append(n)
            place[n] = SEARCH.constant_functions
    return sorted(ranked, key=lambda n: place[n])


def _functions_of(text: str, functions: Sequence[str]) -> list[PythonDefinition]:
    """The definitions of the named functions that the text has, in the same order."""
    try:
        known = {one.name: one for one in definitions(text)} if functions else {}
    except EditError:
        return []
    return [known[name] for name in functions if name in known]


def _constants(text: str, functions: Sequence[PythonDefinition]) -> Iterator[int]:
    """The lines of the module's short assignments to names that the functions use."""
    nodes = (node for one in functions for node in ast.walk(one.node))
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    tree = parse(text) if used else None
    for statement in tree.body if tree is not None else ():
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            end = statement.end_lineno or statement.lineno
            if statement.targets[0].id in used and end - statement.lineno < SEARCH.lines_at_once:
                yield from range(statement.lineno, end + 1)


def _is_statement(line: str) -> bool:
    text = line.strip()
    return bool(text) and not text.startswith(("#", "def ", "class ", "@", "import ", "from ", '"'))


def _executed(start: CheckResult | None) -> list[str]:
    """The files that the failing tests ran, those with the most suspicious lines first."""
    if start is None:
        return []
    scores = {path: max(lines.values()) for path, lines in suspicion(start).items()}
    return sorted(scores, key=lambda path: (-scores[path], path))


def _by_name(paths: Sequence[str]) -> dict[str, list[str]]:
    """The paths by the names that an import may use: the file's, or the folder's for a package."""
    by_name: dict[str, list[str]] = {}
    for path in paths:
        parts = path.split("/")
        by_name.setdefault(parts[-1].removesuffix(".py"), []).append(path)
        if parts[-1] == "__init__.py" and len(parts) > 1:
            by_name.setdefault(parts[-2], []).append(path)
    return by_name


def _imported_by(turn: Turn, path: str, by_name: Mapping[str, Sequence[str]]) -> set[str]:
    """The files of `by_name` that a Python file imports itself."""
    return {
        other
        for module in imports(turn.services.workspace, path)
        for other in by_name.get(module.rpartition(".")[2], ())
        if other != path and is_module(other, module)
    }


def _traceback_files(turn: Turn, start: CheckResult | None, files: Sequence[str]) -> list[str]:
    """The workspace's files in the failing tests' tracebacks, the nearest to the error first."""
    if start is None:
        return []
    paths = [path for test in start.failing for path, _ in reversed(test.frames)]
    paths += [path for path, _ in reversed(frames(start.output))]
    known = set(files)
    root = f"{turn.services.workspace.root}/"
    inside = (_match(p.removeprefix(root).removeprefix("./"), known) for p in paths)
    return [path for path in inside if path]


def names_source(turn: Turn, start: CheckResult) -> bool:
    """Whether a failed check's output names a line of a source file other than a test."""
    if start.ok:
        return False
    return not all(map(is_test, _traceback_files(turn, start, turn.services.files())))


def _match(path: str, known: Collection[str]) -> str:
    """The workspace's file that a frame's path means, or "" if several files or none match.

    A frame's path may lack the first folders.
    """
    if path in known:
        return path
    hits = [other for other in known if other.endswith(f"/{path}")]
    return hits[0] if len(hits) == 1 else ""


def _imported(turn: Turn, start: CheckResult | None, files: Sequence[str]) -> list[str]:
    """The workspace's files that the failing tests import, directly or not.

    Files that more of the failing test files reach come first, then nearer files. An `__init__.py`
    is reached by all imports of its package, so it comes after its modules.
    """
    tests = dict.fromkeys(t.id.split("::")[0] for t in start.failing) if start is not None else ()
    reached: dict[str, list[int]] = {}
    by_name = _by_name(files)
    for test in tests:
        for path, distance in _reached(turn, test, by_name).items():
            reached.setdefault(path, []).append(distance)
    return sorted(
        reached,
        key=lambda p: (-len(reached[p]), p.endswith("__init__.py"), min(reached[p])),
    )


def _reached(turn: Turn, test: str, by_name: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """The files that a test imports, directly or not, with their distance in imports."""
    distances = {test: 0}
    waiting = [test]
    for path in waiting:  # grows below
        if distances[path] == SEARCH.import_distance:
            break
        for file in sorted(_imported_by(turn, path, by_name) - distances.keys()):
            distances[file] = distances[path] + 1
            waiting.append(file)
    del distances[test]
    return distances


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
