"""Structure, mentions and syntax errors of files, parsed in one child process of the session.

For an unknown language, a file that is too large, or a crash of the parser, the result is empty.
Callers then work without the structure.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import ParamSpec, TypeVar

from localagent.code.languages import language_of
from localagent.code.mentions import Mention, mentions
from localagent.code.parser import SyntaxFault, faults
from localagent.code.process import Child, ChildDied
from localagent.code.structure import Structure, structure

MAX_BYTES = 1 << 20
"""Files with more bytes are data or generated code. Parsing takes about a second a megabyte."""

P = ParamSpec("P")
R = TypeVar("R")

_lock = threading.Lock()
_child = Child()
atexit.register(_child.close)


def structure_of(path: str, data: bytes) -> Structure | None:
    """The definitions, calls and imports of a file; None if they are unknown."""
    return _structure(language_of(path).name, data) if is_parsed(path, data) else None


def mentions_of(path: str, data: bytes, name: str) -> Sequence[Mention]:
    """The places of a name in a file; empty if they are unknown."""
    if not is_parsed(path, data):
        return ()
    return _called(mentions, language_of(path).name, data, name) or ()


def faults_of(path: str, data: bytes) -> Sequence[SyntaxFault]:
    """The syntax errors that a file's grammar finds; empty if they are unknown."""
    language = language_of(path)
    if not language.grammar or len(data) > MAX_BYTES:
        return ()
    return _called(faults, language.name, data) or ()


def is_parsed(path: str, data: bytes) -> bool:
    """Whether queries read this file: its language has queries, and the file is not too large."""
    return language_of(path).can("definitions") and len(data) <= MAX_BYTES


@lru_cache(maxsize=32)
def _structure(language: str, data: bytes) -> Structure | None:
    return _called(structure, language, data)


def _called(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | None:
    with _lock:
        try:
            return _child.call(function, *args, **kwargs)
        except (ChildDied, OSError):
            return None
