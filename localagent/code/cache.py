"""What is in a file, for the session: parsed in one process beside it, shared by all who ask.

Where there is no grammar, where a file is too big, or the parser died on it, nothing is known of
it, and whoever asks goes on without.
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
"""Larger files are data or generated code. Parsing takes about a second a megabyte."""

P = ParamSpec("P")
R = TypeVar("R")

_lock = threading.Lock()
_child = Child()
atexit.register(_child.close)


def structure_of(path: str, data: bytes) -> Structure | None:
    """What a file defines, calls and imports; None where that cannot be known."""
    return _structure(language_of(path).name, data) if is_parsed(path, data) else None


def mentions_of(path: str, data: bytes, name: str) -> Sequence[Mention]:
    """Where a name stands in a file; nothing where that cannot be known."""
    if not is_parsed(path, data):
        return ()
    return _called(mentions, language_of(path).name, data, name) or ()


def faults_of(path: str, data: bytes) -> Sequence[SyntaxFault]:
    """Where a file does not fit its language's grammar; nothing where that cannot be known."""
    language = language_of(path)
    if not language.grammar or len(data) > MAX_BYTES:
        return ()
    return _called(faults, language.name, data) or ()


def is_parsed(path: str, data: bytes) -> bool:
    """Whether it is tried to read this file with a grammar's queries."""
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
