"""The demo `migration`: a column of a copy of the sample is split, and the data is judged."""

from __future__ import annotations

import shlex
import sqlite3
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from setuplib import places
from setuplib.console import Console, SetupError
from setuplib.demo import copy_sample, run_agent, run_tests

SAMPLE = places.REPO / "scripts" / "samples" / "members"
TASK = (
    "Split the column name of members into first_name and last_name: the last word is the last "
    'name, and everything before it is the first name. "Mary Ann Hale" is "Mary Ann" and "Hale". '
    "A single word is a first name."
)
ROWS = 3000
Row = tuple[Any, ...]


def run(console: Console, options: Sequence[str]) -> int:
    """Copy the sample, fill its database, let localagent split a column, and judge the data.

    `options` go to `localagent run`. Returns 0 only where all rows are as they should be.
    """
    folder = copy_sample(SAMPLE)
    prepare(folder)
    console.line(f"\nThe sample is in {folder}. Its database has {ROWS:,} rows.")
    agent = run_agent(console, folder, TASK, options)
    console.line("\nThe sample's tests, run once more without localagent:\n")
    tests = run_tests(folder)
    fault = judged(folder)
    console.line()
    if agent or tests or fault:
        reason = fault or ("the tests fail" if tests else f"localagent ended with {agent}")
        console.line(f"The demo failed: {reason}. The folder stays: {folder}")
        return agent or 1
    console.line(f"Upgraded, downgraded and upgraded: all {ROWS:,} rows are as they should be.")
    console.line("The harness made the revision, the class, the test, and the function that joins.")
    console.line("The model wrote the function that splits a name, and two queries.")
    console.line(f"  cd {shlex.quote(str(folder))} && git diff")
    return 0


def prepare(folder: Path) -> None:
    """Make the sample's database and fill it."""
    _python(folder, "alembic", "upgrade", "head")
    _python(folder, "members.seed", str(ROWS))


def judged(folder: Path) -> str:
    """Why the data is not as it should be after an upgrade, a downgrade and an upgrade, or "".

    An odd value, which has two spaces or one at its end, may stay whole.
    """
    before = _rows(folder, "name")
    faults = []
    try:
        for words, columns in (
            (("upgrade", "head"), "first_name, last_name"),
            (("downgrade", "-1"), "name"),
            (("upgrade", "head"), "first_name, last_name"),
        ):
            _python(folder, "alembic", *words)
            rows = _rows(folder, columns)
            good = before == rows if columns == "name" else _are_split(before, rows)
            faults += [] if good else [f"the rows are wrong after {' '.join(words)}"]
    except (SetupError, sqlite3.Error) as error:
        return str(error)
    return faults[0] if faults else ""


def _are_split(before: Sequence[Row], rows: Sequence[Row]) -> bool:
    if len(before) != len(rows):
        return False
    for (number, name), (same, *parts) in zip(before, rows, strict=True):
        first, _, last = name.rpartition(" ")
        right = [first, last] if first else [last, ""]
        whole = name != " ".join(name.split()) and parts == [name, ""]
        if number != same or (parts != right and not whole):
            return False
    return True


def _rows(folder: Path, columns: str) -> list[Row]:
    with sqlite3.connect(folder / "members.db") as db:
        return db.execute(f"SELECT id, {columns} FROM members ORDER BY id").fetchall()


def _python(folder: Path, module: str, *words: str) -> None:
    command = [str(places.PYTHON), "-m", module, *words]
    done = subprocess.run(
        command, cwd=folder, env=places.environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise SetupError(f"{module} {' '.join(words)} failed: {last}", "see the sample's README")
