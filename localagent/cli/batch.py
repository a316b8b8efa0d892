"""`localagent batch`: carry out many tasks, each once, whatever is killed in between."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from localagent.cli.interrupt import Interrupts
from localagent.cli.options import add_command, add_json, add_number
from localagent.cli.output import CliResult, note
from localagent.core.errors import RefusedError
from localagent.ui.chat.output import Output
from localagent.ui.view.format import count, duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from localagent.cli.options import Commands
    from localagent.session.batch.results import BatchFolder, TaskResult
    from localagent.session.batch.runner import BatchOptions, Processes
    from localagent.session.batch.tasks import BatchTask

_DESCRIPTION = """\
Carry out the tasks of a file, one JSON object a line with "task" and
"repository". Each task works in a copy of its own and leaves a result, a patch
and a transcript; the repositories stay as they are. After any interruption the
same command continues: each task is done exactly once."""
_EPILOG = """\
examples:
  localagent batch tasks.jsonl --yes
  localagent batch tasks.jsonl --yes --open-branches --output results
  localagent batch tasks.jsonl --yes --json | jq .outcome

a line of tasks.jsonl:
  {"task": "fix the failing test", "repository": "../shop", "check": "pytest -q"}

All keys: localagent docs batch. Exit code 0: every task is solved or answered.
"""
_GOOD = ("solved", "answered")


def register(commands: Commands) -> None:
    """Add the command batch to the parser."""
    parser = add_command(
        *(commands, "batch", "carry out many tasks, each in a copy", execute),
        description=_DESCRIPTION,
        epilog=_EPILOG,
    )
    parser.add_argument("tasks", metavar="TASKS", type=Path, help="the file with the tasks")
    parser.add_argument(
        "--output",
        metavar="DIR",
        type=Path,
        help="folder of the results (default: TASKS with .batch in place of its suffix)",
    )
    add_number(
        parser, "--jobs", 1, "tasks at a time (default: 1, since a model fills a machine)", 1
    )
    parser.add_argument(
        "--yes",
        action="store_true",
        help="answer yes to every question except showing secrets; denied stays denied",
    )
    parser.add_argument(
        "--open-branches",
        action="store_true",
        help="leave each change on a branch localagent/DIR/ID of its repository",
    )
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="local: processes of this machine; ray: an existing Ray cluster (default: local)",
    )
    parser.add_argument(
        "--ray-address",
        metavar="ADDRESS",
        default="auto",
        help="address of the Ray cluster (default: auto, the cluster of this machine)",
    )
    add_json(parser, "write the results to stdout, one JSON object a line")


def execute(args: argparse.Namespace) -> CliResult:
    """Carry out the tasks that are not done, and return all results."""
    from localagent.session.batch.results import BatchFolder
    from localagent.session.batch.runner import BatchOptions, Processes, check_branches
    from localagent.session.batch.tasks import read_tasks

    _refuse_cluster(args.engine)
    tasks = read_tasks(args.tasks)
    folder = BatchFolder((args.output or args.tasks.with_suffix(".batch")).absolute())
    name = f"localagent/{folder.path.name.removesuffix('.batch')}" if args.open_branches else ""
    options, processes = BatchOptions(args.yes, name), Processes()
    with ExitStack() as stack:
        interrupts = stack.enter_context(Interrupts())
        interrupts.cancel = processes.stop
        stack.enter_context(folder.held())
        stack.callback(processes.stop)
        results = {result.id: result for result in folder.results(tasks)}
        check_branches(tasks, folder, options)
        if results:
            note(f"{count(len(results), 'task')} of {len(tasks)} done before")
        for result in _results(args, tasks, folder, options, processes):
            new = result.id not in results
            results[result.id] = result
            folder.list_results(results[task.id] for task in tasks if task.id in results)
            if new:
                took = duration(result.seconds)
                note(f"{len(results)} of {len(tasks)}: {result.id} {result.outcome}, {took}")
    return _summary([results[task.id] for task in tasks], folder)


def _results(
    args: argparse.Namespace,
    tasks: Sequence[BatchTask],
    folder: BatchFolder,
    options: BatchOptions,
    processes: Processes,
) -> Iterator[TaskResult]:
    """Carry out the tasks with the chosen engine. A task that is done yields its result."""
    from localagent.session.batch.engines import run_here, run_on_ray
    from localagent.session.batch.runner import run_task

    if args.engine == "ray":
        return run_on_ray(tasks, folder, options, args.ray_address)
    run = partial(run_task, folder=folder, options=options, start=processes.start)
    return run_here(tasks, run, args.jobs)


def _refuse_cluster(engine: str) -> None:
    """Raise RefusedError if the administrator's policy forbids connections to a cluster."""
    from localagent.config import policy

    if engine == "ray" and policy.latch().offline:
        raise RefusedError(
            "the administrator's policy is offline, so no cluster can be used",
            "--engine local uses this machine",
        )


def _summary(results: list[TaskResult], folder: BatchFolder) -> CliResult:
    head = ("task", "outcome", "took", "changed", "branch")
    rows = tuple(
        (
            *(result.id, result.outcome, duration(result.seconds)),
            ", ".join(result.changed) or result.summary.split("\n")[0],
            result.branch or result.branch_error,
        )
        for result in results
    )
    good = sum(result.outcome in _GOOD for result in results)
    return CliResult(
        [
            Output("table", head=head, rows=rows),
            Output("text", f"{good} of {len(results)} done; results in {folder.path}"),
        ],
        [asdict(result) for result in results],
        0 if good == len(results) else 1,
        json_lines=True,
    )
