"""`scripts/bench mutants`: one seeded fault in each of many functions of well-tested libraries.

First collect tasks, then run them:

    scripts/bench mutants --collect jinja attrs --python venv/bin/python
    scripts/bench mutants

The operators (`faults.py`) are not those of the search. A fault counts only if a test fails in
time. The check is the test file with the most tests that run the function, and the request does not
name the function. The default is to run without a model.
"""

from __future__ import annotations

import argparse
from collections import defaultdict

import bugs
from mutant_tasks import tasks_of
from rows import rows_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `scripts/bench mutants`."""
    bugs.add_task_arguments(parser, "mutants", 60.0)
    parser.set_defaults(no_model=True)
    parser.add_argument(
        "--with-model", dest="no_model", action="store_false", help="with the model's moves, too"
    )


def run(options: argparse.Namespace) -> int:
    """Collect tasks, or run the tasks that the output file lacks and print the table."""
    for repository in options.collect or ():
        bugs.collect(options, tasks_of(repository.resolve(), options.python, options.most))
    if options.collect:
        return 0
    code = bugs.run_tasks(options)
    by_operator: dict[str, list[bool]] = defaultdict(list)
    operators = {task["name"]: task["operator"] for task in rows_of(options.tasks)}
    for row in rows_of(options.out):
        if row["kind"] == "run" and row["label"] == options.label and row["name"] in operators:
            by_operator[operators[row["name"]]].append(row["solved"])
    for operator, solved in sorted(by_operator.items()):
        print(f"  {operator:<16} {sum(solved):>3} of {len(solved)}")
    return code
