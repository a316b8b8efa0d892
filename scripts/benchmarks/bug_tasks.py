"""Real bugs as tasks: fixes in a repository's history, with the tests that came with them."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from repositories import copy_of, git, run_tests

from localagent.code.file_kinds import is_data, is_docs, is_test

LINES = 12
"""Most lines that a fix adds and removes in its source file."""

_FIX = re.compile(
    r"\b(?:fix(?:e[sd]|ing)?|bugs?|regression|crash\w*|broken|breaks?|incorrect(?:ly)?|wrong(?:ly)?"
    r"|close[sd]?|resolve[sd]?|error|fail\w*|avoid|don't|ensure|correct(?:ly)?)\b",
    re.I,
)
_CHORE = re.compile(
    r"^(?:\w+: )?(?:add|allow|support|implement|enh\w*)\b"
    r"|\b(?:typos?|spelling|grammar|typing|mypy|pyright|flake8|lint\w*|ruff|isort|pre-commit|docs?"
    r"|documentation|docstrings?|readme|refactor\w*|deprecat\w*|rename\w*|drop|bump|version"
    r"|revert|clean\s?up|coverage|warnings?|python ?\d)\b",
    re.I,
)
_REFERENCE = re.compile(r"\s*\(?(?:closes |fixes |refs? )?(?:gh-|#)\d+\)?", re.I)
_HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", re.M)
TEST_FILE = re.compile(r"(?:^|/)(?:test_[^/]*|[^/]*_test)\.py$")
_SECONDS = 20.0  # longest run of the changed test files
_DESELECTED = 5  # most tests that fail on this interpreter even with the fix


@dataclass(frozen=True)
class Fix:
    """A commit that changed few lines of one source file, and tests."""

    commit: str
    parent: str
    subject: str
    file: str
    tests: tuple[str, ...]


def tasks_of(repository: Path, python: str, most: int, tries: int, since: str) -> Iterator[dict]:
    """Yield the tasks of a repository, the newest first; tries at most `tries` fixes."""
    done = 0
    head = git(repository, "rev-parse", "HEAD").strip()
    with copy_of(repository, head) as tree:
        for fix in list(fixes(repository, since))[:tries]:
            task = _task(repository, tree, fix, python)
            verdict = task if isinstance(task, str) else "task"
            print(f"{fix.commit[:10]} {verdict:<20} {fix.subject}", flush=True)
            if not isinstance(task, str):
                yield task
                done += 1
            if done == most:
                return


def fixes(repository: Path, since: str) -> Iterator[Fix]:
    """The commits that look like fixes, the newest first, by their messages and changed files."""
    form = "--format=%x00%H%x1f%P%x1f%s%x1f%b%x1e"
    words = ["--no-merges", "--no-renames", "--numstat", "--summary", f"--since={since}", form]
    for entry in git(repository, "log", *words).split("\0")[1:]:
        head, _, changes = entry.partition("\x1e")
        commit, parents, subject, body = head.split("\x1f")
        title = _REFERENCE.sub("", subject).strip()
        if len(parents.split()) != 1 or _CHORE.search(subject) or len(title.split()) < 3:
            continue
        if not _FIX.search(f"{subject}\n{body}"):
            continue
        rows = re.findall(r"^(\d+)\t(\d+)\t(.+)$", changes, re.M)
        code = [row for row in rows if row[2].endswith(".py") and not is_test(row[2])]
        other = [r[2] for r in rows if not r[2].endswith(".py") and _is_code(r[2])]
        tests = tuple(path for _, _, path in rows if is_test(path) and not is_docs(path))
        runs = any(map(TEST_FILE.search, tests))
        if len(code) != 1 or other or not runs or f"create mode 100644 {code[0][2]}" in changes:
            continue
        if int(code[0][0]) + int(code[0][1]) <= LINES and not re.search(r"^ delete", changes, re.M):
            yield Fix(commit, parents, title, code[0][2], tests)


def _is_code(path: str) -> bool:
    return not (is_test(path) or is_docs(path) or is_data(path)) and path.endswith((".c", ".pyx"))


def _task(repository: Path, tree: Path, fix: Fix, python: str) -> dict | str:
    """The task of a fix, or why it is none: its tests fail before the fix and pass with it."""
    git(tree, "checkout", "--quiet", "--force", fix.commit)
    git(tree, "clean", "-fdxq")
    text = (tree / fix.file).read_text(errors="replace")
    files = [
        path for path in fix.tests if re.search(r"(?:^|/)(?:test_[^/]*|[^/]*_test)\.py$", path)
    ]
    after = run_tests(tree, python, files, _SECONDS)
    if after is None or after.exit_code not in (0, 1) or len(after.failed) > _DESELECTED:
        return "fails with the fix"
    words = [*files, *(word for test in after.failed for word in ("--deselect", test))]
    git(tree, "checkout", "--quiet", fix.parent, "--", fix.file)
    before = run_tests(tree, python, words, _SECONDS)
    if before is None or before.exit_code != 1 or not before.failed:
        return "passes before it" if before and before.exit_code == 0 else "cannot run before it"
    old = (tree / fix.file).read_text(errors="replace")
    diff = git(repository, "diff", "--unified=0", fix.parent, fix.commit, "--", fix.file)
    lines, functions = place_of(diff, old, text)
    name = f"{repository.resolve().name.removesuffix('.git')}-{fix.commit[:8]}"
    return {
        "name": name,
        "repository": str(repository),
        "python": python,
        "commit": fix.parent,
        "tests_of": fix.commit,
        "tests": list(fix.tests),
        "request": fix.subject,
        "check": shlex.join(["python", "-m", "pytest", "-q", *words]),
        "file": fix.file,
        "functions": functions,
        "lines": lines,
        "failing": list(before.failed),
    }


def place_of(diff: str, old: str, new: str) -> tuple[list[int], list[str]]:
    """The changed lines of the old text, and the changed functions that the old text has.

    Where lines were only added, the lines before and after the place count as changed.
    """
    lines: list[int] = []
    names: dict[str, None] = {}
    before, after = functions_of(old), functions_of(new)
    for match in _HUNK.finditer(diff):
        first, count, place, added = (int(group or "1") for group in match.groups())
        lines += range(first, first + count) if count else (first, first + 1)
        removed = (around(before, line) for line in range(first, first + count))
        inserted = (around(after, line) for line in range(place, place + added))
        names |= dict.fromkeys(name for name in (*removed, *inserted) if name)
    known = {name for name, _, _ in before}
    return lines, [name for name in names if name in known]


def functions_of(text: str) -> list[tuple[str, int, int]]:
    """The functions and methods of a text: qualified name, first line, last line.

    Functions inside functions belong to the outer one.
    """
    found: list[tuple[str, int, int]] = []

    def visit(nodes: Sequence[ast.stmt], prefix: str) -> None:
        for node in nodes:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                found.append((f"{prefix}{node.name}", first, node.end_lineno or first))
            elif isinstance(node, ast.ClassDef):
                visit(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.If | ast.Try | ast.With):
                visit([n for n in ast.iter_child_nodes(node) if isinstance(n, ast.stmt)], prefix)

    visit(ast.parse(text).body, "")
    return found


def around(functions: Sequence[tuple[str, int, int]], line: int) -> str:
    """The name of the function that contains a line, or ""."""
    return next((name for name, first, last in functions if first <= line <= last), "")
