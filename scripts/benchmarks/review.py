"""`scripts/bench review`: commits with a planted fault and clean ones, by tools and the model.

The commits are real ones of the given repositories. In half of them a line that the commit adds
gets one seeded fault (`faults.py`). A finding is right if it is at most two lines from the fault,
since a type checker sees a wrong value where it is used. The project's linters run where --python's
environment has them.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from bug_tasks import functions_of
from faults import Fault, faults_in
from repositories import copy_of, environment, git
from rows import REPO, resumed

from localagent.code.file_kinds import is_docs, is_test

_HUNK = re.compile(r"^@@ -\S+ \+(\d+)(?:,(\d+))? @@", re.M)
_ADDED = (4, 40)  # fewest and most lines that a commit adds to its source file
_KINDS = ("planted", "clean")
_NEAR = 2  # lines between a fault and a right finding


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `scripts/bench review`."""
    parser.add_argument("repositories", nargs="+", type=Path, help="git repositories")
    parser.add_argument("--each", type=int, default=30, help="commits of each kind")
    parser.add_argument("--tools", action="store_true", help="only the linters, without a model")
    parser.add_argument("--python", default=sys.executable, help="interpreter with the linters")
    parser.add_argument("--label", default="", help="a word that marks this run's rows")
    parser.add_argument("--out", type=Path, default=REPO / ".bench" / "review.jsonl")


def run(options: argparse.Namespace) -> int:
    """Review the commits that the output file lacks, then print precision and recall."""
    most = 2 * options.each
    found = [list(islice(_commits(r.resolve()), most)) for r in options.repositories]
    turns = [some[n] for n in range(max(map(len, found))) for some in found if n < len(some)]
    commits = turns[:most]
    tasks = {}
    for n, (repository, commit) in enumerate(commits):
        kind = _KINDS[n // len(found) % 2]
        tasks[f"{kind} {repository.name} {commit[:10]}"] = repository, commit
    mark = {"label": options.label, "tools": options.tools}

    def measure(name: str) -> dict:
        repository, commit = tasks[name]
        with copy_of(repository, commit) as tree:
            return _reviewed(tree, name.startswith("planted"), options)

    rows = resumed(options.out, mark, list(tasks), measure, _line)
    for tool in ("tools", "model"):
        findings = [(row, f) for row in rows for f in row["findings"] if (f["by"] == tool)]
        right = [row["name"] for row, finding in findings if finding["right"]]
        planted = [row for row in rows if row["fault"]]
        print(
            f"{tool}: {len(findings)} findings, precision {len(right)} of {len(findings)}, "
            f"recall {len(set(right))} of {len(planted)} faults, "
            f"{len({row['name'] for row, _ in findings if not row['fault']})} of "
            f"{len(rows) - len(planted)} clean commits with a finding"
        )
    outside = sum(not finding["added"] for row in rows for finding in row["findings"])
    print(f"findings on lines that the diff does not add: {outside}")
    return 0


def _commits(repository: Path) -> Iterator[tuple[Path, str]]:
    """The newest commits that add a few lines to functions of one source file."""
    words = ["--no-merges", "--no-renames", "--numstat", "--format=%x00%H", "-n", "1500"]
    for entry in git(repository, "log", *words).split("\0")[1:]:
        commit, _, changes = entry.partition("\n")
        rows = re.findall(r"^(\d+)\t(\d+)\t(.+)$", changes, re.M)
        code = [r for r in rows if r[2].endswith(".py") and not is_test(r[2]) and not is_docs(r[2])]
        if len(code) == 1 and _ADDED[0] <= int(code[0][0]) <= _ADDED[1]:
            path = code[0][2]
            text = git(repository, "show", f"{commit}:{path}")
            if _fault(text, _added(repository, commit, path), path) is not None:
                yield repository, commit


def _added(tree: Path, commit: str, path: str) -> set[int]:
    """The lines that a commit adds to a file, by their numbers after it."""
    diff = git(tree, "diff", "--unified=0", f"{commit}~1", commit, "--", path)
    hunks = _HUNK.findall(diff)
    return {n for first, count in hunks for n in range(int(first), int(first) + int(count or 1))}


def _fault(text: str, added: set[int], name: str) -> Fault | None:
    """A seeded fault of which every line is one that the commit adds; None without any."""
    try:
        functions = list(functions_of(text))
    except SyntaxError:
        return None
    for _, first, last in functions:
        if added.isdisjoint(range(first, last + 1)):
            continue
        for fault in faults_in(text, first, last, name):
            if added.issuperset(range(fault.first, fault.last + 1)):
                return fault
    return None


def _reviewed(tree: Path, planted: bool, options: argparse.Namespace) -> dict:
    """Plant the fault if one is asked for, review the newest commit, and judge the findings."""
    (path,) = [
        name
        for name in git(tree, "diff", "--name-only", "HEAD~1", "HEAD").split("\n")
        if name.endswith(".py") and not is_test(name) and not is_docs(name)
    ]
    place: dict = {}
    if planted:
        text = (tree / path).read_text(encoding="utf-8")
        fault = _fault(text, _added(tree, "HEAD", path), path)
        assert fault is not None
        lines = text.splitlines(keepends=True)
        lines[fault.first - 1 : fault.last] = [fault.text]
        (tree / path).write_text("".join(lines), encoding="utf-8")
        identity = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
        git(tree, *identity, "commit", "--quiet", "--all", "--amend", "--no-edit", "--no-verify")
        last = fault.first + max(1, fault.text.count("\n")) - 1
        place = {"path": path, "lines": [fault.first, last], "operator": fault.operator}
    began = time.monotonic()
    command = [sys.executable, "-m", "localagent", "review", "HEAD~1..HEAD", "--json", "-C", tree]
    command += [] if options.tools else ["--ask"]
    env = environment(options.python)
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    printed = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    added = {p: _added(tree, "HEAD", p) for p in {finding["path"] for finding in printed}}
    findings = [
        {
            "by": "model" if finding["confidence"] == "low" else "tools",
            "place": f"{finding['path']}:{finding['line']}",
            "message": finding["message"],
            "added": finding["line"] in added[finding["path"]],
            "right": bool(place)
            and finding["path"] == path
            and place["lines"][0] - _NEAR <= finding["line"] <= place["lines"][1] + _NEAR,
        }
        for finding in printed
    ]
    return {
        "fault": place,
        "findings": findings,
        "seconds": round(time.monotonic() - began, 1),
        "error": "" if done.returncode in (0, 1) else done.stderr[-300:],
    }


def _line(row: Mapping) -> str:
    right = sum(finding["right"] for finding in row["findings"])
    operator = row["fault"].get("operator", "")
    return (
        f"{row['name']:<36} {operator:<16} {len(row['findings'])} findings, {right} right, "
        f"{row['seconds']} s {row['error']}"
    )
