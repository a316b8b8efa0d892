"""The ranks of a task's right place in localagent's localization: file, function and line."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bug_tasks import around, functions_of

from localagent.agent.checks.baseline import baseline_check
from localagent.agent.planners.base import PlannerDefaults, Result
from localagent.agent.repair.localize import (
    paths_in_task,
    paths_to_trace,
    suspects,
    suspicious_lines,
    targets,
    trace,
)
from localagent.agent.turn import Turn
from localagent.core.events import Event
from localagent.models.scripted import ScriptedModel
from localagent.project.project import Project
from localagent.session.factory import RunOptions, open_session


class _Ranking(PlannerDefaults):
    """A planner that only locates the task's code."""

    name = "ranking"

    def __init__(self, task: Mapping[str, Any]) -> None:
        self.task = task
        self.ranks: dict[str, Any] = {}

    def plan(self, turn: Turn) -> Generator[Event, None, Result]:
        """Run the check with tracing, then rank."""
        named = paths_in_task(turn.prompt, turn.services.workspace, turn.services.index.files())
        _, start = yield from baseline_check(turn)
        assert start is not None
        result = yield from trace(turn, paths_to_trace(turn, named, start), start)
        assert result is not None
        task, path = self.task, self.task["file"]
        text = turn.services.workspace.read_bytes(path).decode("utf-8", "replace")
        functions = functions_of(text)
        ranked = suspects(turn, result)
        files = targets(turn, named, result, ranked)
        places = [(s.symbol.path, s.symbol.name) for s in ranked]
        names = [name for at, name in places if at == path]
        lines = suspicious_lines(path, text.splitlines(), result, names)
        inside = [n for n in lines if around(functions, n) in task["functions"]]
        ran = {
            around(functions, line)
            for test in result.failing
            for line in test.lines.get(path, ())
            if line not in {first for _, first, _ in functions}
        }
        self.ranks = {
            "file_rank": _first(files, [path]),
            "function_rank": _first(places, [(path, name) for name in task["functions"]]),
            "line_rank": _first(lines, task["lines"]),
            "line_in_function": _first(inside, task["lines"]),
            "runs_function": bool(ran & set(task["functions"])),
            "failing": len(result.failing),
            "passing": len(result.passing),
            "expected_failing": len(task["failing"]),
        }
        return Result("answered", "")


def _first(ranked: Sequence[Any], right: Sequence[Any]) -> int:
    """The rank of the first right one, from 1; 0 if none is ranked."""
    return next((place for place, each in enumerate(ranked, 1) if each in right), 0)


def ranks_in(tree: Path, task: Mapping[str, Any]) -> dict[str, Any]:
    """The ranks of the right file, function and line in a copy of the task's repository."""
    project = Project.open(tree, {"check": task["check"]})
    planner = _Ranking(task)
    with open_session(project, RunOptions(yes=True), ScriptedModel([])) as session:
        session.planner_for = lambda _name: planner
        events = list(session.run(task["request"]))
    if not planner.ranks:
        raise SystemExit(f"{task['name']}: {events[-1]}")
    return planner.ranks
