"""Carry out one task of a batch: copy, run, publish. Whatever is killed, the task is done once.

A run counts only when `result.json` is on the disk. Before that, everything that the run made lies
in the task's folder, and the next run removes it. A branch is created after the result, which names
its commit, so a batch that continues creates exactly this branch.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from localagent.core.errors import Interrupted, UsageError, WorkspaceError
from localagent.core.interpreter import environment, python
from localagent.core.locks import locked
from localagent.core.paths import private
from localagent.core.trees import remove_tree
from localagent.session.batch.copies import copy_repository, remove_copy
from localagent.session.batch.results import BatchFolder, TaskResult, read_stream
from localagent.session.batch.tasks import BatchTask
from localagent.workspace.git.branch import (
    branch_commit,
    clean_head,
    file_version,
    make_commit,
    open_branch,
)

_STOPPED = "the batch was stopped; the same command continues it"
RUNS = 3
"""Starts of a task's process. A process that a signal ends leaves no result, and starts again."""

# The child ends with its parent, even one that SIGKILL ends before the child asks for that.
_CHILD = """\
import os, signal, sys
if sys.platform == "linux":
    from localagent.linux.syscalls import die_with_parent
    die_with_parent(signal.SIGKILL)
    if os.getppid() != int(sys.argv.pop(1)):
        sys.exit(1)
from localagent.__main__ import main
sys.exit(main())
"""

Start = Callable[[list[str], Path, int], int]
"""Runs `localagent` with these words, a file for its output, and a lock's descriptor that it
inherits. Returns its exit code; negative: the signal that ended it."""


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """The options of a batch. `branches` is the prefix of the branches to open, or ""."""

    yes: bool = False
    branches: str = ""

    def branch(self, task: BatchTask) -> str:
        """The name of a task's branch."""
        return f"{self.branches}/{task.id}"


class Processes:
    """Starts the processes of tasks, and ends them all when the user interrupts the batch."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self.stopped = False

    def start(self, words: list[str], log: Path, lock: int) -> int:
        """See `Start`. Raises Interrupted if the process was stopped."""
        if self.stopped:
            raise Interrupted(_STOPPED)
        child = [str(os.getpid())] if sys.platform == "linux" else []
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*python("-c", _CHILD), *child, *words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment(),
                pass_fds=(lock,) if os.name == "posix" else (),
            )
            self._running.add(process)
            if self.stopped:
                process.terminate()
            code = process.wait()
            self._running.discard(process)
        if code == Interrupted.exit_code or (code < 0 and self.stopped):
            self.stopped = True
            raise Interrupted(_STOPPED)
        return code

    def stop(self) -> None:
        """End all processes, and those that start later."""
        self.stopped = True
        for process in list(self._running):
            with suppress(OSError):
                process.send_signal(signal.SIGTERM)


def run_task(
    task: BatchTask, folder: BatchFolder, options: BatchOptions, start: Start
) -> TaskResult:
    """Carry out a task, unless it is done, and return its result.

    Waits for a process of an earlier batch that still works on the task. Raises Interrupted if the
    user stopped the process, and OSError or WorkspaceError if the folder cannot be used.
    """
    place = folder.of(task)
    if place.is_symlink():  # the folder may come with a repository, and the link lead anywhere
        raise UsageError(f"{place} is a link", "remove it, or name another folder with --output")
    private(place)
    with locked(place / "lock") as lock:
        result = folder.result(task)
        if result is None:
            try:
                result = _carry_out(
                    task, place, options, lambda words, log: start(words, log, lock)
                )
            except WorkspaceError as error:
                facts = (task.id, task.task, str(task.repository), "error", error.exit_code)
                result = TaskResult(*facts, error.message)
            folder.store(task, result)
        if options.branches and result.commit and not result.branch and not result.branch_error:
            result = _publish(task, result, options.branch(task))
            folder.store(task, result)
        remove_copy(place / "work")
        remove_tree(place / "git")
    return result


def check_branches(tasks: list[BatchTask], folder: BatchFolder, options: BatchOptions) -> None:
    """Raise UsageError if the branch of a task that is not done exists."""
    for task in tasks if options.branches else ():
        name = options.branch(task)
        if folder.result(task) is None and branch_commit(task.repository, name):
            raise UsageError(
                f"{task.repository} has a branch {name} already",
                "delete the branch, or name another folder with --output",
            )


def _carry_out(
    task: BatchTask, place: Path, options: BatchOptions, start: Callable[[list[str], Path], int]
) -> TaskResult:
    """Run the task in a fresh copy, and return its result without publishing anything."""
    work = place / "work"
    for number in range(1, RUNS + 1):
        for name in ("events.ndjson", "change.patch", "log.txt"):
            (place / name).unlink(missing_ok=True)
        remove_copy(work)
        base = clean_head(task.repository)
        copy_repository(task.repository, work, place.parent)
        if base != clean_head(task.repository):
            base = ""
        words = ["ci", "-C", str(work), "--log=plain", *(["--yes"] if options.yes else [])]
        words += [f"--events={place / 'events.ndjson'}", f"--patch={place / 'change.patch'}"]
        code = start([*words, *task.options()], place / "log.txt")
        if code >= 0 or number == RUNS:
            break
    result = replace(_result(task, place, code), base=base, runs=number)
    return _with_commit(task, place, result) if options.branches else result


def _result(task: BatchTask, place: Path, code: int) -> TaskResult:
    """The result of a process that ended with `code`, from its events."""
    last = read_stream(place / "events.ndjson")
    started: dict[str, Any] = last.get("session_started", {})
    end: dict[str, Any] = last.get("turn_finished", {})
    failed: dict[str, Any] = last.get("failed", {})
    ended = f"the process ended by signal {-code}" if code < 0 else f"exit code {code}"
    return TaskResult(
        id=task.id,
        task=task.task,
        repository=str(task.repository),
        outcome=end.get("outcome", "failed" if code < 0 else "error"),
        exit_code=code if code >= 0 else 128 - code,
        summary=end.get("summary") or failed.get("message") or ended,
        **{name: end[name] for name in ("check", "changed", "seconds") if name in end},
        prompt_tokens=end.get("prompt_tokens", 0) - end.get("reused_tokens", 0),
        completion_tokens=end.get("completion_tokens", 0),
        model=started.get("model", ""),
        session=started.get("session", ""),
    )


def _with_commit(task: BatchTask, place: Path, result: TaskResult) -> TaskResult:
    """The result with a commit of the change, or with the reason why there is no commit."""
    if not result.changed:
        return result
    if not result.base:
        reason = "no git repository, or its tracked files differ from the current commit"
        return replace(result, branch_error=reason)
    scratch = place / "git"
    try:
        remove_tree(scratch)
        scratch.mkdir()
        files = {path: file_version(place / "work", path) for path in result.changed}
        message = f"{task.task.strip()}\n\nOutcome: {result.outcome}\n{result.summary}\n"
        commit = make_commit(task.repository, result.base, files, message, scratch)
    except (WorkspaceError, OSError) as error:
        return replace(result, branch_error=str(error))
    return replace(result, commit=commit)


def _publish(task: BatchTask, result: TaskResult, name: str) -> TaskResult:
    """The result with its branch, which this function creates, or with the reason against it."""
    try:
        open_branch(task.repository, name, result.commit)
    except WorkspaceError as error:
        return replace(result, branch_error=error.message)
    return replace(result, branch=name)
