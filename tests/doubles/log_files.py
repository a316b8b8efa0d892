"""Log digests without processes, and the generator of incidents."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


class SameProcess:
    """A `Child` that calls in the test's own process."""

    def __init__(self, niceness: int = 0, module: str = "") -> None: ...

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        return function(*args)

    def close(self) -> None: ...


@contextmanager
def script(name: str) -> Iterator[ModuleType]:
    """A module of the folder scripts, which stays importable only within the block."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        yield importlib.import_module(name)
    finally:
        sys.path.remove(str(SCRIPTS))
        del sys.modules[name]
