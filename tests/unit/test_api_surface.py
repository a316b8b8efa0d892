"""The Python API stays: its names, and the parameters and types of its functions (docs/api.md).

Parameters may be added with a default. `python tests/unit/test_api_surface.py` prints the present
signatures.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import localagent
from localagent import Project, RunOptions, Session, errors, events, lock_process, open_session

PAGE = Path(__file__).resolve().parents[2] / "localagent" / "docs" / "api.md"
SIGNATURES = {
    "Project.open": ("(directory: str | Path, flags: Mapping[str, Any] | None = None) -> Project"),
    "open_session": "(project: Project, options: RunOptions | None = None) -> Session",
    "Session.run": "(self, prompt: str) -> Iterator[Event]",
    "Session.run_command": "(self, line: str, *, share: bool = True) -> Iterator[Event]",
    "Session.run_check": "(self, line: str, *, share: bool = False) -> Iterator[Event]",
    "Session.answer": "(self, question: int, allowed: bool, reason: str = '') -> None",
    "Session.cancel": "(self) -> None",
    "Session.close": "(self) -> None",
    "Session.undo": (
        "(self, which: str | None = None, *, force: bool = False, again: bool = False)"
        " -> Generator[Event, None, UndoResult]"
    ),
    "Session.rewind": "(self, turn: int | None = None) -> Generator[Event, None, TurnStart]",
    "Session.compact": "(self) -> Generator[Event, None, bool]",
    "events.to_dict": "(event: Event) -> dict[str, Any]",
    "events.from_dict": "(data: dict[str, Any]) -> Event",
    "lock_process": "() -> None",
}
PROPERTIES = {"id": "str", "conversation": "list[Message]", "mode": "Mode"}
OPTIONS = {
    "yes": "bool",
    "resume": "str | None",
    "seed": "int",
    "interactive": "bool",
    "scripted": "Path | None",
}


def function(name: str) -> Callable[..., Any]:
    value: Any = localagent
    for part in name.split("."):
        value = getattr(value, part)
    return value


def parts(signature: str) -> tuple[list[str], str]:
    """The parameters of a signature, and its result."""
    inside, _, result = signature.replace("'", "").rpartition(") -> ")
    return re.split(r", (?![^\[]*\])", inside.removeprefix("(")), result


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_function_keeps_its_signature(name: str) -> None:
    known, result = parts(SIGNATURES[name])
    present, present_result = parts(str(inspect.signature(function(name))))
    assert present_result == result
    assert [each for each in present if each in known] == known
    added = [each for each in present if each not in known]
    assert all("=" in each or each == "*" for each in added)


def test_properties_and_options_keep_their_types() -> None:
    for name, kind in PROPERTIES.items():
        assert getattr(Session, name).fget.__annotations__["return"] == kind
    options = {field.name: field.type for field in dataclasses.fields(RunOptions)}
    assert OPTIONS.items() <= options.items()


def test_the_names_are_those_of_the_command_line() -> None:
    from localagent.core import events as core_events
    from localagent.session import factory

    assert set(localagent.__all__) == {*localagent._MODULES, "__version__"}
    assert open_session is factory.open_session and events is core_events
    assert inspect.isclass(Project) and issubclass(errors.UsageError, errors.LocalAgentError)
    assert callable(lock_process)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = localagent.nothing  # type: ignore[attr-defined]


def test_the_page_names_everything() -> None:
    text = PAGE.read_text(encoding="utf-8")
    names = [name.rpartition(".")[2] for name in (*SIGNATURES, *PROPERTIES, *OPTIONS)]
    assert [name for name in (*localagent.__all__[:3], *names) if name not in text] == []


def test_type_checkers_see_the_types() -> None:
    assert (Path(localagent.__file__).parent / "py.typed").exists()


if __name__ == "__main__":
    for each in SIGNATURES:
        print(each, inspect.signature(function(each)))
