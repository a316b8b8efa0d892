"""A model file that grows piece by piece.

`<file>.partial.json` beside `<file>.partial` lists the end of each complete piece, with the sha256
of all bytes up to there. So an interruption at any moment, even a power cut, costs one piece at
most. A resumed run reads the file again and cuts it back to the last end whose hash is right.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

from localagent.core.atomic import write_atomic
from localagent.core.errors import ModelFileError, UsageError

CHUNK = 1 << 20
_NO_SPACE = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


Phase = Literal["reading", "copying", "fetching", "verifying"]
"""What is done with a model file; only `fetching` uses a network."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a model file: bytes `done` of `total`, bytes a second, seconds left.

    `rate` counts the bytes of this run only; `seconds_left` is None until there is a rate.
    """

    phase: Phase
    done: int
    total: int
    rate: float = 0.0
    seconds_left: float | None = None


OnProgress = Callable[[Progress], None]


class Pieces(Protocol):
    """Where a model file comes from, as consecutive pieces numbered from 0."""

    @property
    def label(self) -> str:
        """The name of the source and of its cut; pieces of two labels are never mixed."""

    @property
    def phase(self) -> Phase:
        """What the user sees while the pieces are read."""

    @property
    def count(self) -> int:
        """The number of pieces."""

    @property
    def extra_bytes(self) -> int:
        """The disk space needed in the model folder besides the file itself."""

    def open(
        self, number: int, folder: Path, received: Callable[[int], None]
    ) -> AbstractContextManager[BinaryIO]:
        """Open the bytes of one piece.

        May use `folder` for temporary files. Calls `received` with the number of bytes that have
        arrived, until there is something to read.
        """


@dataclass
class Meter:
    """Turn byte counts into `Progress`, at most ten a second."""

    phase: Phase
    total: int
    report: OnProgress | None
    begun: float = field(default_factory=time.monotonic)
    first: int | None = None
    last: float = 0.0
    most: int = 0

    def at(self, done: int) -> None:
        """Report `done` bytes."""
        now = time.monotonic()
        if self.first is None:
            self.first, self.begun = done, now
        # A part counts when it arrives, and again when it is read out of its wheel.
        done = self.most = max(done, self.most)
        if self.report is None or (now - self.last < 0.1 and done < self.total):
            return
        self.last = now
        rate = (done - self.first) / max(now - self.begun, 1e-3)
        left = (self.total - done) / rate if rate > 0 else None
        self.report(Progress(self.phase, min(done, self.total), self.total, rate, left))

    def after(self, base: int) -> Callable[[int], None]:
        """Return a function that reports its argument plus `base` bytes."""
        return lambda more: self.at(base + more)


class Partial:
    """The unfinished file beside `target`, whose final size is `size` bytes."""

    def __init__(self, target: Path, size: int, sha256: str, label: str) -> None:
        self.path = target.with_name(target.name + ".partial")
        self.notes = target.with_name(target.name + ".partial.json")
        self.target, self.size, self.sha256, self.label = target, size, sha256, label
        self.ends: list[tuple[int, str]] = []
        self.hash = hashlib.sha256()

    @property
    def done(self) -> int:
        """The bytes of the complete pieces."""
        return self.ends[-1][0] if self.ends else 0

    def resume(self, report: OnProgress | None = None) -> int:
        """Resume an earlier run and return the number of complete pieces."""
        noted = self._noted()
        if noted and self.path.is_file():
            meter = Meter("reading", noted[-1][0], report)
            with self.path.open("rb") as stream:
                for end, digest in noted:
                    self._advance(stream, end, meter)
                    if self.hash.hexdigest() != digest:
                        break
                    self.ends.append((end, digest))
        if self.ends != noted:
            self._rewind()
        with self.path.open("ab") as stream:
            stream.truncate(self.done)
        self.path.chmod(0o600)
        return len(self.ends)

    def append(self, piece: BinaryIO, report: Callable[[int], None]) -> None:
        """Append one whole piece and record it. Raises ModelFileError for too many bytes."""
        done = self.done
        with self.path.open("ab") as stream:
            while chunk := piece.read(CHUNK):
                done += len(chunk)
                if done > self.size:
                    raise ModelFileError(
                        f"the source has more than the {self.size:,} bytes that models.lock pins",
                        "nothing was installed; use another source",
                    )
                stream.write(chunk)
                self.hash.update(chunk)
                report(done)
            stream.flush()
            os.fsync(stream.fileno())
        self.ends.append((done, self.hash.hexdigest()))
        note = {"label": self.label, "sha256": self.sha256, "ends": self.ends}
        write_atomic(self.notes, json.dumps(note))

    def finish(self) -> Path:
        """Move the finished file to its place. Raises ModelFileError if it is not the pinned one.

        A complete file with wrong bytes is removed: nothing in it can be trusted.
        """
        digest = self.hash.hexdigest()
        if self.done != self.size or digest != self.sha256:
            self.discard()
            found = (
                f"{self.done:,} bytes instead of {self.size:,}"
                if self.done != self.size
                else f"sha256 {digest} instead of {self.sha256}"
            )
            raise ModelFileError(
                f"what was fetched for {self.target.name} is not what models.lock pins: {found}",
                "nothing was installed; use another source",
            )
        self.path.chmod(0o400)
        self.path.replace(self.target)
        _sync_folder(self.target.parent)
        self.notes.unlink(missing_ok=True)
        return self.target

    def discard(self) -> None:
        """Remove the unfinished file."""
        self.path.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)

    def _noted(self) -> list[tuple[int, str]]:
        """The ends that an earlier run recorded for the same file and source; [] if unusable."""
        try:
            note = json.loads(self.notes.read_text(encoding="utf-8"))
            if (note["label"], note["sha256"]) != (self.label, self.sha256):
                return []
            ends = [(int(end), str(digest)) for end, digest in note["ends"]]
        except (OSError, ValueError, KeyError, TypeError):
            return []
        rising = all(low[0] < high[0] for low, high in pairwise([(0, ""), *ends]))
        return ends if rising and self.size >= max(ends, default=(0, ""))[0] else []

    def _advance(self, stream: BinaryIO, end: int, meter: Meter) -> None:
        while (left := end - stream.tell()) > 0 and (chunk := stream.read(min(CHUNK, left))):
            self.hash.update(chunk)
            meter.at(stream.tell())

    def _rewind(self) -> None:
        """Set the running hash to that of the complete pieces."""
        self.hash = hashlib.sha256()
        if self.ends:
            with self.path.open("rb") as stream:
                self._advance(stream, self.done, Meter("reading", self.done, None))


def no_space(error: OSError) -> bool:
    """Whether an error means that the disk or a quota is full."""
    return error.errno in _NO_SPACE


def space_error(folder: Path, needed: int, free: int) -> UsageError:
    """The error for a full disk; sizes in bytes."""
    return UsageError(
        f"not enough space in {folder}: {needed / 1e9:.2f} GB needed, {free / 1e9:.2f} GB free",
        "make room, or set XDG_DATA_HOME to a folder on a larger disk, and run it again",
    )


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut, if the system can."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
