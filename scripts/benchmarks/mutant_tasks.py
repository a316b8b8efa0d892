"""Mutants as tasks: one seeded fault in each of many functions, found by the function's tests."""

from __future__ import annotations

import random
import shlex
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bug_tasks import TEST_FILE, functions_of
from faults import Fault, faults_in
from repositories import copy_of, environment, git, run_tests

from localagent.agent.checks.probe_loading import probe_environment
from localagent.agent.checks.runner import CheckResult, read_result
from localagent.code.file_kinds import is_test
from localagent.sandbox.base import CommandResult

REQUEST = "fix the failing tests"
_SECONDS = 10.0  # longest run of a test file
_FILES = 25  # most test files of a repository
_DRAWS = 3  # most faults to try in one function
_LINES = 4  # a shorter function has too few places for a fault
_TESTS = 40  # most tests to run on a fault


@dataclass(frozen=True)
class _Function:
    """A function, and the test file with the most tests that run it."""

    path: str
    name: str
    first: int
    last: int
    test_file: str
    tests: tuple[str, ...]


def tasks_of(repository: Path, python: str, most: int) -> Iterator[dict]:
    """Yield at most `most` tasks of a repository's newest commit, in functions drawn by a seed."""
    commit = git(repository, "rev-parse", "HEAD").strip()
    name = repository.name.removesuffix(".git")
    done = 0
    with copy_of(repository, commit) as tree:
        functions = list(_functions(tree, python))
        random.Random(name).shuffle(functions)
        print(f"{name}: {len(functions)} functions that tests run", flush=True)
        for function in functions:
            fault = _found_fault(tree, python, function)
            if fault is None:
                continue
            check = ["python", "-m", "pytest", "-q", function.test_file]
            yield {
                "name": f"{name}-{function.path.rpartition('/')[2]}-{function.name}",
                "repository": str(repository),
                "python": python,
                "commit": commit,
                "request": REQUEST,
                "check": shlex.join(check),
                "file": function.path,
                "functions": [function.name],
                "operator": fault.operator,
                "lines": list(range(fault.first, fault.first + fault.text.count("\n"))),
                "edit": {"first": fault.first, "last": fault.last, "text": fault.text},
                "failing": [],
            }
            done += 1
            if done == most:
                return


def _functions(tree: Path, python: str) -> Iterator[_Function]:
    """The functions that tests run, with their test file; a test file that fails is left out."""
    files = git(tree, "ls-files", "*.py").split("\n")
    sources = [path for path in files if path and not is_test(path)]
    tests = [path for path in files if TEST_FILE.search(path)]
    results = {}
    for path in random.Random(0).sample(tests, min(_FILES, len(tests))):
        result = _traced(tree, python, path, sources)
        if result is not None and result.ok and result.passed:
            results[path] = result
    for source in sources:
        for name, first, last in functions_of((tree / source).read_text(errors="replace")):
            ran = {
                file: [
                    test.id
                    for test in result.tests
                    if any(first < line <= last for line in test.lines.get(source, ()))
                ]
                for file, result in results.items()
            }
            best = max(ran, key=lambda file: len(ran[file]), default="")
            if best and ran[best] and last - first >= _LINES:
                yield _Function(source, name, first, last, best, tuple(ran[best][:_TESTS]))


def _traced(tree: Path, python: str, path: str, sources: list[str]) -> CheckResult | None:
    """The result of a test file with the lines that each test ran; None if it takes too long."""
    began = time.monotonic()
    run = run_tests(tree, python, [path], _SECONDS)
    if run is None or run.exit_code != 0 or time.monotonic() - began > _SECONDS / 2:
        return None
    env = environment(python) | probe_environment(sources, lean=False)
    try:
        done = subprocess.run(
            [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", path],
            cwd=tree, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False,
            timeout=10 * _SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    output = done.stdout.decode("utf-8", "replace")
    return read_result("", CommandResult(done.returncode, output, time.monotonic() - began))


def _found_fault(tree: Path, python: str, function: _Function) -> Fault | None:
    """The function's first fault that makes a test fail in time, of a few drawn ones."""
    file = tree / function.path
    source = file.read_text(errors="replace")
    name = f"{function.path} {function.name}"
    try:
        for fault in faults_in(source, function.first, function.last, name)[:_DRAWS]:
            lines = source.splitlines(keepends=True)
            lines[fault.first - 1 : fault.last] = [fault.text]
            file.write_text("".join(lines))
            run = run_tests(tree, python, ["-x", *function.tests], _SECONDS)
            if run is not None and run.exit_code == 1 and run.failed:
                return fault
    finally:
        file.write_text(source)
    return None
