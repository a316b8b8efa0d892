"""A sandbox without processes: a function of the files in the snapshot answers each command.

    sandbox = ScriptedSandbox(python_check("calc.py", {"test_add": ("add(2, 3)", 5)}))

`python_check` and `python_tests` judge Python files as pytest with the probe would.
"""

from __future__ import annotations

import ast
import builtins
import json
import sys
import time
import traceback
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from localagent.core.changes import Change
from localagent.sandbox.base import Command, CommandResult

Files = Mapping[str, str]
Answer = Callable[[str, Files], CommandResult]
"""Answers a command line by the texts of the snapshot's files."""


def completed(output: str = "", exit_code: int = 0, seconds: float = 0.1) -> CommandResult:
    return CommandResult(exit_code, output, seconds)


class ScriptedSandbox:
    """Implements `sandbox.base.Sandbox`.

    `answers` is a function, or one result for each command in order. `commands` are the command
    lines so far, `environments` their added variables, `views` the files that each one met.
    """

    kind = "scripted"
    confined = True
    ports: tuple[int, ...] = ()

    def __init__(self, answers: Answer | Sequence[CommandResult]) -> None:
        self._answers = answers if callable(answers) else iter(answers)
        self.commands: list[str] = []
        self.environments: list[dict[str, str]] = []
        self.views: list[dict[str, str]] = []

    @contextmanager
    def open(self, root: Path, changes: Sequence[Change] = ()) -> Iterator[_Snapshot]:
        files = {
            path.relative_to(root).as_posix(): path.read_text(encoding="utf-8")
            for path in root.rglob("*")
            if path.is_file()
        }
        yield _Snapshot(self, files, changes)

    def close(self) -> None:
        """Nothing is kept between views."""

    def answer(self, command: Command, files: dict[str, str]) -> CommandResult:
        self.commands.append(command.line)
        self.environments.append(command.env)
        self.views.append(files)
        answers = self._answers
        done = answers(command.line, files) if callable(answers) else next(answers)
        if "PYTEST_PLUGINS" in command.env:
            return done
        # Without the probe its lines are missing.
        lines = [x for x in done.output.splitlines() if not x.startswith("LOCALAGENT-PROBE ")]
        return replace(done, output="\n".join(lines))


class _Snapshot:
    def __init__(
        self, sandbox: ScriptedSandbox, files: dict[str, str], changes: Sequence[Change]
    ) -> None:
        self._sandbox, self._files = sandbox, files
        self.apply(changes)

    def apply(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.kind == "absent":
                self._files.pop(change.path, None)
            else:
                self._files[change.path] = change.data.decode()

    def run(
        self,
        command: Command,
        on_output: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> CommandResult:
        if cancelled is not None and cancelled():
            return CommandResult(-15, "", 0.0, cancelled=True)
        done = self._sandbox.answer(command, dict(self._files))
        if on_output is not None:
            on_output(done.output)
        return done

    def changes(self) -> tuple[Change, ...]:
        return ()


def python_check(path: str, cases: Mapping[str, tuple[str, object]]) -> Answer:
    """As `python_tests`, with a test for each case: an expression and its expected value."""
    module = path.removesuffix(".py").replace("/", ".")
    tests = [
        f"def {name}():\n    assert {expression} == {expected!r}\n"
        for name, (expression, expected) in cases.items()
    ]
    text = f"from {module} import *\n\n" + "\n".join(tests)
    return lambda line, files: python_tests(line, {**files, "cases_test.py": text})


def python_tests(_line: str, files: Files) -> CommandResult:
    """Run the `test_` functions of the `…_test.py` files in this process.

    The output has pytest's counts, and the probe's report: outcomes, messages, tracebacks, and each
    test's executed lines.
    """
    tests: dict[str, dict[str, Any]] = {}
    lines: dict[str, dict[str, list[int]]] = {}
    for path in sorted(path for path in files if path.endswith("_test.py")):
        runner = _Runner(files)
        try:
            module = runner.load(path)
        except Exception as error:
            message = f"{type(error).__name__}: {error}"
            tests[path] = {"outcome": "failed", "message": message, "frames": []}
            continue
        for name in [name for name in module if name.startswith("test_")]:
            tests[f"{path}::{name}"], lines[f"{path}::{name}"] = runner.run(module[name], path)
    report = json.dumps({"tests": tests, "lines": lines})
    failures = [test["message"] for test in tests.values() if test["outcome"] == "failed"]
    counts = f"{len(failures)} failed, {len(tests) - len(failures)} passed in 0.01s"
    output = "\n".join([*failures, counts, f"LOCALAGENT-PROBE {report}"])
    return CommandResult(int(bool(failures) or not tests), output, 0.01)


class _Equality(ast.NodeTransformer):
    """Turns `assert a == b` into a call that raises pytest's message."""

    def visit_Assert(self, node: ast.Assert) -> ast.stmt:
        test = node.test
        if not isinstance(test, ast.Compare) or not isinstance(test.ops[0], ast.Eq):
            return node
        values = [test.left, test.comparators[0], ast.Constant(ast.unparse(node))]
        call = ast.Call(ast.Name("_assert_equal", ast.Load()), values, [])
        return ast.fix_missing_locations(ast.copy_location(ast.Expr(call), node))


def _assert_equal(actual: object, expected: object, statement: str) -> None:
    if actual != expected:
        raise AssertionError(f"{statement}\nAssertionError: assert {actual!r} == {expected!r}")


class _Runner:
    """Imports modules from a view's files, and runs functions under a trace."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._modules: dict[str, types.ModuleType] = {}
        self._lines: dict[str, set[int]] = {}
        self._end = 0.0

    def load(self, path: str) -> dict[str, Any]:
        tree = ast.parse(self._files[path])
        if path.endswith("_test.py"):
            tree = _Equality().visit(tree)
        names = {**vars(builtins), "__import__": self._import, "_assert_equal": _assert_equal}
        scope: dict[str, Any] = {"__builtins__": names}
        exec(compile(tree, path, "exec"), scope)
        return scope

    def _import(self, name: str, *arguments: Any) -> Any:
        path = name.replace(".", "/") + ".py"
        if path not in self._files:
            return __import__(name, *arguments)
        if name not in self._modules:
            self._modules[name] = module = types.ModuleType(name)
            vars(module).update(self.load(path))
        return self._modules[name]

    def run(
        self, function: Callable[[], None], path: str
    ) -> tuple[dict[str, Any], dict[str, list[int]]]:
        """The probe's record of one test, and its executed lines by path."""
        self._lines, self._end = {}, time.monotonic() + 2
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            function()
            record: dict[str, Any] = {"outcome": "passed"}
        except Exception as error:
            sys.settrace(before)
            record = self._failure(error, path)
        finally:
            sys.settrace(before)
        return record, {p: sorted(n) for p, n in self._lines.items()}

    def _failure(self, error: Exception, path: str) -> dict[str, Any]:
        frames = [
            [frame.filename, frame.lineno]
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename in self._files
        ]
        message = str(error) if isinstance(error, AssertionError) else ""
        if not message:
            at = next((number for name, number in frames if name == path), 1)
            statement = self._files[path].splitlines()[at - 1].strip()
            message = f"{statement}\n{type(error).__name__}: {error}"
        return {"outcome": "failed", "message": message, "frames": frames}

    def _trace(self, frame: types.FrameType, event: str, _arg: object) -> Any:
        path = frame.f_code.co_filename
        if event == "line" and path in self._files and not path.endswith("_test.py"):
            self._lines.setdefault(path, set()).add(frame.f_lineno)
        if time.monotonic() > self._end:
            raise TimeoutError("the test does not end")
        return self._trace
