"""Changed lines are put into functions that exist already, or refused."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from localagent.agent.checks.probe_loading import PROBE_DIR

SOURCE = '''\
from __future__ import annotations
import functools


def loud(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args) + 1
    return wrapper


@loud
def decorated(a):
    return a


def numbers(a, b=2):
    yield a
    yield b


def outer(a):
    def inner(b):
        return a + b
    return inner


kept = outer(10)


class Thing:
    """A thing."""

    size = 3

    def __init__(self):
        super().__init__()
        self.double = lambda a: a * 2

    @property
    def area(self):
        return self.size * self.size

    class Part:
        @staticmethod
        def name():
            return "part"
'''


def load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


swap = load("localagent_code_swap", PROBE_DIR / "localagent_code_swap.py")


class Swapped:
    """A module, and a Swapper that has seen it; `change` changes a line by its text."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "thing.py"
        self.path.write_text(SOURCE)
        self.module: Any = load("thing", self.path)
        self.imported = {"decorated": self.module.decorated, "numbers": self.module.numbers}
        self._swapper = swap.Swapper()

    def change(self, old: str, *new: str) -> None:
        line = SOURCE.split("\n").index(old)
        self._swapper.swap(str(self.path), line, line + 1, list(new))


@pytest.fixture
def thing(tmp_path: Path) -> Iterator[Swapped]:
    yield Swapped(tmp_path)
    sys.modules.pop("thing", None)


def test_a_decorated_function_changes_under_every_name(thing: Swapped) -> None:
    thing.change("    return a", "    return a * 100")
    assert thing.imported["decorated"](2) == 201


def test_the_wrapper_of_a_decorator_changes_where_it_wraps_already(thing: Swapped) -> None:
    thing.change("        return function(*args) + 1", "        return function(*args) + 7")
    assert thing.imported["decorated"](2) == 9


def test_a_generator_changes(thing: Swapped) -> None:
    thing.change("    yield b", "    for _ in range(2):", "        yield b")
    assert list(thing.imported["numbers"](1)) == [1, 2, 2]


def test_inner_functions_change_those_that_exist_and_those_to_come(thing: Swapped) -> None:
    thing.change("        return a + b", "        return a - b")
    assert (thing.module.kept(1), thing.module.outer(5)(1)) == (9, 4)


def test_methods_change_in_objects_that_exist(thing: Swapped) -> None:
    one = thing.module.Thing()
    thing.change("        return self.size * self.size", "        return self.size + self.size")
    thing.change('            return "part"', '            return "whole"')
    assert (one.area, one.Part.name()) == (6, "whole")
    thing.change("        self.double = lambda a: a * 2", "        self.double = lambda a: a * 3")
    assert thing.module.Thing().double(2) == 6


def test_lines_above_a_change_may_grow(thing: Swapped) -> None:
    thing.change("    return a", "    # why", "    if a: return 5", "    return a")
    assert thing.imported["decorated"](2) == 6
    assert list(thing.imported["numbers"](1)) == [1, 2]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("def numbers(a, b=2):", "def numbers(a, b=3):"),
        ("    size = 3", "    size = 4"),
        ("kept = outer(10)", "kept = outer(11)"),
        ("    @property", "    @functools.cached_property"),
        ("import functools", "import functools, os"),
        ("        return function(*args) + 1", "        return 1"),
        ("    return inner", "    return inner  # the same"),
    ],
    ids=["default", "attribute", "call", "decorator", "import", "closure", "comment"],
)
def test_what_ran_at_import_is_refused(thing: Swapped, old: str, new: str) -> None:
    with pytest.raises(swap.Refused):
        thing.change(old, new)
    assert list(thing.imported["numbers"](1)) == [1, 2]


def test_a_text_that_does_not_compile_changes_nothing(thing: Swapped) -> None:
    with pytest.raises(SyntaxError):
        thing.change("    return a", "    return a +")
    assert thing.imported["decorated"](2) == 3
