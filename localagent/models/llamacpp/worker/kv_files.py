"""The KV cache on disk: the next process need not read again what an earlier one has read.

Each file of native state has a small JSON file beside it, with its tokens and its sha256. The JSON
file is written last, so a state without one is unfinished and is removed. All files of one model
with one set of settings are in one folder, named by everything that a state depends on. A state is
used only if its bytes are the written ones. The least recently used files go when all folders
together exceed the limit.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from localagent.core.atomic import write_atomic
from localagent.models.llamacpp.worker.prompt_cache import Memory, TextCheckpoint, common_prefix

_STATE, _FACTS = ".kv", ".json"
_ABANDONED = 3600.0  # seconds after which an unfinished file counts as abandoned
_MOST = 64  # files of one folder that are read, the latest used first
_Count = Annotated[int, Field(ge=0)]


class _Facts(BaseModel):
    """The content of the JSON file: a state's tokens, marks (chars, digest, tokens), and bytes."""

    model_config = ConfigDict(strict=True, extra="forbid")

    tokens: list[_Count]
    marks: list[tuple[_Count, str, _Count]]
    bytes: _Count
    sha256: str


@dataclass(frozen=True, slots=True)
class Stored:
    """One state on disk: its tokens and its file."""

    memory: Memory
    path: Path
    sha256: str


class KvFiles:
    """The states of one model under `root`/`key`. `limit` is in bytes, for all of `root`."""

    def __init__(self, root: Path, key: str, limit: int) -> None:
        self._root = root
        self._folder = root / hashlib.sha256(key.encode()).hexdigest()[:24]
        self._limit = limit
        self.stored: list[Stored] = []
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.stored = list(self._load())

    def best(self, tokens: Sequence[int], *, whole: bool = False) -> tuple[Stored | None, int]:
        """The state that shares the longest beginning with `tokens`, and its number of tokens.

        With `whole`, all tokens of the state must be shared.
        """
        found = [(common_prefix(s.memory.tokens, tokens), s) for s in self.stored]
        found = [
            (count, stored)
            for count, stored in found
            if count and (not whole or count == len(stored.memory.tokens))
        ]
        if not found:
            return None, 0
        # The shortest of equals: there is less to read.
        common, stored = max(found, key=lambda pair: (pair[0], -len(pair[1].memory.tokens)))
        return stored, common

    def has(self, tokens: Sequence[int]) -> bool:
        """Whether a state has exactly these tokens."""
        return any(stored.memory.tokens == tokens for stored in self.stored)

    def add(self, memory: Memory, write: Callable[[Path], None]) -> bool:
        """Store the state of `memory` with `write`; return False if that fails."""
        data = b"".join(token.to_bytes(4, "little") for token in memory.tokens)
        path = self._folder / (hashlib.sha256(data).hexdigest()[:32] + _STATE)
        partial = path.with_suffix(f".{os.getpid()}")
        try:
            write(partial)
            size = partial.stat().st_size
            if not self._make_room(size, path):
                partial.unlink()
                return False
            facts = _Facts(
                tokens=memory.tokens,
                marks=[(mark.chars, mark.digest, mark.tokens) for mark in memory.checkpoints],
                bytes=size,
                sha256=_sha256(partial),
            )
            path.with_suffix(_FACTS).unlink(missing_ok=True)
            partial.replace(path)
            write_atomic(path.with_suffix(_FACTS), facts.model_dump_json())
        except OSError as error:
            self._say(f"cannot keep the KV cache: {error}")
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            return False
        self.stored = [stored for stored in self.stored if stored.path != path]
        self.stored.append(Stored(memory, path, facts.sha256))
        return True

    def read(self, stored: Stored, read: Callable[[Path], bool]) -> bool:
        """Read a state with `read` if its bytes are the written ones; otherwise remove it."""
        try:
            if _sha256(stored.path) == stored.sha256 and read(stored.path):
                os.utime(stored.path)
                return True
            self._say(f"{stored.path.name} is not what was written, or not for this library")
        except OSError as error:
            self._say(f"cannot read the KV cache: {error}")
        self._remove(stored.path)
        self.stored.remove(stored)
        return False

    def _load(self) -> Iterator[Stored]:
        """The states of the folder, the latest used first."""
        states = sorted(self._folder.glob(f"*{_STATE}"), key=_used, reverse=True)
        for path in states[:_MOST]:
            try:
                facts = _Facts.model_validate_json(path.with_suffix(_FACTS).read_bytes())
            except (OSError, ValidationError):
                # Perhaps another process is between the two files: only an old one is removed.
                continue
            if path.stat().st_size == facts.bytes:
                marks = [TextCheckpoint(*mark) for mark in facts.marks]
                yield Stored(Memory(facts.tokens, marks), path, facts.sha256)

    def _make_room(self, size: int, besides: Path) -> bool:
        """Remove the least recently used states of all models until `size` more bytes fit."""
        if size > self._limit or shutil.disk_usage(self._folder).free < size:
            return False
        for path in self._root.glob("*/*.[0-9]*"):
            if time.time() - _used(path) > _ABANDONED:
                path.unlink(missing_ok=True)
        found = [p for p in self._root.glob(f"*/*{_STATE}") if p != besides]
        found.sort(key=_used)
        total = size + sum(_size(path) for path in found)
        for path in found:
            if total <= self._limit:
                break
            total -= _size(path)
            self._remove(path)
            self.stored = [stored for stored in self.stored if stored.path != path]
        return True

    def _remove(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            path.with_suffix(_FACTS).unlink(missing_ok=True)
            path.unlink(missing_ok=True)

    @staticmethod
    def _say(text: str) -> None:
        print(f"worker: {text}", file=sys.stderr, flush=True)  # noqa: T201 - its log


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # another process has just removed it
        return 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
