"""A turn without processes: a scripted model, a scripted sandbox, an index of Python files."""

from __future__ import annotations

import ast
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from localagent.agent.repair.candidates import Board, Draft, Strategy
from localagent.agent.repair.problem import Problem
from localagent.agent.turn import Services, Turn, TurnRequest
from localagent.code.symbols import Symbol
from localagent.context.prompts import Prompts
from localagent.core.changes import Change
from localagent.core.events import Event, FileChanged, Mode
from localagent.edits.diff import unified
from localagent.index.base import Hit, Passage, Reference
from localagent.models.base import ModelInfo, Profile
from localagent.models.scripted import ScriptedModel, ScriptedReply
from localagent.tools.base import Effect, Tool
from localagent.workspace.workspace import Workspace
from tests.doubles.scripted_sandbox import ScriptedSandbox, completed

T = TypeVar("T")


class PythonIndex:
    """Implements `index.base.Index` for a folder of Python files, by reading all at each call."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def refresh(self) -> None: ...

    def ready(self) -> bool:
        return True

    def warning(self) -> str:
        return ""

    def close(self) -> None: ...

    def files(self) -> Sequence[str]:
        paths = (p for p in self._root.rglob("*") if p.is_file())
        return sorted(path.relative_to(self._root).as_posix() for path in paths)

    def symbols(self, path: str) -> Sequence[Symbol]:
        if not path.endswith(".py") or not (self._root / path).is_file():
            return []
        tree = ast.parse((self._root / path).read_text())
        kinds = ast.FunctionDef | ast.ClassDef
        return [
            Symbol(
                node.name,
                "class" if isinstance(node, ast.ClassDef) else "function",
                path,
                node.lineno,
                node.end_lineno or node.lineno,
                f"def {node.name}",
            )
            for node in ast.walk(tree)
            if isinstance(node, kinds)
        ]

    def definitions(self, name: str) -> Sequence[Symbol]:
        return [s for path in self.files() for s in self.symbols(path) if s.name == name]

    def search(self, query: str, limit: int = 10) -> Sequence[Hit]:
        """The files that contain most of the query's words."""
        words = set(re.findall(r"\w+", query.lower()))
        hits = []
        for path in self.files():
            text = set(re.findall(r"\w+", (self._root / path).read_text().lower()))
            score = len(words & (text | set(re.findall(r"\w+", path.lower()))))
            hits += [Hit(path, float(score), ("words",))] if score else []
        return sorted(hits, key=lambda hit: -hit.score)[:limit]

    def passages(self, query: str, limit: int = 10) -> Sequence[Passage]:
        """The definitions in the files that match."""
        return [
            Passage(hit.path, s.name, s.line, s.end_line, hit.score, hit.reasons)
            for hit in self.search(query, limit)
            for s in self.symbols(hit.path)
        ][:limit]

    def may_have(self, pattern: str, files: Sequence[str], *, regex: bool) -> Sequence[str]:
        return files

    def callers(self, name: str, limit: int = 20) -> Sequence[Reference]:
        return []

    def imports(self, path: str) -> Sequence[str]:
        return []

    def tests_for(self, path: str) -> Sequence[str]:
        return []


@dataclass(frozen=True)
class Permission:
    action: Literal["allow", "ask", "deny"] = "allow"
    by: str = "rule"
    reason: str = ""


@dataclass
class OneAnswerGate:
    """A gate that decides every action alike; `subjects` are what it decided about."""

    verdict: Permission = Permission()
    mode: Mode = "auto"
    subjects: list[str] = field(default_factory=list)

    def set_mode(self, mode: Mode) -> None:
        self.mode = mode

    def possible(self) -> tuple[Mode, ...]:
        return (self.mode,)

    def decide(
        self,
        tool: str,
        effect: Effect,
        subject: str,
        named: frozenset[str],
        *,
        entered: bool = False,
    ) -> Permission:
        self.subjects.append(subject)
        return self.verdict

    def runs_later(self, path: str) -> bool:
        return False

    def rememberable(self, effect: Effect, subject: str) -> tuple[str, ...]:
        return ()

    def remember(self, effect: Effect, subject: str) -> None: ...


@dataclass
class FolderJournal:
    """A journal that writes files and keeps nothing."""

    root: Path

    def apply(self, changes: Sequence[Change]) -> list[FileChanged]:
        events = []
        for change in changes:
            path = self.root / change.path
            old = path.read_text() if path.exists() else None
            path.write_bytes(change.data)
            diff = unified(change.path, old, path.read_text())
            events.append(FileChanged(change.path, None, None, diff))
        return events

    def keep_patch(self, text: str) -> Path:
        path = self.root.with_name("best.patch")
        path.write_text(text)
        return path


def scripted_turn(
    folder: Path,
    prompt: str = "Fix calc.py so that the tests pass",
    *,
    replies: Sequence[str | ScriptedReply] = (),
    sandbox: ScriptedSandbox | None = None,
    tools: Mapping[str, Tool] | None = None,
    verdict: Permission = Permission(),
    request: Mapping[str, Any] | None = None,
    **profile: Any,
) -> Turn:
    """A turn in `folder`; `request` are further fields of its TurnRequest."""
    workspace = Workspace.open(folder)
    services = Services(
        model=ScriptedModel(replies, ModelInfo("scripted", "scripted", "", Profile(**profile))),
        workspace=workspace,
        index=PythonIndex(workspace.root),
        sandbox=sandbox or ScriptedSandbox(lambda _line, _files: completed()),
        tools=tools or {},
        gate=OneAnswerGate(verdict),
        journal=FolderJournal(workspace.root),
        prompts=Prompts(),
    )
    return Turn(services, TurnRequest(1, prompt, **(request or {})))


def prompt_of(draft: Draft) -> str:
    """The last message of a draft's prompt."""
    assert draft.request is not None and isinstance(draft.request.prompt, tuple)
    return draft.request.prompt[-1].content


def run_events(events: Generator[Event, None, T]) -> tuple[list[Event], T]:
    """All events of a generator, and its value."""
    seen: list[Event] = []
    while True:
        try:
            seen.append(next(events))
        except StopIteration as end:
            return seen, end.value


def offer(name: str, *texts: str) -> Strategy:
    """A strategy that offers these texts, one a slot, and asks no model."""

    def strategy(_turn: Turn, _problem: Problem, _board: Board) -> Iterator[Sequence[Draft]]:
        for text in texts:
            yield [Draft(name, None, lambda _, text=text: [text])]

    return strategy
