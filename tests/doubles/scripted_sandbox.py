"""A sandbox without processes: a function of the files in the snapshot answers each command.

    sandbox = ScriptedSandbox(python_check("calc.py", {"test_add": ("add(2, 3)", 5)}))

`python_check` judges a Python file as pytest with the probe would: one test for each expression.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
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


def python_check(
    path: str, cases: Mapping[str, tuple[str, object]], seconds: float = 0.01
) -> Answer:
    """Evaluate each case's expression with the file's definitions; it passes if it has the value.

    The output is the probe's: outcomes, messages, tracebacks, and each test's executed lines.
    """

    def check(_line: str, files: Files) -> CommandResult:
        tests: dict[str, dict[str, Any]] = {}
        lines: dict[str, dict[str, list[int]]] = {}
        scope: dict[str, Any] = {}
        try:
            exec(compile(files.get(path, ""), path, "exec"), scope)
        except Exception as error:
            message = f"{type(error).__name__}: {error}"
            tests["collection"] = {"outcome": "failed", "message": message, "frames": []}
        for name, (expression, expected) in {} if tests else cases.items():
            test_id = f"test_{path}::{name}"
            tests[test_id], ran = _case(path, expression, expected, scope)
            lines[test_id] = {path: ran}
        report = json.dumps({"tests": tests, "lines": lines})
        failures = [test["message"] for test in tests.values() if test["outcome"] == "failed"]
        output = "\n".join([*failures, f"LOCALAGENT-PROBE {report}"])
        return CommandResult(int(bool(failures)), output, seconds)

    return check


def _case(
    path: str, expression: str, expected: object, scope: dict[str, Any]
) -> tuple[dict[str, Any], list[int]]:
    """The probe's record of one test, and the lines that it ran."""
    ran: set[int] = set()
    end = time.monotonic() + 2

    def trace(frame: FrameType, event: str, _arg: object) -> Any:
        if event == "line" and frame.f_code.co_filename == path:
            ran.add(frame.f_lineno)
        if time.monotonic() > end:
            raise TimeoutError("the test does not end")
        return trace

    statement = f"assert {expression} == {expected!r}"
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        actual = eval(expression, dict(scope))
    except Exception as error:
        sys.settrace(before)
        frames = []
        at = error.__traceback__
        while at is not None:
            if at.tb_frame.f_code.co_filename == path:
                frames.append([path, at.tb_lineno])
            at = at.tb_next
        message = f"{statement}\n{type(error).__name__}: {error}"
        return {"outcome": "failed", "message": message, "frames": frames}, sorted(ran)
    finally:
        sys.settrace(before)
    if actual == expected:
        return {"outcome": "passed"}, sorted(ran)
    message = f"{statement}\nAssertionError: assert {actual!r} == {expected!r}"
    return {"outcome": "failed", "message": message, "frames": []}, sorted(ran)
