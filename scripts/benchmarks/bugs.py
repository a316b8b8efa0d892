"""`scripts/bench bugs`: real bugs from the history of repositories, each with its fix's own tests.

First collect tasks, then run them:

    scripts/bench bugs --tasks bugs.jsonl --collect jinja --python venv/bin/python
    scripts/bench bugs --tasks bugs.jsonl --rank-only
    scripts/bench bugs --tasks bugs.jsonl --no-model --seconds 60

A task is a commit whose message mentions a fix, that changed tests and at most 12 lines of one
source file. With the commit's tests the parent fails, and with the fix it passes. localagent runs
on the parent with these tests; the request is the commit's subject. The interpreter's environment
needs pytest and the repository's dependencies. A fixed seed splits the tasks in two halves: choose
on one half, report the other.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import trials
from bug_tasks import tasks_of
from rows import HALVES, REPO, resumed, rows_of, write_row


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `scripts/bench bugs`."""
    add_task_arguments(parser, "bugs", 180.0)
    parser.add_argument("--tries", type=int, default=80, help="fixes to try in each repository")
    parser.add_argument("--since", default="2018-01-01", help="date of the oldest fix")


def add_task_arguments(parser: argparse.ArgumentParser, name: str, seconds: float) -> None:
    """The options that the benchmarks with tasks of a known place share."""
    parser.add_argument(
        "--collect", nargs="+", type=Path, metavar="REPOSITORY", help="make tasks, run none"
    )
    parser.add_argument("--python", help="interpreter with the repositories' dependencies")
    parser.add_argument("--most", type=int, default=40, help="tasks to make of each repository")
    parser.add_argument("--tasks", type=Path, default=REPO / ".bench" / f"{name}-tasks.jsonl")
    parser.add_argument("--rank-only", action="store_true", help="localize, but do not search")
    parser.add_argument("--no-model", action="store_true", help="only moves that need no model")
    parser.add_argument("--seconds", type=float, default=seconds, help="limit for each task")
    parser.add_argument("--only", nargs="*", default=[], help="names of tasks")
    parser.add_argument("--half", choices=(*HALVES, "both"), default="both")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", help="a model of models.lock (default: its default)")
    parser.add_argument("--label", default="", help="a word that marks this run's rows")
    parser.add_argument("--out", type=Path, default=REPO / ".bench" / f"{name}.jsonl")


def run(options: argparse.Namespace) -> int:
    """Collect tasks, or run the tasks that the output file lacks and print the table."""
    for repository in options.collect or ():
        path, most = repository.resolve(), options.most
        collect(options, tasks_of(path, options.python, most, options.tries, options.since))
    return 0 if options.collect else run_tasks(options)


def collect(options: argparse.Namespace, tasks: Iterable[dict]) -> None:
    """Append the tasks that the task file lacks, each as it is found."""
    if not options.python:
        raise SystemExit("name the repositories' interpreter: --python PATH")
    known = {task["name"] for task in rows_of(options.tasks)}
    for task in tasks:
        if task["name"] not in known:
            write_row(options.tasks, task)
    print(f"{len(rows_of(options.tasks))} tasks in {options.tasks}")


def run_tasks(options: argparse.Namespace) -> int:
    """Run or rank the tasks that the output file lacks, then print the table by halves."""
    tasks = {t["name"]: t for t in trials.load(options.tasks, options.only, options.half)}
    mark = {"label": options.label, "kind": "rank"}
    if options.rank_only:
        rows = resumed(
            options.out, mark, list(tasks), lambda name: trials.rank(tasks[name]), trials.rank_line
        )
        trials.print_ranks(rows)
        return 0
    model = "none" if options.no_model else options.model or "default"
    mark |= {"kind": "run", "model": model, "limit": options.seconds, "seed": options.seed}
    rows = resumed(
        options.out, mark, list(tasks), lambda name: _measure(options, tasks[name]), trials.line_of
    )
    trials.print_runs(rows)
    return 0


def _measure(options: argparse.Namespace, task: dict) -> dict:
    places = trials.rank(task)
    solved = trials.solve(
        task, options.seconds, options.seed, model=options.model, no_model=options.no_model
    )
    return {**places, **solved}
